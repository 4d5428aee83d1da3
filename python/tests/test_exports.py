"""Exports to LLM recommenders, read as by the loader of each family, on the emoji and on MovieLens-100K."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import math
import re
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exports import Source, emoji, ml_100k, ml_100k_folder, read_json, read_lines
from made import done

HISTORY = 10
PARTS = ["train", "valid", "test"]
SENTINEL = re.compile(r"<extra_id_\d+>")


@pytest.fixture(scope="module", params=["emoji", "ml-100k"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "emoji":
        return emoji(folder)
    if ml_100k_folder() is None:
        pytest.skip("EXPORTS ARE NOT TESTED ON MOVIELENS-100K: recbole is not installed here")
    return ml_100k(folder)


def targets(source: Source, part: str) -> list[tuple[str, list[str], str]]:
    """Users, histories and items of a part, by leave-one-out, as a loader would split them."""
    found = []
    for user, events in source.histories.items():
        items = [item for item, _ in events]
        n = len(items)
        places = {"train": range(1, n - 2), "valid": range(n - 2, n - 1), "test": range(n - 1, n)}[part]
        found += [(user, items[max(0, at - HISTORY) : at], items[at]) for at in places]
    return found


def check_files(out: Path, exported: dict[str, Any]) -> None:
    """The folder contains exactly the listed files."""
    on_disk = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert on_disk == {*exported["files"], "export.json"}
    description = read_json(out / "export.json")
    assert description.pop("sha256").startswith("catalex-sha256:")
    assert description == exported
    for name, said in exported["files"].items():
        content = (out / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (said["bytes"], said["sha256"])


def test_counts_are_those_of_the_file(source: Source, tmp_path: Path) -> None:
    exported = source.export("sequences", tmp_path / "out", "--history", str(HISTORY))
    check_files(tmp_path / "out", exported)
    counted = exported["interactions"]
    assert counted["users"] == len(source.histories)
    assert counted["events"] == sum(map(len, source.histories.values()))
    assert (counted["valid"], counted["test"]) == (counted["users"], counted["users"])
    if source.name == "emoji":
        assert (counted["unknown_events"], counted["unknown_item"]) == (2, "no-such-emoji")
        assert counted["short_users"] > 0
    assert exported["tasks"]["sequence"]["records"] == sum(len(targets(source, part)) for part in PARTS)


class LcRec:
    """The data sets of LC-Rec's data.py, as far as they depend on the files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.inters = read_json(folder / f"{name}.inter.json")
        self.indices = read_json(folder / f"{name}.index.json")
        self.item_feat = read_json(folder / f"{name}.item.json")
        self.user_info = read_json(folder / f"{name}.user.json")

    def seqrec(self, mode: str) -> list[tuple[str, str]]:
        """History and item of SeqRecDataset: `max_his_len`, `his_sep` ", ", no prefix."""
        found = []
        for items in self.inters.values():
            remapped = ["".join(self.indices[str(item)]) for item in items]
            if mode == "train":
                train = remapped[:-2]
                found += [(", ".join(train[:at][-HISTORY:]), train[at]) for at in range(1, len(train))]
            else:
                place = {"valid": -2, "test": -1}[mode]
                found.append((", ".join(remapped[:place][-HISTORY:]), remapped[place]))
        return found

    def item_search(self, mode: str) -> list[tuple[str, list[str], str]]:
        """ItemSearchDataset: every user of the preferences must be in the intentions of the mode."""
        intentions = self.user_info["user_vague_intention"][mode]
        found = []
        for user, preferences in self.user_info["user_explicit_preference"].items():
            assert preferences and all(isinstance(text, str) and text for text in preferences)
            user_query, item_query = intentions[user]["querys"]
            inters = ["".join(self.indices[str(item)]) for item in intentions[user]["inters"]]
            item = "".join(self.indices[str(intentions[user]["item"])])
            found.append((", ".join(inters[-HISTORY:]), [user_query, item_query], item))
        return found


