"""`catalex.FmIndex` compared with the index of TransRec, and its errors."""

import json
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import catalex

GOLDEN = ROOT / "tests" / "golden" / "fm_index"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """See the README next to the file."""
    found: dict[str, Any] = json.loads((GOLDEN / "answers.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def documents(golden: dict[str, Any]) -> list[list[list[int]]]:
    tokenizer = catalex.FacetTokenizer.load(GOLDEN)
    end = tokenizer.token_id("</s>")
    assert end is not None
    made = []
    for item in golden["items"]:
        *facets, title = tokenizer.tokenize(catalex.trans_rec(item["id"], item["attributes"], item["title"]))
        made.append([*facets, [*title, end]])
    return made


def test_answers_equal_those_of_trans_rec(
    golden: dict[str, Any], documents: list[list[list[int]]], tmp_path: Path
) -> None:
    assert [list(chain(*document)) for document in documents] == golden["documents"]
    made = catalex.FmIndex.from_documents(documents)
    made.save(tmp_path / "emoji.fm")
    index = catalex.FmIndex.load(tmp_path / "emoji.fm")
    assert (len(index), index.facets) == (80, 3)
    assert 0 <= (tmp_path / "emoji.fm").stat().st_size - index.nbytes <= 64
    assert repr(index) == f"FmIndex(80 items, 3 facets, {index.nbytes} bytes)"
    assert any(answer["count"] for answer in golden["answers"])
    for answer in golden["answers"]:
        found = index.range(answer["pattern"])
        tokens, counts, ends = index.continuations(found)
        assert len(found) == index.count(answer["pattern"]) == answer["count"]
        assert [list(pair) for pair in zip(tokens, counts, strict=True)] == answer["continuations"]
        # Every item ends with a unique token, which is in none of the patterns.
        assert ends == 0
        assert index.items(found) == answer["documents"]


def test_an_item_is_generated_token_by_token(documents: list[list[list[int]]]) -> None:
    index = catalex.FmIndex.from_documents(documents)
    wanted = documents[11]
    said = index.beginnings()
    assert len(said) == 80
    for length, token in enumerate(chain(*wanted)):
        assert said.length == length
        assert token in index.continuations(said)[0]
        said = index.extend(said, token)
    assert (len(said), index.continuations(said)[2]) == (1, 1)
    assert index.locate(said) == [(11, 0, 0)]
    assert index.document(11) == wanted
    title = index.range(wanted[2])
    assert (11, 2, 0) in index.locate(title)
    assert len(index.locate(index.anywhere(), 7)) == 7


def test_the_documented_code_runs(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "folder" / "of" / "the" / "llm")
    text = (ROOT / "docs" / "fm-index.md").read_text(encoding="utf-8")
    code = text.split("<!-- tested -->\n```python\n")[1].split("```")[0]
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # Both titles have the token with the smallest id.
    assert sorted(run.stdout.splitlines()) == ["item 0, facet 2, token 1", "item 1, facet 2, token 1"]


def test_errors_say_what_to_do(documents: list[list[list[int]]], tmp_path: Path) -> None:
    index = catalex.FmIndex.from_documents(documents)
    with pytest.raises(catalex.InputError, match="items below 80"):
        index.document(80)
    with pytest.raises(catalex.InputError, match="those of another"):
        index.continuations(catalex.FmIndex.from_documents(documents).anywhere())
    with pytest.raises(catalex.InputError, match="facets"):
        catalex.FmIndex.from_documents([[[1], [2]], [[1]]])
    with pytest.raises(catalex.InputError):
        catalex.FmIndex.from_documents([])
    index.save(tmp_path / "a.fm")
    with pytest.raises(catalex.CatalexError, match="force"):
        index.save(tmp_path / "a.fm")
    index.save(tmp_path / "a.fm", force=True)
    cut = (tmp_path / "a.fm").read_bytes()[:-8]
    (tmp_path / "a.fm").write_bytes(cut)
    with pytest.raises(catalex.ArtifactError, match="FM-index"):
        catalex.FmIndex.load(tmp_path / "a.fm")
    with pytest.raises(catalex.CatalexError, match=r"tokenizer\.json"):
        catalex.FacetTokenizer.load(tmp_path)
