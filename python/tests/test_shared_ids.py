"""IDs that several items share, from Python and from `catalex build`."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made import done
from shop import ITEMS, Shop

import catalex


def _catalog(path: Path, ids: list[str], rng: np.random.Generator) -> dict[str, tuple[str, int]]:
    """Writes a catalog with a class and a number per item."""
    facts = {id: (f"r{rng.integers(3)}", int(rng.integers(1_000))) for id in ids}
    rows = "".join(f"{id},Item {id},{risk},{sales}\n" for id, (risk, sales) in facts.items())
    path.write_text(f"item_id,title,risk,sales\n{rows}", encoding="utf-8")
    return facts


def _check(table: catalex.TokenTable, capacity: int, risk: dict[str, str], rank: dict[str, float]) -> int:
    """Checks the rules of shared IDs, and returns the number of IDs."""
    assert table.members is not None
    members = dict(zip(map(str, table.item_ids), table.members.tolist(), strict=True))
    ids = Counter(table.semantic_ids)
    assert max(ids.values()) <= capacity
    assert table.must_differ == [[risk[str(item)]] for item in table.item_ids]
    for semantic_id in ids:
        items = [str(item) for item in table.items(semantic_id)]
        assert [members[item] for item in items] == list(range(len(items)))
        assert [rank[item] for item in items] == sorted((rank[item] for item in items), reverse=True)
        assert len({risk[item] for item in items}) == 1
    return len(ids)


def test_tokenize_shares_ids_and_the_trie_knows_the_members(shop: Shop, tmp_path: Path) -> None:
    catalog = tmp_path / "c.csv"
    facts = _catalog(catalog, [str(row) for row in range(ITEMS)], np.random.default_rng(0))
    risk = {item: fact[0] for item, fact in facts.items()}
    sales: dict[str, float] = {item: fact[1] for item, fact in facts.items()}
    table = catalex.tokenize(
        shop.vectors, shop.tokenizer, capacity=3, must_differ="risk", member_rank="sales", catalog=catalog
    )
    assert (table.collisions, table.capacity, shop.table.capacity, shop.table.members) == ("share", 3, 1, None)
    assert _check(table, 3, risk, sales) < ITEMS
    assert pickle.loads(pickle.dumps(table)) == table
    assert list(table.to_pandas()["member"]) == table.members.tolist()  # type: ignore[union-attr]

    trie = catalex.Trie.from_table(table)
    crowded = int(np.argmax(table.members == 2))
    codes = table.codes[crowded].tolist()
    rows = trie.rows(codes)
    assert table.members[rows].tolist() == [0, 1, 2]  # type: ignore[index]
    assert trie.find(codes) == rows[0]
    assert len(trie) == ITEMS
    last = trie.subset([int(rows[2])])
    assert codes[-1] in trie.allowed(codes[:-1], last)
    assert codes[-1] not in trie.allowed(codes[:-1], trie.subset(rows.tolist(), invert=True))
    hits = catalex.lookup(table, table.semantic_ids[crowded])
    assert [hit["member"] for hit in hits] == [0, 1, 2]
    assert json.loads(hits[0]["must_differ"]) == [risk[hits[0]["item_id"]]]
    with pytest.raises(catalex.ConfigError, match="capacity"):
        catalex.tokenize(shop.vectors, shop.tokenizer, must_differ="risk", catalog=catalog)


def test_build_ranks_members_by_their_events(shop: Shop, tmp_path: Path) -> None:
    ids = [str(row) for row in range(ITEMS)]
    catalog, rng = tmp_path / "c.csv", np.random.default_rng(1)
    facts = _catalog(catalog, ids, rng)
    risk = {item: fact[0] for item, fact in facts.items()}
    events = [rng.choice(ITEMS, size=8, replace=False).tolist() for _ in range(400)]
    path = tmp_path / "events.txt"
    lines = [f"u{user} {' '.join(map(str, row))}\n" for user, row in enumerate(events)]
    path.write_text("".join(lines), encoding="utf-8")
    held_out = Counter(str(item) for row in events for item in row[:-1])
    done(
        *("build", catalog, "--embedding", f"text={shop.folder / 'x.npy'}", "--out", tmp_path / "i"),
        *("--levels", "2", "--codebook-size", "16", "--epochs", "1", "--interactions", path, "--hold-out-last", "1"),
        *("--capacity", "20", "--must-differ", "risk"),
    )
    index = catalex.Index(tmp_path / "i")
    # The model has 256 IDs, fewer than there are items.
    shared = _check(index.table, 20, risk, {item: held_out[item] for item in ids})
    assert shared < ITEMS
    assert catalex.verify(index)["whole"]
    assert catalex.inspect(index)["distinct_ids"] == shared
