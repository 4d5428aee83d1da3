"""`catalex ground` compared with BIGRec's formula in torch, and on real texts."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT
from made import catalex, done
from safetensors.numpy import save_file
from tokenizers import Tokenizer

ITEMS, ANSWERS, DIM = 400, 60, 24
Words = list[str | Path]
Matrix = npt.NDArray[np.float32]


class Made:
    """Items, of which a few are popular, and noisy answers, whose targets are drawn by popularity."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.folder = folder
        self.items: Matrix = rng.standard_normal((ITEMS, DIM)).astype(np.float32)
        self.counts = (1000 / (1 + np.arange(ITEMS))).astype(int)
        rng.shuffle(self.counts)
        shares = self.counts / self.counts.sum()
        self.targets = {part: rng.choice(ITEMS, ANSWERS, p=shares) for part in ("test", "valid")}
        self.answers = {
            part: (self.items[rows] + 1.2 * rng.standard_normal((ANSWERS, DIM))).astype(np.float32)
            for part, rows in self.targets.items()
        }
        np.save(folder / "items.npy", self.items)
        save_file({"x": self.items}, folder / "items.safetensors")
        for part, rows in self.targets.items():
            np.save(folder / f"{part}.npy", self.answers[part])
            (folder / f"{part}.txt").write_text("".join(f"{row}\n" for row in rows))
        events = [f"u{n % 50},{item}" for item, count in enumerate(self.counts) for n in range(count)]
        (folder / "events.csv").write_text("user,item\n" + "\n".join(events) + "\n")

    def scores(self, part: str, gamma: float) -> torch.Tensor:
        """The scores of BIGRec's evaluation."""
        distances = torch.cdist(torch.from_numpy(self.answers[part]).double(), torch.from_numpy(self.items).double())
        least, most = distances.min(1, keepdim=True).values, distances.max(1, keepdim=True).values
        popular = (self.counts - self.counts.min()) / (self.counts.max() - self.counts.min())
        return (distances - least) / (most - least) * (1 + torch.from_numpy(popular)) ** -gamma

    def places(self, part: str, gamma: float) -> npt.NDArray[np.int64]:
        scores = self.scores(part, gamma)
        wanted = scores.gather(1, torch.from_numpy(self.targets[part])[:, None])
        return np.asarray((scores < wanted).sum(1).numpy())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("ground"))


def ndcg(places: npt.NDArray[np.int64], depth: int) -> float:
    return float(np.where(places < depth, 1 / np.log2(places + 2), 0).mean())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ranked_lists_equal_those_of_bigrec(made: Made, tmp_path: Path) -> None:
    here = made.folder
    for form in ("npy", "safetensors"):
        items = here / f"items.{form}"
        done("ground", here / "test.npy", "--items", items, "--top", "7", "--out", tmp_path / form)
        for row, (line, scores) in enumerate(zip(lines(tmp_path / form), made.scores("test", 0), strict=True)):
            assert line["id"] == str(row)
            assert [int(item) for item in line["items"]] == scores.argsort()[:7].tolist()
            np.testing.assert_allclose(line["scores"], scores.sort().values[:7].numpy(), rtol=1e-4, atol=1e-6)
    weighted: Words = ["--interactions", here / "events.csv", "--gamma", "3.5", "--out", tmp_path / "weighted"]
    done("ground", here / "test.npy", "--items", here / "items.npy", "--top", "7", *weighted)
    for line, scores in zip(lines(tmp_path / "weighted"), made.scores("test", 3.5), strict=True):
        np.testing.assert_allclose(line["scores"], scores.sort().values[:7].numpy(), rtol=1e-4, atol=1e-6)


def test_gamma_is_selected_for_each_metric(made: Made, tmp_path: Path) -> None:
    here = made.folder
    common: Words = ["--items", here / "items.npy", "--targets", here / "test.txt", "--json"]
    plain = {
        one["measure"]: one for one in json.loads(done("ground", here / "test.npy", *common, "--out", tmp_path / "a"))
    }
    chosen: Words = [
        "--interactions",
        here / "events.csv",
        "--valid",
        here / "valid.npy",
        "--valid-targets",
        here / "valid.txt",
    ]
    found = {
        one["measure"]: one
        for one in json.loads(done("ground", here / "test.npy", *common, *chosen, "--out", tmp_path / "b"))
    }
    assert list(found) == [f"{name}@{k}" for k in (1, 3, 5, 10, 20) for name in ("Recall", "NDCG")]
    for depth in (1, 3, 5, 10, 20):
        recall = float((made.places("test", 0) < depth).mean())
        assert plain[f"Recall@{depth}"]["value"] == pytest.approx(recall)
        one = found[f"NDCG@{depth}"]
        assert one["value"] == pytest.approx(ndcg(made.places("test", one["gamma"]), depth), abs=1e-6)
        # No gamma of a fine grid is better on the validation answers.
        best = max(ndcg(made.places("valid", gamma), depth) for gamma in [0, *np.geomspace(0.01, 100, 40)])
        assert ndcg(made.places("valid", one["gamma"]), depth) >= best - 0.01
    # Popularity is informative in this data.
    assert found["NDCG@10"]["value"] > plain["NDCG@10"]["value"]


