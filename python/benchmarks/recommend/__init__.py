"""Compares sets of semantic IDs by how well a small generative recommender predicts the next item with them.

    export PYTHONPATH=python/benchmarks:scripts CATALEX_MODELS=...
    python -m recommend target/release/catalex --out FOLDER           everything: ID sets, runs, tables
    python -m recommend.make target/release/catalex --out FOLDER      step 1: FOLDER/NAME.npz, histories and codes
    python -m recommend.run FOLDER/*.npz --json RUNS.jsonl            step 2: train, recommend, score; numpy and torch
    python -m recommend.table RUNS.jsonl                              the tables of runs that are done
    python -m recommend.figures target/release/catalex FOLDER/NAME.npz --out FIGURES.json
    python -m recommend.correlate RUNS.jsonl FIGURES.json             which figures of IDs predict Recall@10
    python -m recommend.held_out target/release/catalex --out FOLDER  catalogs that grow: IDs kept, errors of new items

A run is one ID set with one seed. A decoder-only transformer is trained from scratch on the training events, the state
with the best validation loss is kept, and the next item of each test event is predicted by beam search over the IDs of
all items. docs/recommenders.md describes the task and the measures.
"""
