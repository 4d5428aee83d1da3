"""Extended tokenizers of every family, loaded with transformers, tokenizers and sentencepiece."""

import functools
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sentencepiece
from tokenizers import Tokenizer
from tokenizers_support import (
    CODES,
    FAMILIES,
    LEVELS,
    MODEL_NAMES,
    MODELS,
    SENTENCES,
    catalex,
    scripts,
    sentences,
    source,
    train,
    write_table,
)
from transformers import AutoTokenizer

pytestmark = pytest.mark.skipif(MODELS is None, reason="CATALEX_MODELS is not set: run through make")

BEGIN, END = "<|sid_begin|>", "<|sid_end|>"
CONTEXTS = ["Buy {}, please.", " {}", "The user chose\n{}\nand then ({}).", "“{}”", "他买了{}。", "{}{}", "x{}y"]
# For tokenizers that come without a chat template.
TEMPLATE = "{% for message in messages %}<{{ message.role }}> {{ message.content }}\n{% endfor %}"


@dataclass(frozen=True)
class Extended:
    """A tokenizer before and after it is extended."""

    family: str
    before: Path
    vocabulary: Path
    table: Path

    @property
    def folder(self) -> Path:
        return self.vocabulary / "tokenizer"

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.vocabulary / "vocabulary.json").read_text())
        return found

    @property
    def ids(self) -> dict[str, Any]:
        found: dict[str, Any] = self.description["tokenizer"]
        return found

    @property
    def ids_by_token(self) -> dict[str, int]:
        found: dict[str, int] = self.ids["token_ids"]
        return found

    def semantic_ids(self) -> list[str]:
        found: list[str] = pq.read_table(self.table)["semantic_id"].to_pylist()
        return found

    def tokens_of(self, semantic_id: str) -> list[int]:
        return [self.ids_by_token[f"{token}>"] for token in semantic_id.split(">")[:-1]]


@pytest.fixture(scope="module", params=FAMILIES)
def extended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Extended:
    family = request.param
    home = tmp_path_factory.mktemp(family)
    (home / "before").mkdir()
    before = source(family, home / "before")
    write_table(home / "tokens.parquet")
    markers = ["--begin-token", BEGIN, "--end-token", END, "--pad-to-multiple-of", "64"]
    done = catalex("vocab", home / "tokens.parquet", "--tokenizer", before, "--out", home / "vocabulary", *markers)
    assert done.returncode == 0, done.stderr
    return Extended(family, before, home / "vocabulary", home / "tokens.parquet")


@pytest.fixture(scope="module")
def tokenizer(extended: Extended) -> Any:
    return AutoTokenizer.from_pretrained(extended.folder)


@pytest.fixture(scope="module")
def original(extended: Extended) -> Any:
    return AutoTokenizer.from_pretrained(extended.before)


def model_of(folder: Path) -> Path | None:
    return next((folder / name for name in MODEL_NAMES if (folder / name).is_file()), None)


def positions(ids: list[int], wanted: list[int]) -> list[int]:
    return [at for at in range(len(ids)) if ids[at : at + len(wanted)] == wanted]


def test_ids_follow_the_highest_in_use_and_stay_level_major(extended: Extended, tokenizer: Any, original: Any) -> None:
    ids, by_token = extended.ids, extended.ids_by_token
    assert ids["first_id"] == max(original.get_vocab().values()) + 1
    tokens = [f"<{level}_{code}>" for level in "abcd" for code in range(CODES)] + [BEGIN, END]
    assert list(by_token) == tokens == extended.description["add_tokens_list"]
    assert list(by_token.values()) == list(range(ids["first_id"], ids["vocabulary_size"]))
    assert ids["trainable_token_indices"] == list(by_token.values())
    assert ids["first_ids"] == [ids["first_id"] + CODES * level for level in range(LEVELS)]
    assert (by_token[BEGIN], by_token[END]) == (ids["begin_id"], ids["end_id"])
    assert ids["embedding_rows"] % 64 == 0 and 0 <= ids["embedding_rows"] - ids["vocabulary_size"] < 64
    assert tokenizer.convert_tokens_to_ids(tokens) == list(by_token.values())
    assert len(tokenizer) == ids["vocabulary_size"]
    old = original.get_vocab()
    assert {word: id for word, id in tokenizer.get_vocab().items() if word not in by_token} == old
    assert {str(token) for token in original.all_special_tokens} == {str(t) for t in tokenizer.all_special_tokens}