def test_lc_rec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("lc-rec", out, "--history", str(HISTORY))
    check_files(out, exported)
    loaded = LcRec(out, source.name)
    assert {user: [str(item) for item in items] for user, items in loaded.inters.items()} == {
        user: [item for item, _ in events] for user, events in source.histories.items()
    }
    assert loaded.indices == {item: source.tokens(item) for item in source.codes}
    assert loaded.item_feat.keys() == source.codes.keys()
    for item, features in loaded.item_feat.items():
        assert features["title"] == source.titles[item]
        assert isinstance(features["description"], str)

    instructions = out / "instructions"
    for part in PARTS:
        made = read_json(instructions / f"seqrec.{part}.json")
        expected = loaded.seqrec(part)
        assert len(made) == len(expected)
        for record, (history, item) in zip(made, expected, strict=True):
            assert set(record) == {"instruction", "input", "output"}
            assert f" {history}" in record["instruction"] and record["output"] == item
        fusion = read_json(instructions / f"fusionseqrec.{part}.json")
        assert len(fusion) == len(expected)
        chats = read_lines(instructions / f"seqrec.{part}.chat.jsonl")
        assert [[message["role"] for message in chat["messages"]] for chat in chats] == [["user", "assistant"]] * len(
            made
        )
        assert [chat["messages"][1]["content"] for chat in chats] == [record["output"] for record in made]
    items = {source.id(item): item for item in source.codes}
    for record in read_json(instructions / "item2index.train.json"):
        assert record["output"] in items
    asked = read_json(instructions / "index2item.train.json")
    for record, item in zip(asked, source.codes, strict=True):
        assert source.id(item) in record["instruction"] and record["output"]

    searches = loaded.item_search("train")
    assert len(searches) > 0.9 * len(source.histories)
    made = read_json(instructions / "itemsearch.train.json")
    for record, (history, queries, item) in zip(made, searches, strict=True):
        assert record["output"] == item
        assert any(query in record["instruction"] for query in queries)
        assert "<a_" not in record["instruction"] or history in record["instruction"]
    tested = read_json(instructions / "itemsearch.test.json")
    assert [record["output"] for record in tested] == [item for *_, item in loaded.item_search("test")]
    # As in PreferenceObtainDataset: the events before the last training event.
    preferences = read_json(instructions / "preferenceobtain.train.json")
    said = [text for texts in loaded.user_info["user_explicit_preference"].values() for text in texts]
    assert [record["output"] for record in preferences] == said


def test_lc_rec_takes_preferences_that_are_given(tmp_path: Path) -> None:
    source = emoji(tmp_path)
    user, events = next(iter(source.histories.items()))
    items = [item for item, _ in events]

    def given(train_item: str) -> Path:
        train = {"item": train_item, "inters": [], "querys": ["for me?", "for it?"]}
        test = {"item": items[-1], "inters": [], "querys": ["now?", "it?"]}
        content = {
            "user_explicit_preference": {user: ["Likes LIKED."]},
            "user_vague_intention": {"train": {user: train}, "test": {user: test}},
        }
        (tmp_path / "users.json").write_text(json.dumps(content))
        return tmp_path / "users.json"

    out = tmp_path / "out"
    exported = source.export("lc-rec", out, "--users", given(items[-3]))
    (record,) = read_json(out / "instructions" / "preferenceobtain.train.json")
    assert record["output"] == "Likes LIKED."
    assert exported["tasks"]["itemsearch"] == {"records": 2, "skipped": len(source.histories) - 1}
    search = LcRec(out, "emoji").user_info["user_vague_intention"]["train"][user]
    assert (search["item"], search["inters"], search["querys"]) == (items[-3], items[:-3], ["for me?", "for it?"])
    with pytest.raises(AssertionError, match="held-out"):
        source.export("lc-rec", tmp_path / "other", "--users", given(items[-1]))


