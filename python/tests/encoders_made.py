"""Small generated encoders for tests, as folders with ONNX graphs, and the vectors that `catalex embed` computes."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made import done
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image, ImageOps
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

Matrix = npt.NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "red pen",
    "a blue glass lamp, old and heavy, of wood and steel; for the desk",
    "chair",
    "Chair of RED wood",
    "pen, pen, pen and ink for it",
    "the old lamp stands on the old chair and gives light to the one who writes",
    "ink",
    "green glass",
]


def minilm() -> Path:
    folder = Path(os.environ.get("CATALEX_MODELS", "")) / "minilm"
    if not (folder / "model.onnx").is_file():
        pytest.fail("the text encoder is not in $CATALEX_MODELS: run `make setup`")
    return folder


def vectors(path: Path, modality: str) -> Matrix:
    """A modality of a feature file. Every item must have it."""
    column = pq.read_table(path)[modality].combine_chunks()
    assert column.null_count == 0
    found = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    return found.reshape(len(column), -1)


def embed_texts(folder: Path, texts: Sequence[str], out: Path, *flags: str | Path) -> Matrix:
    """The vectors of texts from `catalex embed` with the encoder in a folder."""
    catalog = out.with_suffix(".catalog.parquet")
    pq.write_table(pa.table({"id": range(len(texts)), "t": list(texts)}), catalog)
    done("embed", catalog, "--text", "t", "--raw-text", "--text-encoder", folder, "--out", out, "--force", *flags)
    return vectors(out, "text")


def embed_pictures(folder: Path, pictures: Sequence[Path], out: Path, *flags: str | Path) -> Matrix:
    """The vectors of images from `catalex embed` with the encoder in a folder."""
    catalog = out.with_suffix(".catalog.parquet")
    pq.write_table(pa.table({"id": range(len(pictures)), "image": [str(path) for path in pictures]}), catalog)
    done("embed", catalog, "--image", "image", "--image-encoder", folder, "--out", out, "--force", *flags)
    return vectors(out, "image")


def cosines(a: Matrix, b: Matrix) -> Matrix:
    assert a.shape == b.shape
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(1) / norms, np.float32)


def upright(path: Path) -> Image.Image:
    """An image as displayed: rotated by its EXIF data, on a white background."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


class Select(torch.nn.Module):  # type: ignore[misc]
    """A model as a function of named tensors with selected outputs, as exporters require."""

    def __init__(self, model: torch.nn.Module, names: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made = self.model(**dict(zip(self.names, tensors, strict=True)))
        return tuple(made[name] for name in self.outputs)


def export(model: torch.nn.Module, inputs: dict[str, torch.Tensor], outputs: Sequence[str], path: Path) -> None:
    """Writes a graph with dynamic batch sizes and token lengths."""
    names = list(inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    free = {name: {0: "batch", 1: "length"} if tensor.ndim == 2 else {0: "batch"} for name, tensor in inputs.items()}
    free |= {name: {0: "batch", 1: "length"} if name == "last_hidden_state" else {0: "batch"} for name in outputs}
    with torch.no_grad():
        torch.onnx.export(
            Select(model.eval(), names, outputs),
            tuple(inputs.values()),
            str(path),
            input_names=names,
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )


def tokens(**kinds: int) -> dict[str, torch.Tensor]:
    """Example inputs of a text model for export: 0 for token ids, 1 for ones."""
    return {name: torch.full((2, 6), value, dtype=torch.long) for name, value in kinds.items()}


def pictures(edge: int) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.rand(2, 3, edge, edge, generator=torch.Generator().manual_seed(0))}


def write_tokenizer(folder: Path, *, begin: str | None = None, end: str | None = None, **settings: Any) -> int:
    """Writes a tokenizer of the words of `TEXTS` in lower case. Returns the size of its vocabulary."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([text.lower() for text in [*TEXTS, "find : represent this item query"]], trainer)
    around = [name for name in (begin, end) if name]
    if around:
        template = " ".join(name for name in (begin, "$A", end) if name)
        ids = [(name, tokenizer.token_to_id(name)) for name in around]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **settings,
    )
    fast.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def write_modules(
    folder: Path, pooling: dict[str, Any], *, normalize: bool, sentence: dict[str, Any] | None = None
) -> None:
    """The files that define sentence-transformers' modules after the transformer."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps(sentence or {}))


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)


def write_lookup(folder: Path, *, past: bool = False) -> Matrix:
    """An encoder whose token vectors are rows of a table, which is returned. With `past` its graph asks for the keys of
    earlier tokens, as decoders' do."""
    folder.mkdir(parents=True, exist_ok=True)
    words = write_tokenizer(folder, model_max_length=16)
    table = np.random.default_rng(5).normal(size=(words, 8)).astype(np.float32)
    integers = [helper.make_tensor_value_info(name, TensorProto.INT32, ["n", "l"]) for name in ("input_ids", "mask")]
    integers[1].name = "attention_mask"
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    inputs = integers
    if past:
        nodes = [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("ReduceSum", ["past_key_values.0.key"], ["sum"], keepdims=0),
            helper.make_node("Add", ["rows", "sum"], ["last_hidden_state"]),
        ]
        shape: list[int | str] = ["n", 2, "past", 4]
        inputs = [*integers, helper.make_tensor_value_info("past_key_values.0.key", TensorProto.FLOAT, shape)]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "l", 8])
    graph = helper.make_graph(nodes, "lookup", inputs, [output], [numpy_helper.from_array(table, "table")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    return table
