"""A catalog and histories become a language model that recommends.

`python -m llm_recommender` builds semantic IDs, extends a language model with their tokens, tunes it on next-item and
alignment tasks, generates items by constrained beam search, and compares the result with other identifiers of items.
`python -m llm_recommender.memory` measures what the choice of the trained parameters costs.

The catalogs, the scores and the tables are those of `python/benchmarks/recommend`.
"""
