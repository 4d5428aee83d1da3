"""A small generative recommender on semantic IDs, to compare kinds of IDs by what they are for."""
