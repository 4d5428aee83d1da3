"""The README's commands run, and their outputs match its text."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import BLOCK, README, ROOT, QuickStart

PAGES = [
    README,
    *(ROOT / f"{page}.md" for page in ("CHANGELOG", "CONTRIBUTING", "RELEASING")),
    *(ROOT / "docs").rglob("*.md"),
]


def test_every_block_was_run(quick_start: QuickStart) -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count("<!-- tested -->") == len(BLOCK.findall(readme)) == len(quick_start.blocks)
    verbs = {verb for code in quick_start.blocks for verb in re.findall(r"^catalex (\w+)", code, re.MULTILINE)}
    assert verbs >= {"build", "inspect", "lookup", "train", "tokenize", "vocab"}
    # Blocks without the mark may only contain commands for installation, set-up and tests.
    unmarked = "".join(re.findall(r"^```.*?^```$", re.sub(BLOCK, "", readme), re.MULTILINE | re.DOTALL))
    assert not re.search(r"^(?!pip install ).*catalex", unmarked, re.MULTILINE)


def test_only_target_was_written_to(quick_start: QuickStart) -> None:
    assert {entry.name for entry in quick_start.folder.iterdir() if not entry.is_symlink()} == {"target"}


def test_the_index_contains_the_documented_files(quick_start: QuickStart, index: Path) -> None:
    section = README.read_text(encoding="utf-8").split("## What it writes")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))
    assert listed == {entry.name + "/" * entry.is_dir() for entry in index.iterdir()}
    printed = quick_start.output_of("catalex build fixtures")
    assert re.search(r"^distinct IDs +1852$", printed, re.MULTILINE)
    assert "target/emoji/report.html" in printed


def test_lookup_finds_the_dog_and_its_neighbours(quick_start: QuickStart) -> None:
    printed = quick_start.output_of("catalex lookup")
    first, *under = (line for line in printed.splitlines() if re.match(r"<a_\d+><b_\d+><c_\d+><d_\d+>\t", line))
    semantic_id, item, title = first.split("\t")
    assert item == "1F436" and "dog" in title
    assert first in under
    prefix = semantic_id.split("><")[0] + ">"
    assert under and all(line.startswith(prefix) for line in under)
    assert quick_start.output_of("AutoTokenizer").strip() == semantic_id, "Python reads the same ID"


def test_python_looks_items_up(quick_start: QuickStart, index: Path) -> None:
    semantic_id, items, dog = quick_start.output_of("import catalex").splitlines()
    assert re.fullmatch(r"<a_\d+><b_\d+><c_\d+>", semantic_id)
    assert items.count("'item-") == 5
    assert dog == quick_start.output_of("AutoTokenizer").strip()


def test_a_matrix_gets_a_model_a_table_and_a_vocabulary(quick_start: QuickStart) -> None:
    target = quick_start.folder / "target"
    table = pq.read_table(target / "x-tokens.parquet")
    assert table["item_id"].to_pylist() == list(range(2000))
    assert len(set(table["semantic_id"].to_pylist())) == 2000
    assert table["codes"].type.list_size == 3
    assert len(json.loads((target / "x-vocabulary" / "new_tokens.json").read_text())) == 3 * 64
    assert (target / "x-model" / "model.safetensors").is_file()
    assert re.search(r"^distinct IDs +2000$", quick_start.output_of("catalex train"), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of its headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