def test_every_semantic_id_is_one_token_per_level_and_round_trips(extended: Extended, tokenizer: Any) -> None:
    for semantic_id in extended.semantic_ids():
        ids = tokenizer.encode(semantic_id, add_special_tokens=False)
        assert ids == extended.tokens_of(semantic_id)
        decoded = tokenizer.decode(ids)
        # WordPiece's decoder puts spaces between words.
        assert decoded.replace(" ", "") == semantic_id
        assert (decoded != semantic_id) == extended.ids["spaces_between_tokens"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == decoded


def test_ids_inside_text_and_chats_stay_whole(extended: Extended, tokenizer: Any) -> None:
    template = None if tokenizer.chat_template else TEMPLATE
    for semantic_id in extended.semantic_ids()[::15]:
        wanted = extended.tokens_of(semantic_id)
        for context in CONTEXTS:
            ids = tokenizer.encode(context.format(*[semantic_id] * 2))
            assert len(positions(ids, wanted)) == context.count("{}"), context
            assert sum(id in wanted for id in ids) >= LEVELS * context.count("{}")
        marked = tokenizer.encode(f"Next: {BEGIN}{semantic_id}{END}.", add_special_tokens=False)
        assert positions(marked, [extended.ids["begin_id"], *wanted, extended.ids["end_id"]])
        chat = [
            {"role": "user", "content": f"I liked {semantic_id}, {semantic_id}. What next?"},
            {"role": "assistant", "content": semantic_id},
        ]
        ids = tokenizer.apply_chat_template(chat, chat_template=template, return_dict=False)
        assert len(positions(ids, wanted)) == 3


def test_ordinary_text_is_tokenized_as_before(extended: Extended, tokenizer: Any, original: Any) -> None:
    texts = sentences()
    assert len(set(texts)) == SENTENCES
    assert len({script for text in texts for script in scripts(text)}) >= 15
    assert original(texts)["input_ids"] == tokenizer(texts)["input_ids"]


def test_the_tokenizers_library_reads_the_file(extended: Extended) -> None:
    if not (extended.folder / "tokenizer.json").is_file():
        assert model_of(extended.folder)
        return
    tokenizer = Tokenizer.from_file(str(extended.folder / "tokenizer.json"))
    tokenizer.no_padding()
    for semantic_id in extended.semantic_ids()[::10]:
        assert tokenizer.encode(semantic_id, add_special_tokens=False).ids == extended.tokens_of(semantic_id)
    before = json.loads((extended.before / "tokenizer.json").read_text(encoding="utf-8"))
    after = json.loads((extended.folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = after.pop("added_tokens")
    old = before.pop("added_tokens")
    assert added[: len(old)] == old and after == before
    assert [(t["content"], t["id"]) for t in added[len(old) :]] == list(extended.ids_by_token.items())


def test_a_sentencepiece_model_has_the_same_ids(extended: Extended) -> None:
    path, old = model_of(extended.folder), model_of(extended.before)
    assert (path is None) == (old is None) == (extended.ids["sentencepiece_model"] is None)
    assert (path is not None and extended.family != "xlm-r") == extended.ids["sentencepiece_extended"]
    if path is None or old is None:
        return
    if extended.family == "xlm-r":
        assert path.read_bytes() == old.read_bytes()
    else:
        check_model(old, path, extended)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_bare_sentencepiece_model_is_extended(kind: str, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    old = train(tmp_path / "before", kind)
    write_table(tmp_path / "tokens.parquet")
    done = catalex("vocab", tmp_path / "tokens.parquet", "--tokenizer", old.parent, "--out", tmp_path / "vocabulary")
    assert done.returncode == 0, done.stderr
    extended = Extended(kind, old.parent, tmp_path / "vocabulary", tmp_path / "tokens.parquet")
    assert extended.ids["first_id"] == 4000
    check_model(old, extended.folder / "spiece.model", extended)


def check_model(old: Path, path: Path, extended: Extended) -> None:
    assert path.read_bytes().startswith(old.read_bytes())
    before, after = (sentencepiece.SentencePieceProcessor(model_file=str(model)) for model in (old, path))
    assert after.get_piece_size() == extended.ids["vocabulary_size"]
    assert [after.id_to_piece(id) for id in extended.ids_by_token.values()] == list(extended.ids_by_token)
    texts = sentences()
    assert after.encode(texts) == before.encode(texts)
    # SentencePiece itself puts a space in front of a text.
    space = after.piece_to_id("▁")
    for semantic_id in extended.semantic_ids():
        ids = after.encode(semantic_id)
        assert [id for id in ids if id != space] == extended.tokens_of(semantic_id)
        assert after.decode(ids) == semantic_id
    for semantic_id in extended.semantic_ids()[::15]:
        for context in CONTEXTS:
            ids = after.encode(context.format(semantic_id, semantic_id))
            assert len(positions(ids, extended.tokens_of(semantic_id))) == context.count("{}")


def test_other_files_and_settings_are_copied(extended: Extended, tokenizer: Any, original: Any) -> None:
    ours = {"tokenizer.json", "tokenizer_config.json", "added_tokens.json", *MODEL_NAMES}
    for path in extended.before.iterdir():
        if path.is_file() and path.name not in ours and not path.name.endswith((".onnx", ".safetensors")):
            assert (extended.folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert not list(extended.folder.glob("*.onnx"))
    assert tokenizer.chat_template == original.chat_template
    config = extended.before / "tokenizer_config.json"
    if config.is_file():
        before, after = (json.loads(p.read_text()) for p in (config, extended.folder / config.name))
        known = after.get("added_tokens_decoder", {})
        for token, id in extended.ids_by_token.items():
            assert not known or known.pop(str(id))["content"] == token
        assert after == before and list(after) == list(before)


def test_saving_and_loading_again_keeps_the_ids(extended: Extended, tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for semantic_id in extended.semantic_ids()[::50]:
        assert again.encode(semantic_id, add_special_tokens=False) == extended.tokens_of(semantic_id)


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_extending_twice_is_extending_once(extended: Extended, tmp_path: Path) -> None:
    flags = ["--begin-token", BEGIN, "--end-token", END, "--pad-to-multiple-of", "64"]
    done = catalex("vocab", extended.table, "--tokenizer", extended.folder, "--out", tmp_path / "again", *flags)
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "again") == hashes(extended.vocabulary)

    write_table(tmp_path / "other.parquet", model_hash="1" * 64)
    done = catalex("vocab", tmp_path / "other.parquet", "--tokenizer", extended.folder, "--out", tmp_path / "other")
    assert done.returncode == 1 and "before it was extended" in done.stderr
    # Without the record, the origin of the existing tokens is unknown.
    shutil.copytree(extended.folder, tmp_path / "unknown")
    (tmp_path / "unknown" / "catalex.json").unlink()
    done = catalex("vocab", extended.table, "--tokenizer", tmp_path / "unknown", "--out", tmp_path / "other")
    assert done.returncode == 1 and '"<a_0>" with id' in done.stderr
    assert not (tmp_path / "other").exists()
