"""Start values, resized checkpoints and GGUF files, loaded by the programs that read them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

import catalex
from catalex import apply_start_values

WORDS = ["[UNK]", "red", "green", "blue", "pen", "lamp", "chair", "of", "wood", "steel", "glass", "old"]
SIZES = [16, 16]
ITEMS = 60
DIM = 256
ROWS = len(WORDS)
NEW = sum(SIZES)
Q = gguf.GGMLQuantizationType


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False)


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors, a model trained on them, the token table, and a catalog."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    kind = rng.integers(1, ROWS, ITEMS)
    vectors = rng.normal(size=(ROWS, 8))[kind] + 0.2 * rng.normal(size=(ITEMS, 8))
    np.save(folder / "x.npy", vectors.astype("float32"))
    texts = [f"{WORDS[k]} {WORDS[(k * 5) % 11 + 1]}" for k in kind]
    pq.write_table(pa.table({"id": np.arange(ITEMS), "text": texts}), folder / "catalog.parquet")
    done = run("train", folder / "x.npy", "--levels", 2, "--codebook-size", 16, "--out", folder / "m")
    assert done.returncode == 0, done.stderr
    done = run("tokenize", folder / "x.npy", "--model", folder / "m", "--out", folder / "t.parquet")
    assert done.returncode == 0, done.stderr
    return folder


def vocabulary(shop: Path, llm: Path, out: Path, *more: object) -> Path:
    catalog = ["--catalog", shop / "catalog.parquet", "--text", "text", "--model", shop / "m"]
    done = run("vocab", shop / "t.parquet", "--tokenizer", llm, "--llm", llm, *catalog, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return out


def architectures() -> dict[str, Any]:
    """Small random models of the families whose tensors have different names."""
    common: dict[str, Any] = {"vocab_size": ROWS}
    decoder = {**common, "num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
    llama = {**decoder, "intermediate_size": 16, "num_key_value_heads": 2}
    t5 = {**common, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    bert = {**decoder, "intermediate_size": 16}
    return {
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**llama)),
        "llama-tied": lambda: transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**llama, tie_word_embeddings=True)
        ),
        "gpt2": lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(**common, n_embd=16, n_layer=1, n_head=2, n_positions=32)
        ),
        "gpt-neox": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**bert)),
        "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**t5)),
        "phi": lambda: transformers.PhiForCausalLM(transformers.PhiConfig(**llama)),
        "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**bert)),
    }


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        said: torch.Tensor = model.eval()(input_ids=ids, **more).logits.float()
    return said


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list(architectures()))
def test_a_resized_checkpoint_equals_the_model_with_start_values(
    name: str, dtype: torch.dtype, shop: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = architectures()[name]().to(dtype)
    # In several files, as large models are.
    model.save_pretrained(tmp_path / "llm", max_shard_size="2KB")
    write_tokenizer(tmp_path / "llm")
    out = vocabulary(shop, tmp_path / "llm", tmp_path / "v", "--write-model", "--pad-to-multiple-of", 32)
    kind = type(model)
    resized = kind.from_pretrained(out / "model", dtype="auto")
    assert resized.dtype == dtype
    assert resized.get_input_embeddings().weight.shape[0] == 64 == resized.config.vocab_size
    applied = kind.from_pretrained(tmp_path / "llm", dtype="auto")
    assert apply_start_values(applied, out, pad_to_multiple_of=32) == range(ROWS, ROWS + NEW)
    for mine, other in zip(resized.state_dict().values(), applied.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0 if mine.shape[0] != 64 else 1e-2)
    with safe_open(out / "new_token_embeddings.safetensors", framework="pt") as file:
        assert ("output_embeddings" in file.keys()) == (not model.config.tie_word_embeddings)  # noqa: SIM118
        rows = file.get_tensor("input_embeddings")
    assert torch.equal(applied.get_input_embeddings().weight[ROWS : ROWS + NEW], rows)
    # Existing tokens keep their embeddings, and an ID can be read and generated.
    words = torch.tensor([[1, 4, 7, 8]])
    torch.testing.assert_close(logits(resized, words)[..., :ROWS], logits(model, words), rtol=1e-3, atol=1e-3)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "model")
    said = tokenizer("<a_3><b_5>", add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert said.tolist() == [[ROWS + 3, ROWS + 16 + 5]]
    assert logits(resized, said).isfinite().all()


def test_mean_start_values_match_the_distribution_of_transformers(shop: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = architectures()["llama-tied"]()
    model.get_input_embeddings().weight.data += torch.arange(16) / 8
    model.save_pretrained(tmp_path / "llm")
    write_tokenizer(tmp_path / "llm")
    ours = vocabulary(shop, tmp_path / "llm", tmp_path / "v", "--start-values", "mean")
    with safe_open(ours / "new_token_embeddings.safetensors", framework="pt") as file:
        rows = file.get_tensor("input_embeddings")
    old = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(ROWS + NEW, mean_resizing=True)
    theirs = model.get_input_embeddings().weight.detach()[ROWS:]
    torch.testing.assert_close(rows.mean(0), theirs.mean(0), rtol=0, atol=1e-4)
    # Noise with a billionth of the covariance, in every direction in which the rows vary.
    expected = (old - old.mean(0)).square().mean() * 1e-9
    assert 0.5 < float((rows - old.mean(0)).square().mean() / expected) < 2


def test_start_values_of_another_model_are_refused(shop: Path, tmp_path: Path) -> None:
    for name, model in [("one", "llama-tied"), ("other", "gpt2")]:
        architectures()[model]().save_pretrained(tmp_path / name)
        write_tokenizer(tmp_path / name)
    out = vocabulary(shop, tmp_path / "one", tmp_path / "v", "--start-values", "mean")
    wide = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=ROWS, n_embd=32, n_layer=1, n_head=2))
    with pytest.raises(catalex.InputError, match="made for this model"):
        apply_start_values(wide, out)
    wide.save_pretrained(tmp_path / "w")
    with pytest.raises(catalex.ArtifactError, match="a file without start values"):
        apply_start_values(wide, tmp_path / "w" / "model.safetensors")


def write_gguf(path: Path, table: np.ndarray[Any, Any], kind: Q, raw: np.ndarray[Any, Any]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(ROWS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([0.0] * ROWS)
    writer.add_token_types([gguf.TokenType.NORMAL] * ROWS)
    writer.add_tensor("before.weight", np.arange(7, dtype=np.float32))
    writer.add_tensor("token_embd.weight", raw, raw_dtype=kind)
    writer.add_tensor("after.weight", table[:3].astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


KINDS = [Q.F32, Q.F16, Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_gguf_has_the_tokens_and_rows(kind: Q, shop: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    config = transformers.GPT2Config(vocab_size=ROWS, n_embd=DIM, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "llm")
    write_tokenizer(tmp_path / "llm")
    table = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    if kind in (Q.F32, Q.F16):
        raw = table.astype(np.float32 if kind == Q.F32 else np.float16)
    elif "_K" in kind.name:
        # Random blocks with sensible scales: gguf reads these types and does not write them.
        block, size = gguf.GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 256, (ROWS, DIM // block * size), dtype=np.uint8)
        at = {Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}[kind]
        for place in at:
            raw[:, place : place + 2] = np.frombuffer(np.float16(0.011).tobytes(), np.uint8)
    else:
        raw = gguf.quants.quantize(table, kind)
    write_gguf(tmp_path / "old.gguf", table, kind, raw)
    out = vocabulary(shop, tmp_path / "llm", tmp_path / "v", "--gguf", tmp_path / "old.gguf")
    with safe_open(out / "new_token_embeddings.safetensors", framework="np") as file:
        rows = file.get_tensor("input_embeddings")
    old, new = gguf.GGUFReader(tmp_path / "old.gguf"), gguf.GGUFReader(out / "model.gguf")
    tensors = {tensor.name: tensor for tensor in new.tensors}
    for before in old.tensors:
        if before.name != "token_embd.weight":
            assert tensors[before.name].data.tobytes() == before.data.tobytes()
    embeddings = tensors["token_embd.weight"]
    kept = kind in (Q.F32, Q.F16, Q.BF16)
    assert embeddings.tensor_type == (kind if kept else Q.F16)
    values = gguf.quants.dequantize(embeddings.data, embeddings.tensor_type).astype(np.float32)
    before = next(tensor for tensor in old.tensors if tensor.name == "token_embd.weight")
    np.testing.assert_allclose(
        values[:ROWS], gguf.quants.dequantize(before.data, kind), rtol=1e-3, atol=1e-3 * (not kept)
    )
    np.testing.assert_allclose(values[ROWS:], rows, rtol=1e-2 if kind == Q.BF16 else 1e-3, atol=1e-4)
    tokens = new.fields["tokenizer.ggml.tokens"].contents()
    assert tokens[:ROWS] == WORDS
    assert tokens[ROWS:] == json.loads((out / "new_tokens.json").read_text())
    types = new.fields["tokenizer.ggml.token_type"].contents()
    assert types == [gguf.TokenType.NORMAL] * ROWS + [gguf.TokenType.USER_DEFINED] * NEW
    assert new.fields["llama.vocab_size"].contents() == len(tokens) == len(new.fields["tokenizer.ggml.scores"].data)
    assert set(new.fields) == set(old.fields)


@pytest.fixture(scope="module")
def smollm2(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """SmolLM2 as transformers loads its GGUF file, and what `vocab --gguf` wrote: its Q8_0 embeddings become float16,
    the Q4_1 layers stay."""
    folder = Path(os.environ["CATALEX_MODELS"]) / "smollm2"
    (file,) = folder.glob("*.gguf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
    # `vocab` reads only its embeddings.
    out = tmp_path_factory.mktemp("smollm2")
    llm = out / "llm"
    tokenizer.save_pretrained(llm)
    del model.config.quantization_config
    model.config.save_pretrained(llm)
    save_file({"model.embed_tokens.weight": model.get_input_embeddings().weight.detach()}, llm / "model.safetensors")
    return model, vocabulary(shop, llm, out / "v", "--gguf", file)


def test_a_real_gguf_is_loaded_by_transformers(smollm2: tuple[Any, Path]) -> None:
    model, out = smollm2
    extended = transformers.AutoModelForCausalLM.from_pretrained(out, gguf_file="model.gguf", dtype=torch.float32)
    first = apply_start_values(model, out).start
    mine, theirs = (m.get_input_embeddings().weight.detach() for m in (model, extended))
    assert theirs.shape == (first + NEW, 576)
    torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=1e-5)
    words = transformers.AutoTokenizer.from_pretrained(out, gguf_file="model.gguf")
    ids = words.encode("The pen is <a_3><b_5>.", add_special_tokens=False)
    assert [first + 3, first + 16 + 5] == [one for one in ids if one >= first]
    said = torch.tensor([ids])
    torch.testing.assert_close(logits(model, said), logits(extended, said), rtol=0.05, atol=0.3)


def test_llama_cpp_generates_items_with_a_real_gguf(shop: Path, smollm2: tuple[Any, Path], tmp_path: Path) -> None:
    """llama.cpp reads the tokens and the rows, and a grammar restricts it to IDs of items."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: GGUF is not checked by it")
    _, out = smollm2
    llm = llama_cpp.Llama(str(out / "model.gguf"), n_ctx=128, n_threads=2, seed=0, verbose=False)
    first = json.loads((out / "vocabulary.json").read_text())["tokenizer"]["first_id"]
    assert llm.n_vocab() == first + NEW
    ids = llm.tokenize(b"The pen is <a_3><b_5>.", add_bos=False)
    assert [first + 3, first + 16 + 5] == [one for one in ids if one >= first]
    # Text without IDs has none, as before.
    plain = transformers.AutoTokenizer.from_pretrained(out.parent / "llm")
    text = "A red pen, an old lamp: 12 of each."
    assert llm.tokenize(text.encode(), add_bos=False) == plain.encode(text, add_special_tokens=False)
    run("constrain", shop / "t.parquet", "--form", "gbnf", "--vocabulary", out, "--out", tmp_path / "forms")
    grammar = llama_cpp.LlamaGrammar.from_string((tmp_path / "forms" / "ids.gbnf").read_text(), verbose=False)
    items = set(pq.read_table(shop / "t.parquet")["semantic_id"].to_pylist())
    said = set()
    for seed in range(8):
        # A high temperature gives varied answers.
        answer = llm.create_completion("A red pen is ", grammar=grammar, max_tokens=8, temperature=2.0, seed=seed)
        said.add(answer["choices"][0]["text"])
    assert len(said) > 1
    assert said <= items
