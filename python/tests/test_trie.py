"""`catalex.Trie` and its errors."""

from pathlib import Path

import numpy as np
import pytest
from made import done, random_codes, strangers, write_table, write_tokenizer

import catalex

SIZES = [8, 16, 16, 32]
IDS = [f"item-{row}" for row in range(500)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trie")
    write_table(folder / "t.parquet", random_codes(500, SIZES), SIZES, IDS)
    write_tokenizer(folder / "tokenizer")
    done("vocab", folder / "t.parquet", "--tokenizer", folder / "tokenizer", "--out", folder / "vocabulary")
    return folder


def test_a_table_and_its_codes_give_one_trie(folder: Path) -> None:
    codes = random_codes(500, SIZES)
    tokens = catalex.TokenIds.read(folder / "vocabulary")
    of_table = catalex.Trie.from_table(folder / "t.parquet", folder / "vocabulary")
    of_codes = catalex.Trie.from_codes(codes, tokens)
    assert (of_table.item_ids, of_codes.item_ids) == (IDS, None)
    of_table.save(folder / "a.trie")
    of_codes.save(folder / "b.trie")
    assert (folder / "a.trie").read_bytes() == (folder / "b.trie").read_bytes()
    for trie in (of_table, of_codes, catalex.Trie.load(folder / "a.trie")):
        assert (len(trie), trie.levels, trie.tokens) == (500, 4, tokens)
        assert [trie.find(row) for row in codes.tolist()] == list(range(500))
        assert not any(trie.contains(row) for row in strangers(codes, SIZES, 200).tolist())
    assert repr(of_table) == f"Trie(500 items, 4 levels, {of_table.nbytes} bytes, with token ids)"
    # Any layout of the matrix will do.
    assert catalex.Trie.from_codes(np.asfortranarray(codes)).find(codes[7].tolist()) == 7


def test_a_table_in_memory_gives_the_trie_of_its_file(folder: Path) -> None:
    table = catalex.TokenTable.read(folder / "t.parquet")
    catalex.Trie.from_table(table, folder / "vocabulary").save(folder / "memory.trie")
    catalex.Trie.from_table(folder / "t.parquet", folder / "vocabulary").save(folder / "file.trie")
    assert (folder / "memory.trie").read_bytes() == (folder / "file.trie").read_bytes()
    assert catalex.Trie.from_table(table).item_ids == IDS
    with pytest.raises(TypeError):
        catalex.Trie.from_table(7)  # type: ignore[arg-type]


def test_prefixes_lead_to_codes_tokens_and_rows(folder: Path) -> None:
    codes = random_codes(500, SIZES)
    trie = catalex.Trie.from_table(folder / "t.parquet", folder / "vocabulary")
    tokens = trie.tokens
    assert tokens is not None
    prefix = codes[0, :2].tolist()
    under = np.flatnonzero((codes[:, :2] == prefix).all(1))
    expected = np.unique(codes[under, 2])
    assert trie.allowed(prefix).dtype == np.uint16
    np.testing.assert_array_equal(trie.allowed(prefix), expected)
    as_tokens = [tokens.id(level, code) for level, code in enumerate(prefix)]
    np.testing.assert_array_equal(trie.allowed_tokens(as_tokens), expected + tokens.id(2, 0))
    assert sorted(trie.rows(prefix).tolist()) == under.tolist()
    assert trie.rows([]).size == 500
    assert trie.find(prefix) is None
    assert trie.allowed(codes[0].tolist()).size == trie.allowed([7, 0, 0, 0]).size == 0
    assert tokens.code_of(tokens.id(3, 5)) == (3, 5)
    assert tokens.code_of(tokens.first_id - 1) is None


def test_subsets_restrict_the_continuations(folder: Path) -> None:
    codes = random_codes(500, SIZES)
    trie = catalex.Trie.from_table(folder / "t.parquet", folder / "vocabulary")
    mask = np.arange(500) % 7 == 0
    rows = np.flatnonzero(mask)
    ids = [item for item, chosen in zip(IDS, mask, strict=True) if chosen]
    rest = [item for item in IDS if item not in ids]
    ways = [trie.subset(mask), trie.subset(rows), trie.subset(rows.tolist()), trie.subset(~mask, invert=True)]
    ways += [trie.subset_of(ids), trie.subset_of(rest, invert=True)]
    for subset in ways:
        assert len(subset) == len(rows)
        prefixes: list[list[int]] = [codes[7, :depth].tolist() for depth in (0, 1, 3)]
        for prefix in prefixes:
            under = mask & (codes[:, : len(prefix)] == prefix).all(1)
            np.testing.assert_array_equal(trie.allowed(prefix, subset), np.unique(codes[under, len(prefix)]))
    assert repr(ways[0]) == "Subset(72 of 500 items)"
    assert len(trie.subset([])) == 0


def test_errors_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    trie = catalex.Trie.from_table(folder / "t.parquet")
    other = catalex.Trie.from_codes(random_codes(500, SIZES))
    codes = random_codes(500, SIZES)
    with pytest.raises(catalex.InputError, match="one of another trie"):
        trie.allowed([], other.subset([1]))
    with pytest.raises(catalex.InputError, match="rows below 500, got 500"):
        trie.subset([500])
    with pytest.raises(catalex.InputError, match="500 rows, got 3"):
        trie.subset(np.ones(3, bool))
    with pytest.raises(catalex.InputError, match="item nothing"):
        trie.subset_of(["nothing"])
    with pytest.raises(catalex.InputError, match=r"Trie\.from_table"):
        other.subset_of(["item-1"])
    with pytest.raises(catalex.InputError, match="token ids"):
        trie.allowed_tokens([1])
    with pytest.raises(catalex.InputError, match="rows 1 and 501"):
        catalex.Trie.from_codes(np.concatenate([codes, codes[:1]]))
    with pytest.raises(catalex.InputError, match="codebooks"):
        catalex.Trie.from_codes(codes, catalex.TokenIds(5, [8, 16, 16]))
    with pytest.raises(catalex.InputError, match="vocabulary size"):
        catalex.TokenIds(5, [8, 16], vocabulary_size=28)
    with pytest.raises(catalex.InputError, match="does not exist"):
        catalex.Trie.from_table(tmp_path / "none.parquet")
    with pytest.raises(IndexError, match="no code 8 at level 0"):
        catalex.TokenIds(5, [8, 16]).id(0, 8)
    trie.save(tmp_path / "t.trie")
    with pytest.raises(catalex.ResourceError, match="already exists"):
        trie.save(tmp_path / "t.trie")
    trie.save(tmp_path / "t.trie", force=True)
    # All are errors of catalex, and those that Python programs expect.
    assert issubclass(catalex.InputError, (catalex.CatalexError, ValueError))
    assert issubclass(catalex.ConfigError, ValueError)
    assert issubclass(catalex.ResourceError, OSError)


def test_another_tables_vocabulary_is_refused(folder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", random_codes(500, [8, 16, 16, 33]), [8, 16, 16, 33])
    with pytest.raises(catalex.InputError, match=r"codebooks: expected \[8, 16, 16, 33\], got \[8, 16, 16, 32\]"):
        catalex.Trie.from_table(tmp_path / "t.parquet", folder / "vocabulary")


def test_damaged_files_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.trie"
    catalex.Trie.from_codes(random_codes(500, SIZES)).save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-1], whole[:100], b"", bytes(flipped), (folder / "t.parquet").read_bytes()):
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(catalex.ArtifactError, match="damaged or not a file of catalex"):
            catalex.Trie.load(path)