def test_paraphrases_match_their_items(index: Path, tmp_path: Path) -> None:
    labels = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet", columns=["id", "label"]).to_pydict()
    by_id = dict(zip(labels["id"], labels["label"], strict=True))
    said = {"dog face": "face of a dog", "birthday cake": "a cake for a birthday", "fire engine": "fire truck, red"}
    with (tmp_path / "said.jsonl").open("w") as out:
        for text in said.values():
            out.write(json.dumps({"id": text, "answer": text}) + "\n")
    encoder = Path(os.environ["CATALEX_MODELS"]) / "minilm"
    arguments: Words = ["--text", "answer", "--text-encoder", encoder, "--top", "3", "--out", tmp_path / "out.jsonl"]
    done("ground", tmp_path / "said.jsonl", "--items", index, *arguments)
    for line, label in zip(lines(tmp_path / "out.jsonl"), said, strict=True):
        assert label in [by_id[item] for item in line["items"]]


def test_wrong_calls_say_what_to_do(made: Made, tmp_path: Path) -> None:
    here = made.folder
    (tmp_path / "strange.txt").write_text("0\nnobody\n")
    np.save(tmp_path / "narrow.npy", made.items[:, :3])
    np.save(tmp_path / "few.npy", np.ones((3, 1), np.float32))
    answers = here / "test.npy"
    items: Words = ["--items", here / "items.npy"]
    cases: list[tuple[Words, int, list[str]]] = [
        ([answers, "--items", tmp_path / "narrow.npy"], 1, ["length 3", "same model"]),
        ([answers, *items, "--weights", tmp_path / "few.npy", "--gamma", "1"], 1, ["[400]", "[3]"]),
        ([answers, *items, "--interactions", here / "events.csv"], 2, ["gamma", "--valid"]),
        ([answers, *items, "--targets", tmp_path / "strange.txt"], 1, ["strange.txt", "row 2", "nobody"]),
        ([answers, *items, "--targets", here / "none.txt"], 1, ["none.txt"]),
        ([answers, *items, "--valid", answers, "--valid-targets", here / "test.txt"], 2, ["--interactions"]),
        ([answers, *items, "--text", "x"], 2, ["--text-encoder"]),
    ]
    for arguments, code, words in cases:
        run = catalex("ground", *arguments, "--out", tmp_path / "o")
        assert run.returncode == code, run.stderr
        assert all(word in run.stderr for word in words), run.stderr
        assert not (tmp_path / "o").exists()


def test_pieces_of_identifiers_name_items(index: Path, tmp_path: Path) -> None:
    emoji = ROOT / "fixtures" / "emoji"
    tokenizer = index / "vocabulary" / "tokenizer"
    columns: Words = ["--catalog", emoji / "catalog.parquet", "--title", "label", "--attributes", "group,subgroup"]
    more: Words = ["--interactions", emoji / "histories.csv", "--tokenizer", tokenizer, "--out", tmp_path / "export"]
    done("export", index, "--for", "transrec", *columns, *more)
    documents = lines(tmp_path / "export" / "documents.jsonl")
    (dog,) = (one for one in documents if one["facets"][3].strip() == "dog face")
    (cake,) = (one for one in documents if one["facets"][3].strip() == "birthday cake")
    encode = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode
    generated = [
        {
            "id": "by title and number",
            "pieces": [
                {"facet": "title", "text": " dog", "score": -1.5},
                {"facet": "title", "tokens": encode(" dog face", add_special_tokens=False).ids, "score": -2.0},
                {"facet": "number", "text": f" || {dog['number']}", "score": -3.0},
            ],
        },
        {"id": 7, "pieces": [{"facet": "semantic-id", "text": cake["semantic_id"], "score": -0.5}]},
        {"id": "nothing", "pieces": []},
    ]
    pieces = tmp_path / "pieces.jsonl"
    pieces.write_text("".join(json.dumps(one) + "\n" for one in generated))
    common: Words = ["--export", tmp_path / "export", "--tokenizer", tokenizer]
    done("aggregate", pieces, *common, "--top", "5", "--out", tmp_path / "ranked.jsonl")
    by_title, by_id, nothing = lines(tmp_path / "ranked.jsonl")
    assert by_title["items"][0] == dog["item_id"]
    # All that have a piece are dogs.
    titles = {one["item_id"]: one["facets"][3] for one in documents}
    assert len(by_title["items"]) > 1
    assert all("dog" in titles[item] for item in by_title["items"])
    assert by_title["scores"] == sorted(by_title["scores"], reverse=True)
    assert (by_id["id"], by_id["items"]) == (7, [cake["item_id"]])
    assert nothing["items"] == []

    piece = {"facet": "title", "text": "dog", "score": -1}
    wrong: list[tuple[dict[str, object], Words, list[str]]] = [
        ({**piece, "facet": "colour"}, common, ["row 1", "colour", "semantic-id"]),
        ({**piece, "score": 0.5}, common, ["line 1", "at most 0"]),
        ({**piece, "tokens": [1]}, common, ["row 1", "one of them"]),
        (piece, common[:2], ["--tokenizer"]),
        ({"facet": "title"}, common, ["pieces.jsonl", "line 1"]),
    ]
    for bad, arguments, words in wrong:
        pieces.write_text(json.dumps({"id": 1, "pieces": [bad]}) + "\n")
        run = catalex("aggregate", pieces, *arguments, "--out", tmp_path / "o")
        assert run.returncode == 1, run.stderr
        assert all(word in run.stderr for word in words), run.stderr
