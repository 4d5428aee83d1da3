"""Special tokens outside `tokenizer.json`, ids with gaps, and checkpoints with other tensors, in transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers_support import CODES, LEVELS, catalex, write_table
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

NEW = LEVELS * CODES
MAP, CONFIG, ADDED = "special_tokens_map.json", "tokenizer_config.json", "added_tokens.json"
FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
# Files next to a tokenizer that has only <|endoftext|>.
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {CONFIG: FAST},
    "pad": {CONFIG: {**FAST, "pad_token": "<pad>", "additional_special_tokens": ["<x>", "<y>", "<|endoftext|>"]}},
    "flags": {
        CONFIG: {**FAST, "mask_token": {"__type": "AddedToken", "content": "<mask>", **FLAGS, "lstrip": True}},
    },
    "extra list": {CONFIG: {**FAST, "extra_special_tokens": ["<e1>", "<e2>"], "pad_token": "<pad>"}},
    "extra names": {CONFIG: {**FAST, "extra_special_tokens": {"image_token": "<image>"}, "unk_token": "<unk>"}},
    "model-specific": {CONFIG: {**FAST, "video_token": "<video>", "image_token": "<image>", "pad_token": "<pad>"}},
    "map": {CONFIG: {**FAST, "pad_token": "<old>"}, MAP: {"pad_token": "<pad>", "cls_token": {"content": "<cls>"}}},
    "map alone": {MAP: {"pad_token": "<pad>", "additional_special_tokens": ["<x>"]}},
    "decoder": {
        CONFIG: {
            **FAST,
            "pad_token": "<pad>",
            "added_tokens_decoder": {"0": {"content": "<|endoftext|>", **FLAGS}, "{next}": {"content": "<d>", **FLAGS}},
        },
        MAP: {"cls_token": "<not read>"},
    },
    "added": {CONFIG: {**FAST, "pad_token": "<pad>"}, ADDED: {"<a>": "{next}"}},
    "gpt2": {CONFIG: {"tokenizer_class": "GPT2TokenizerFast", "unk_token": "<unk>", "pad_token": "<pad>"}},
    "qwen2": {CONFIG: {"tokenizer_class": "Qwen2TokenizerFast", "additional_special_tokens": ["<|im_start|>"]}},
    "gpt_neox": {CONFIG: {"tokenizer_class": "GPTNeoXTokenizerFast"}},
    "roberta": {CONFIG: {"tokenizer_class": "RobertaTokenizerFast"}},
    "llama on bytes": {CONFIG: {"tokenizer_class": "LlamaTokenizerFast", "pad_token": "<pad>"}},
    "null": {CONFIG: {**FAST, "pad_token": None, "bos_token": "<bos>"}},
}


def write_tokenizer(folder: Path, layout: dict[str, Any], change: Any = None) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["item hello world foo bar " * 5], trainer)
    folder.mkdir()
    content = json.loads(tokenizer.to_str())
    if change is not None:
        change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    following = str(tokenizer.get_vocab_size())
    for name, file in layout.items():
        text = json.dumps(file).replace('"{next}":', f'"{following}":').replace('"{next}"', following)
        (folder / name).write_text(text)


def extend(home: Path, *more: str) -> tuple[Any, Any, dict[str, Any]]:
    """The tokenizers before and after extending, and the description."""
    write_table(home / "t.parquet")
    done = catalex("vocab", home / "t.parquet", "--tokenizer", home / "before", "--out", home / "v", *more)
    assert done.returncode == 0, done.stderr
    description = json.loads((home / "v" / "vocabulary.json").read_text())["tokenizer"]
    after = AutoTokenizer.from_pretrained(home / "v" / "tokenizer")
    return AutoTokenizer.from_pretrained(home / "before"), after, description


@pytest.mark.parametrize("name", LAYOUTS)
def test_ids_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "before", LAYOUTS[name])
    before, after, ids = extend(tmp_path)
    old = before.get_vocab()
    assert ids["first_id"] == max(old.values()) + 1 == len(before)
    assert {word: id for word, id in after.get_vocab().items() if word not in ids["token_ids"]} == old
    assert len(after) == ids["vocabulary_size"] == ids["embedding_rows"] == len(before) + NEW
    assert after.convert_tokens_to_ids(list(ids["token_ids"])) == list(ids["token_ids"].values())
    assert after.all_special_tokens == before.all_special_tokens
    text = "hello <pad> world<x>" + "".join(before.all_special_tokens)
    assert after(text)["input_ids"] == before(text)["input_ids"]
    # `tokenizer.json` alone is enough, and a second run changes nothing.
    alone = Tokenizer.from_file(str(tmp_path / "v" / "tokenizer" / "tokenizer.json"))
    assert alone.get_vocab() == after.get_vocab()
    done = catalex("vocab", tmp_path / "t.parquet", "--tokenizer", tmp_path / "v/tokenizer", "--out", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w/vocabulary.json").read_bytes() == (tmp_path / "v/vocabulary.json").read_bytes()


def test_id_gaps_are_filled_and_new_ids_follow_the_highest(tmp_path: Path) -> None:
    def reserve(content: dict[str, Any]) -> None:
        vocab = content["model"]["vocab"]
        following = len(vocab)
        for word, id in (("[BOS]", following), ("[EOS]", following + 1), ("[PAD]", following + 31)):
            vocab[word] = id
            content["added_tokens"].append({"id": id, "content": word, **FLAGS})

    write_tokenizer(tmp_path / "before", {CONFIG: {"tokenizer_class": "PreTrainedTokenizerFast"}}, reserve)
    before, after, ids = extend(tmp_path)
    old = before.get_vocab()
    assert ids["first_id"] == max(old.values()) + 1 > len(before)
    assert len(after) == ids["vocabulary_size"]
    new = after.get_vocab()
    assert sorted(new.values()) == list(range(len(after))) and all(new[word] == id for word, id in old.items())
    assert after("hello [PAD] world")["input_ids"] == before("hello [PAD] world")["input_ids"]


def tiny(kind: str, words: int) -> Any:
    torch.manual_seed(0)
    ends = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    match kind:
        case "bart":
            sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
            heads = {"encoder_attention_heads": 1, "decoder_attention_heads": 1, "decoder_start_token_id": 0}
            config = BartConfig(
                vocab_size=words, d_model=8, max_position_embeddings=16, forced_eos_token_id=0, **sizes, **heads, **ends
            )
            return BartForConditionalGeneration(config)
        case "t5" | "t5-untied":
            config = T5Config(vocab_size=words, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
            config.tie_word_embeddings = kind == "t5"
            config.decoder_start_token_id = 0
            return T5ForConditionalGeneration(config)
        case "gpt2":
            return GPT2LMHeadModel(
                GPT2Config(vocab_size=words, n_embd=8, n_layer=1, n_head=1, n_positions=words, **ends)
            )
        case _:
            return LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=words, hidden_size=8, intermediate_size=words, num_hidden_layers=1,
                    num_attention_heads=1, tie_word_embeddings=False, **ends,
                )
            )  # fmt: skip


@pytest.mark.parametrize("pad", [False, True], ids=["", "with a token outside"])
@pytest.mark.parametrize("kind", ["bart", "t5", "t5-untied", "gpt2", "llama"])
def test_a_written_model_loads_in_transformers(kind: str, pad: bool, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "before", {CONFIG: {**FAST, "pad_token": "<pad>"} if pad else FAST})
    words = len(AutoTokenizer.from_pretrained(tmp_path / "before")) - pad
    model = tiny(kind, words)
    model.save_pretrained(tmp_path / "before")
    rows = ["--llm", str(tmp_path / "before"), "--start-values", "mean", "--write-model"]
    _, tokenizer, ids = extend(tmp_path, *rows)
    loaded, info = type(model).from_pretrained(tmp_path / "v" / "model", output_loading_info=True)
    assert not info["mismatched_keys"] and not info["unexpected_keys"], info
    assert len(tokenizer) == ids["vocabulary_size"] == words + pad + NEW == loaded.config.vocab_size
    weight, old = loaded.get_input_embeddings().weight, model.get_input_embeddings().weight
    assert torch.equal(weight[:words], old) and weight.shape == (words + pad + NEW, 8)
    saved = load_file(tmp_path / "v" / "model" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "before" / "model.safetensors").items():
        if {"embed_tokens", "shared", "wte", "lm_head", "final_logits_bias"} & set(name.split(".")):
            assert words + pad + NEW in saved[name].shape, name
        else:
            assert saved[name].shape == tensor.shape, name
    said = torch.tensor([list(ids["token_ids"].values())[:3]])
    settings = {"decoder_input_ids": said} if kind in {"bart", "t5", "t5-untied"} else {}
    logits = loaded(input_ids=said, **settings).logits
    assert logits.shape[-1] == words + pad + NEW and torch.isfinite(logits).all()
