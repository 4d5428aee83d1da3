"""No held-out item occurs in a training prompt. The tests search all files of all families."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exports import read_json, records
from made import done, random_codes, write_table

FAMILIES = ["lc-rec", "tallrec", "instructrec", "bigrec", "transrec", "ranking", "agents", "minionerec", "openonerec"]
FAMILIES += ["llamafactory", "trl", "sequences"]
SIZES = [16, 16, 16]
USERS, COMMON = 30, 60
ITEMS = COMMON + 2 * USERS


def item(number: int) -> str:
    return f"item{number:04}x"


def valid_item(user: int) -> int:
    return COMMON + user


def test_item(user: int) -> int:
    return COMMON + USERS + user


# pytest must not collect it as a test.
test_item.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users whose last two items occur only there. The times make both splits hold out these items."""
    folder = tmp_path_factory.mktemp("leaks")
    codes = random_codes(ITEMS, SIZES)
    write_table(folder / "tokens.parquet", codes, SIZES, [item(number) for number in range(ITEMS)])
    lines = ["id,title,about,kind"]
    lines += [f"{item(n)},title{n:04}x,about{n:04}x,kind{n % 5}" for n in range(ITEMS)]
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n")
    events = ["user,item,time,rating"]
    for user in range(USERS):
        had = [(7 * user + 11 * at) % COMMON for at in range(8)]
        events += [f"u{user},{item(number)},{at},{1 + (user + at) % 5}" for at, number in enumerate(had)]
        events += [f"u{user},{item(valid_item(user))},100,5", f"u{user},{item(test_item(user))},200,5"]
    (folder / "events.csv").write_text("\n".join(events) + "\n")
    return folder


@pytest.mark.parametrize("split", ["leave-one-out", "time"])
@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_items_are_not_in_training_data(folder: Path, tmp_path: Path, family: str, split: str) -> None:
    if (family, split) == ("lc-rec", "time"):
        pytest.skip("LC-Rec's loader knows leave-one-out alone")
    out = tmp_path / "out"
    arguments: list[str | Path] = ["export", folder / "tokens.parquet", "--for", family, "--out", out, "--split", split]
    arguments += ["--catalog", folder / "catalog.csv", "--description", "about", "--attributes", "kind"]
    arguments += ["--interactions", folder / "events.csv", "--prompts", "2", "--candidates", "10"]
    done(*arguments)
    table = pq.read_table(folder / "tokens.parquet", columns=["semantic_id", "codes"]).to_pylist()

    def names(number: int) -> list[str]:
        written = [item(number), f"title{number:04}x", f"about{number:04}x", table[number]["semantic_id"]]
        if family == "transrec":
            written.append(f"|| {number} ##")
        if family == "sequences":
            written.append(", ".join(str(16 * level + code) for level, code in enumerate(table[number]["codes"])))
        return written

    all_names = {number: names(number) for number in range(ITEMS)}
    held_out = {
        "train": [number for user in range(USERS) for number in (valid_item(user), test_item(user))],
        "valid": [test_item(user) for user in range(USERS)],
    }
    files = read_json(out / "export.json")["files"]
    searched, met = 0, 0
    for name, said in files.items():
        if said["role"] not in held_out:
            continue
        for record in records(out / name):
            searched += 1
            for number in held_out[said["role"]]:
                if any(text in record for text in all_names[number]):
                    # Records that teach the text of an item contain only this item.
                    others = [n for n in range(ITEMS) if n != number and any(text in record for text in all_names[n])]
                    assert not others and said["role"] == "train", (name, record)
                    met += 1
    if family not in {"ranking", "agents"}:
        assert searched > USERS
    assert (met > 0) == (family in {"lc-rec", "llamafactory", "trl"})
    if family == "lc-rec":
        searches = read_json(out / "out.user.json")["user_vague_intention"]["train"]
        trained = {str(entry["item"]) for entry in searches.values()} | {
            i for e in searches.values() for i in e["inters"]
        }
        assert trained and not trained & {item(number) for number in held_out["train"]}
    # The test items occur in the test files.
    tested = [record for name, said in files.items() if said["role"] == "test" for record in records(out / name)]
    assert all(any(text in record for record in tested for text in all_names[test_item(user)]) for user in range(USERS))