@pytest.mark.parametrize("shown", ["titles", "ids", "both"])
def test_tallrec(source: Source, tmp_path: Path, shown: str) -> None:
    out = tmp_path / "out"
    exported = source.export("tallrec", out, "--history", str(HISTORY), "--items", shown, "--few-shot", "64,16")
    check_files(out, exported)

    def item(name: str) -> str:
        title, written = f'"{source.titles[name]}"', source.id(name)
        return {"titles": title, "ids": written, "both": f"{title} {written}"}[shown]

    for part in PARTS:
        made = read_json(out / f"{part}.json")
        at = 0
        for user, events in source.histories.items():
            n = len(events)
            for place in {"train": range(1, n - 2), "valid": [n - 2], "test": [n - 1]}[part]:
                record = made[at]
                at += 1
                assert set(record) == {"instruction", "input", "output"}, user
                before = events[max(0, place - HISTORY) : place]
                liked = ", ".join(item(name) for name, rating in before if rating > 3)
                disliked = ", ".join(item(name) for name, rating in before if rating <= 3)
                lines = [f"Liked: {liked}"] * bool(liked) + [f"Disliked: {disliked}"] * bool(disliked)
                name, rating = events[place]
                assert record["input"].splitlines() == [*lines, f"Will the user like {item(name)}?"]
                assert record["output"] == ("Yes." if rating > 3 else "No.")
        assert at == len(made)
    train = {json.dumps(record) for record in read_json(out / "train.json")}
    small, large = read_json(out / "train.16.json"), read_json(out / "train.64.json")
    assert (len(small), len(large)) == (16, 64)
    assert large[:16] == small and all(json.dumps(record) in train for record in large)


