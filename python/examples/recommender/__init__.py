"""A small generative recommender on semantic IDs, which compares kinds of IDs by recommendation quality."""