def test_tallrec_without_ratings(tmp_path: Path) -> None:
    source = emoji(tmp_path)
    out = tmp_path / "out"
    source.export("tallrec", out, "--implicit")
    made = read_json(out / "train.json")
    assert [record["output"] for record in made] == ["Yes.", "No."] * (len(made) // 2)


def test_instructrec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("instructrec", out, "--history", str(HISTORY), "--candidates", "6")
    check_files(out, exported)
    preferences = {"sequential": {"implicit", "explicit"}, "product-search": {"none"}}
    preferences["personalised-search"] = {"implicit", "explicit"}
    seen = set()
    titles = {f'"{title}"' for title in source.titles.values()}
    for kind, allowed in preferences.items():
        for part in PARTS:
            for record in read_lines(out / f"{kind}.{part}.jsonl"):
                assert set(record) == {"inputs", "targets", "kind", "preference", "intention", "form"}
                assert record["kind"] == kind and record["preference"] in allowed
                assert record["intention"] in ({"none"} if kind == "sequential" else {"vague", "specific"})
                seen.add((kind, record["preference"], record["intention"], record["form"]))
                inputs, answer = record["inputs"], record["targets"]
                if record["form"] == "matching-blank":
                    # T5's layout: a sentinel in the source, and its content between two sentinels in the target.
                    assert SENTINEL.findall(inputs) == ["<extra_id_0>"]
                    assert answer.startswith("<extra_id_0> ") and answer.endswith(" <extra_id_1>")
                    answer = answer[len("<extra_id_0> ") : -len(" <extra_id_1>")]
                else:
                    assert not SENTINEL.search(inputs + answer)
                if record["form"] == "pointwise":
                    assert answer in {"Yes", "No"}
                else:
                    assert answer in titles
                if record["form"] in {"pairwise", "reranking"}:
                    assert answer in inputs
    # Every preference with every intention in every form.
    assert len(seen) == 5 * (2 + 2 + 4)


def test_bigrec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("bigrec", out, "--history", str(HISTORY))
    check_files(out, exported)
    liked = {(user, item) for user, events in source.histories.items() for item, rating in events if rating > 3}
    for part in PARTS:
        made = read_json(out / f"{part}.json")
        expected = [target for target in targets(source, part) if (target[0], target[2]) in liked]
        for record, (_, history, item) in zip(made, expected, strict=True):
            assert set(record) == {"instruction", "input", "output"}
            # As in BIGRec's evaluate.py, which finds the item by its text.
            assert record["output"].strip('"') == source.titles[item].strip('"')
            assert record["input"] == "So far: " + ", ".join(f'"{source.titles[name]}"' for name in history)
    items = read_lines(out / "items.jsonl")
    assert [str(item["item_id"]) for item in items] == list(source.titles)
    popularity = dict.fromkeys(source.titles, 0)
    for events in source.histories.values():
        for item, _ in events[:-2]:
            popularity[item] += 1
    assert {str(item["item_id"]): item["popularity"] for item in items} == popularity


def test_transrec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("transrec", out, "--history", str(HISTORY))
    check_files(out, exported)
    documents = read_lines(out / "documents.jsonl")
    text = {document["number"]: "".join(document["facets"]) for document in documents}
    for number, (document, item) in enumerate(zip(documents, source.codes, strict=True)):
        assert (document["number"], str(document["item_id"])) == (number, item)
        assert text[number].startswith(f" || {number} ## ")
        assert source.id(item) in text[number] and text[number].endswith(" ".join(source.titles[item].split()))
    number_of = {item: number for number, item in enumerate(source.codes)}
    for part in PARTS:
        sources = (out / f"{part}.source").read_text(encoding="utf-8").split("\n")
        lines = (out / f"{part}.target").read_text(encoding="utf-8").split("\n")
        assert len(sources) == len(lines) and sources[-1] == lines[-1] == ""
        by_facet: dict[str, list[str]] = {}
        wanted = iter(targets(source, part))
        current: tuple[str, list[str], str] | None = None
        for question, target in zip(sources[:-1], lines[:-1], strict=True):
            assert question.startswith(" ") and question.endswith(" || +") and target.startswith(" ")
            facet = question.split(" || ")[-2]
            by_facet.setdefault(facet, []).append(target)
            if facet == "ID":
                current = next(wanted)
                assert target == f" || {number_of[current[2]]} ##"
                assert "; ".join(str(number_of[item]) for item in current[1]) in question
            assert current is not None
            # Every target is a fragment of the document of the next item, so the FM-index contains it.
            assert target.strip() in text[number_of[current[2]]]
        assert next(wanted, None) is None
        assert set(by_facet) == {"ID", "title", "attribute", "index"}


def test_ranking(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("ranking", out, "--history", str(HISTORY), "--candidates", "8")
    check_files(out, exported)
    test = {user: (history, item) for user, history, item in targets(source, "test")}
    for task, n in [("pointwise", 1), ("pairwise", 2), ("listwise", 8), ("profile", 0)]:
        made = read_lines(out / f"{task}.jsonl")
        assert len(made) == len(test) * (2 if task == "pointwise" else 1)
        assert len({record["id"] for record in made}) == len(made)
        for record in made:
            history, item = test[record["user"]]
            prompt = record["messages"][-1]["content"]
            assert record["messages"][-1]["role"] == "user"
            for number, name in enumerate(history, 1):
                assert f"{number}. {source.titles[name]}" in prompt
            candidates = record["candidates"]
            assert len(candidates) == n
            had = {name for name, _ in source.histories[record["user"]]}
            for number, candidate in enumerate(candidates, 1):
                assert set(candidate) == {"item_id", "title", "semantic_id"}
                assert candidate["title"] == source.titles[candidate["item_id"]]
                assert candidate["semantic_id"] == source.id(candidate["item_id"])
                assert (candidate["item_id"] == item) == (number == record["target"])
                assert candidate["item_id"] == item or candidate["item_id"] not in had
                if task != "pointwise":
                    assert f"\n{number}. {candidate['title']}\n" in prompt
            assert record["label"] == (record["target"] == 1 if task == "pointwise" else None)
        if task == "pointwise":
            assert sum(record["label"] for record in made) == len(test)


def test_answers_are_read(source: Source, tmp_path: Path) -> None:
    source.export("ranking", tmp_path / "out", "--candidates", "6")
    prompts = read_lines(tmp_path / "out" / "listwise.jsonl")[:40]
    expected, said = [], []
    for at, prompt in enumerate(prompts):
        candidates = prompt["candidates"]
        # Titles of films repeat, so answers by title are tested only with the emoji.
        order = [(3 * place + at) % len(candidates) if at % 2 else place for place in range(len(candidates))]
        order = list(dict.fromkeys(order))
        if at % 4 == 0:
            answer = "\n".join(f"{rank}. {place + 1}" for rank, place in enumerate(order, 1))
        elif at % 4 == 1:
            answer = "Sure! Here it is:\n" + "\n".join(candidates[place]["semantic_id"] for place in order)
        elif at % 4 == 2:
            answer = " > ".join(f"[{place + 1}]" for place in order)
        else:
            answer = "I cannot say."
            order = []
        said.append({"id": prompt["id"], "answer": answer})
        expected.append([candidates[place]["item_id"] for place in order])
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    out = tmp_path / "ranked.jsonl"
    printed = done("answers", tmp_path / "out" / "listwise.jsonl", tmp_path / "answers.jsonl", "--out", out, "--json")
    ranked = read_lines(out)
    assert [line["ranking"] for line in ranked] == expected
    for line, prompt in zip(ranked, prompts, strict=True):
        assert sorted(line["ranking"] + line["missing"]) == sorted(item["item_id"] for item in prompt["candidates"])
    statistics = json.loads(printed)
    assert (statistics["answers"], statistics["judged"], statistics["empty"]) == (40, 40, 10)
    assert (statistics["malformed"], statistics["repeated"]) == (20, 0)
    right = [prompt["candidates"][prompt["target"] - 1]["item_id"] for prompt in prompts]
    gains = [1 / math.log2(2 + order.index(item)) for order, item in zip(expected, right, strict=True) if item in order]
    assert statistics["ndcg"] == pytest.approx(sum(gains) / 40)
    assert statistics["first"] == sum(order[:1] == [item] for order, item in zip(expected, right, strict=True))


def test_agents(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("agents", out, "--history", str(HISTORY), "--candidates", "12")
    check_files(out, exported)
    truth = {record["user"]: [str(item) for item in record["item_ids"]] for record in read_lines(out / "truth.jsonl")}
    assert truth == {user: [events[-1][0]] for user, events in source.histories.items()}
    levels = []
    for profile in read_lines(out / "profiles.jsonl"):
        events = source.histories[profile["user"]]
        assert [(had["item_id"], had["rating"]) for had in profile["history"]] == events[:-2]
        pages = [[item["item_id"] for item in page["items"]] for page in profile["pages"]]
        assert [len(page) for page in pages] == [4, 4, 4]
        shown = [item for page in pages for item in page]
        assert set(shown) & {item for item, _ in events} == {events[-1][0]}
        assert all(item["title"] in page["prompt"] for page in profile["pages"] for item in page["items"])
        assert profile["activity"]["events"] == len(events) - 2
        levels.append((len(events), profile["activity"]["level"]))
        assert all(0 < attribute["share"] <= 1 for attribute in profile["taste"])
        assert profile["persona"]
    assert {level for _, level in levels} == {"low", "medium", "high"}
    order = {"low": 0, "medium": 1, "high": 2}
    assert [order[level] for _, level in sorted(levels)] == sorted(order[level] for _, level in levels)


def test_minionerec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("minionerec", out, "--history", str(HISTORY))
    check_files(out, exported)
    indices, features = read_json(out / f"{source.name}.index.json"), read_json(out / f"{source.name}.item.json")
    assert indices == {item: source.tokens(item) for item in source.codes}
    assert {item: feature["title"] for item, feature in features.items()} == source.titles
    info = [line.split("\t") for line in (out / "info" / f"{source.name}.txt").read_text(encoding="utf-8").splitlines()]
    assert info == [[source.id(item), title, item] for item, title in source.titles.items()]
    for part in PARTS:
        with (out / part / f"{source.name}.csv").open(encoding="utf-8", newline="") as file:
            made = list(csv.DictReader(file))
        for row, (user, history, item) in zip(made, targets(source, part), strict=True):
            assert list(row) == [
                "user_id",
                "history_item_title",
                "item_title",
                "history_item_id",
                "item_id",
                "history_item_sid",
                "item_sid",
            ]
            assert (row["user_id"], row["item_id"], row["item_sid"]) == (user, item, source.id(item))
            assert row["item_title"] == source.titles[item]
            # MiniOneRec's data.py reads these cells with `eval`.
            assert ast.literal_eval(row["history_item_title"]) == [source.titles[name] for name in history]
            assert [str(name) for name in ast.literal_eval(row["history_item_id"])] == history
            assert ast.literal_eval(row["history_item_sid"]) == [source.id(name) for name in history]


def test_openonerec(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("openonerec", out, "--history", str(HISTORY))
    check_files(out, exported)

    def marked(item: str) -> str:
        return f"<|sid_begin|>{source.id(item)}<|sid_end|>"

    uuids = set()
    for name in ["item-understand/train", *(f"next-item/{part}" for part in PARTS)]:
        table = pq.read_table(out / f"{name}.parquet")
        assert table.schema.names == ["source", "uuid", "messages", "metadata"]
        assert set(table.schema.types) == {pa.string()}
        rows = table.to_pylist()
        uuids |= {str(uuid.UUID(row["uuid"], version=4)) for row in rows}
        texts = []
        for row in rows:
            messages = json.loads(row["messages"])
            assert [message["role"] for message in messages] == ["system", "user", "assistant"]
            assert all(part["type"] == "text" for message in messages for part in message["content"])
            texts.append([message["content"][0]["text"] for message in messages])
        if name.startswith("next-item"):
            expected = targets(source, name.split("/")[1])
            for row, (_, prompt, answer), (user, history, item) in zip(rows, texts, expected, strict=True):
                assert "".join(map(marked, history)) in prompt and answer == marked(item)
                assert json.loads(row["metadata"]) == {"uid": user}
        else:
            for (_, prompt, answer), item in zip(texts, source.codes, strict=True):
                assert marked(item) in prompt and answer
    assert len(uuids) == len(source.codes) + sum(len(targets(source, part)) for part in PARTS)


def test_llamafactory(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("llamafactory", out, "--history", str(HISTORY))
    check_files(out, exported)
    info = read_json(out / "dataset_info.json")
    assert set(info) == {f"{source.name}_{part}" for part in PARTS}
    for part in PARTS:
        described = info[f"{source.name}_{part}"]
        tags, made = described["tags"], read_lines(out / described["file_name"])
        # As LLaMA-Factory's SharegptDatasetConverter reads them.
        assert described["formatting"] == "sharegpt"
        for record in made:
            messages = record[described["columns"]["messages"]]
            roles = [message[tags["role_tag"]] for message in messages]
            assert roles == [tags["user_tag"], tags["assistant_tag"]]
            assert all(message[tags["content_tag"]] for message in messages)
        if part == "valid":
            assert len(made) == 2 * len(source.histories)


def test_trl(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = source.export("trl", out, "--history", str(HISTORY), "--split", "time", "--valid-share", "0.2")
    check_files(out, exported)
    for part in PARTS:
        for record in read_lines(out / f"{part}.jsonl"):
            assert set(record) == {"prompt", "completion"}
            assert [message["role"] for message in record["prompt"]] == ["user"]
            assert [message["role"] for message in record["completion"]] == ["assistant"]
            assert all(set(message) == {"role", "content"} for message in record["prompt"] + record["completion"])


def test_sequences(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    source.export("sequences", out, "--history", str(HISTORY))

    def tokens(item: str) -> list[int]:
        return [16 * level + code for level, code in enumerate(source.codes[item])]

    for part in PARTS:
        table = pq.read_table(out / f"{part}.parquet")
        lists = pa.list_(pa.field("item", pa.int32(), nullable=False))
        assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
            "user_id": pa.string(),
            "item_id": pa.string(),
            "input_ids": lists,
            "labels": lists,
        }
        for row, (user, history, item) in zip(table.to_pylist(), targets(source, part), strict=True):
            assert (row["user_id"], row["item_id"], row["labels"]) == (user, item, tokens(item))
            assert row["input_ids"] == [token for name in history for token in tokens(name)]
