"""Image encoder folders compared with transformers: processed pixels and model vectors of real images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders_made import (
    ROOT,
    TEXTS,
    Matrix,
    copy_files,
    cosines,
    embed_pictures,
    embed_texts,
    export,
    pictures,
    tokens,
    upright,
    write_tokenizer,
)
from onnx import TensorProto, helper, save
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ConvNextImageProcessorPil,
    DeiTImageProcessorPil,
    Dinov2Config,
    Dinov2Model,
    MobileNetV2Config,
    MobileNetV2ImageProcessorPil,
    MobileNetV2Model,
    MobileViTImageProcessorPil,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTImageProcessorPil,
)

IMAGES = ROOT / "tests" / "golden" / "encoder" / "images"
PICTURES = sorted(IMAGES.iterdir()) + sorted((ROOT / "fixtures" / "emoji" / "images").glob("1F43*.png"))[:6]
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# As published: openai/clip-vit-base-patch32, google/siglip-base-patch16-224, facebook/dinov2-base,
# google/mobilenet_v2_1.0_224 (which resizes before it crops).
STYLES: dict[str, tuple[type, dict[str, Any]]] = {
    "clip": (CLIPImageProcessorPil, {}),
    "siglip": (SiglipImageProcessorPil, {}),
    "dinov2": (BitImageProcessorPil, {"size": {"shortest_edge": 256}, **IMAGENET}),
    "mobilenet": (MobileNetV2ImageProcessorPil, {}),
    # Other processors and settings.
    "vit": (ViTImageProcessorPil, {}),
    "deit": (DeiTImageProcessorPil, IMAGENET),
    "convnext": (ConvNextImageProcessorPil, {"size": {"shortest_edge": 224}, **IMAGENET}),
    "convnext-384": (ConvNextImageProcessorPil, IMAGENET),
    "mobilevit": (MobileViTImageProcessorPil, {"size": {"shortest_edge": 288}}),
    "odd": (CLIPImageProcessorPil, {"size": {"shortest_edge": 97}, "crop_size": {"height": 64, "width": 81}}),
    "bordered": (CLIPImageProcessorPil, {"size": {"shortest_edge": 48}, "crop_size": {"height": 65, "width": 53}}),
    "lanczos": (SiglipImageProcessorPil, {"size": {"height": 90, "width": 130}, "resample": 1}),
    "box": (SiglipImageProcessorPil, {"size": {"height": 90, "width": 130}, "resample": 4}),
    "hamming": (SiglipImageProcessorPil, {"size": {"height": 90, "width": 130}, "resample": 5}),
    "nearest": (SiglipImageProcessorPil, {"size": {"height": 90, "width": 130}, "resample": 0}),
    "raw": (SiglipImageProcessorPil, {"do_rescale": False, "do_normalize": False}),
    "rescaled": (SiglipImageProcessorPil, {"do_normalize": False}),
}


def processed(folder: Path, style: str) -> Matrix:
    """Writes the settings of the processor, and returns its pixels for all images."""
    kind, settings = STYLES[style]
    processor = kind(**settings)
    processor.save_pretrained(folder)
    made = processor([upright(path) for path in PICTURES], return_tensors="np")["pixel_values"]
    return np.asarray(made, np.float32)


def write_copy(folder: Path, height: int, width: int, *, last: bool = False, element: int = TensorProto.FLOAT) -> None:
    """Writes a graph that returns its input, so that the vector of an image is its pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    shape: list[int | str] = ["n", height, width, 3] if last else ["n", 3, height, width]
    nodes = [helper.make_node("Flatten", ["pixel_values"], ["flat"], axis=1)]
    nodes.append(helper.make_node("Cast", ["flat"], ["pooler_output"], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        nodes,
        "copy",
        [helper.make_tensor_value_info("pixel_values", element, shape)],
        [helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["n", 3 * height * width])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")


@pytest.mark.parametrize("style", STYLES)
def test_pixels_equal_those_of_the_processor(tmp_path: Path, style: str) -> None:
    expected = processed(tmp_path, style)
    n, _, height, width = expected.shape
    write_copy(tmp_path, height, width)
    got = embed_pictures(tmp_path, PICTURES, tmp_path / "f.parquet").reshape(n, 3, height, width)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    scale = 1.0 if settings["do_rescale"] else 255.0
    std = np.ones(3) if not settings.get("do_normalize") else np.asarray(settings["image_std"])
    off = np.abs(got - expected) * std.reshape(1, 3, 1, 1) / scale
    print(style, off.max() * 255, off.mean() * 255)
    worst = off.max((1, 2, 3)) * 255
    deep = np.array(["rgb16" in path.name for path in PICTURES])
    lossy = np.array([path.suffix == ".jpg" for path in PICTURES])
    print(f"{style}: {worst[~lossy].max():.2f}/255 at most, {worst[lossy].max():.2f} with JPEG, {off.mean() * 255:.3f}")
    # At the border of a box, rounding decides to which side a pixel belongs.
    if style != "box":
        assert worst[~lossy & ~deep].max() <= 2.001
        # Pillow takes the upper eight of 16 bits; catalex rounds.
        assert worst[deep].max() <= 3.001
    # JPEG decoders differ where colour is interpolated.
    assert (off * 255 > 2.001).mean((1, 2, 3)).max() <= 0.004
    assert off.mean() * 255 <= 0.25


def test_the_processor_settings_can_be_in_processor_config(tmp_path: Path) -> None:
    expected = processed(tmp_path, "clip")
    write_copy(tmp_path, 224, 224)
    path = tmp_path / "preprocessor_config.json"
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(path.read_text())}))
    path.unlink()
    got = embed_pictures(tmp_path, PICTURES, tmp_path / "f.parquet")
    assert cosines(got, expected.reshape(len(expected), -1)).min() > 0.999


@pytest.mark.parametrize(("last", "element"), [(True, TensorProto.FLOAT), (False, TensorProto.FLOAT16)])
def test_graphs_with_channels_last_or_half_precision_inputs(tmp_path: Path, last: bool, element: int) -> None:
    expected = processed(tmp_path, "siglip")
    write_copy(tmp_path, 224, 224, last=last, element=element)
    got = embed_pictures(tmp_path, PICTURES, tmp_path / "f.parquet")
    if last:
        expected = expected.transpose(0, 2, 3, 1)
    assert cosines(got, expected.reshape(len(expected), -1)).min() > 0.999


VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 224, "patch_size": 32}
MODELS: dict[str, tuple[Any, str]] = {
    "clip": (lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT, intermediate_size=48)), "image_embeds"),
    "siglip": (lambda: SiglipVisionModel(SiglipVisionConfig(**VIT, intermediate_size=48)), "pooler_output"),
    "dinov2": (lambda: Dinov2Model(Dinov2Config(**VIT)), "pooler_output"),
    "mobilenet": (lambda: MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35)), "pooler_output"),
}


@pytest.mark.parametrize("style", MODELS)
def test_vectors_equal_those_of_the_model(tmp_path: Path, style: str) -> None:
    expected_pixels = processed(tmp_path, style)
    make, output = MODELS[style]
    torch.manual_seed(3)
    model = make().eval()
    # With the initial weights of transformers, a deep network returns zeros.
    for part in model.modules():
        if style == "mobilenet" and isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    with torch.no_grad():
        expected = model(pixel_values=torch.from_numpy(expected_pixels))[output].numpy()
    export(model, pictures(224), ["last_hidden_state", output], tmp_path / "onnx" / "model.onnx")
    got = embed_pictures(tmp_path, PICTURES, tmp_path / "f.parquet")
    found = cosines(got, expected)
    # All images share a large common component, so the remainder is compared as well.
    centred = cosines(got - expected.mean(0), expected - expected.mean(0))
    print(f"{style}: cosine {found.min():.6f} at least, {centred.min():.4f} without what all have in common")
    assert found.min() >= 0.999
    # Fifty layers of random filters amplify differences in the last bit of a pixel.
    assert centred.min() >= (0.85 if style == "mobilenet" else 0.98)


@pytest.mark.parametrize("inside", ["", "onnx"])
def test_both_towers_of_clip_are_in_one_folder(tmp_path: Path, inside: str) -> None:
    words = write_tokenizer(tmp_path, begin="[CLS]", end="[SEP]", model_max_length=32)
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    text |= {"vocab_size": words, "max_position_embeddings": 32, "eos_token_id": 3, "pad_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config={**VIT, "intermediate_size": 48}, projection_dim=20)
    torch.manual_seed(4)
    model = CLIPModel(config).eval().requires_grad_(False)
    config.save_pretrained(tmp_path)
    pixels = processed(tmp_path, "clip")

    class Texts(torch.nn.Module):  # type: ignore[misc]
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            made = model.text_model(input_ids=input_ids, attention_mask=attention_mask)
            vectors = model.text_projection(made.pooler_output)
            return {"text_embeds": vectors, "last_hidden_state": made.last_hidden_state}

    class Pictures(torch.nn.Module):  # type: ignore[misc]
        def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
            made = model.vision_model(pixel_values=pixel_values)
            vectors = model.visual_projection(made.pooler_output)
            return {"image_embeds": vectors, "pooler_output": made.pooler_output}

    graphs = tmp_path / inside
    outputs = ["last_hidden_state", "text_embeds"]
    export(Texts(), tokens(input_ids=5, attention_mask=1), outputs, graphs / "text_model.onnx")
    export(Pictures(), pictures(224), ["pooler_output", "image_embeds"], graphs / "vision_model.onnx")
    for tower in ("text_model", "vision_model"):
        (graphs / f"{tower}_quantized.onnx").write_bytes(b"not chosen")

    batch = PreTrainedTokenizerFast.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        by_text = Texts()(batch.input_ids, batch.attention_mask)["text_embeds"].numpy()
        by_picture = Pictures()(torch.from_numpy(pixels))["image_embeds"].numpy()
    got = embed_texts(tmp_path, TEXTS, tmp_path / "t.parquet")
    np.testing.assert_allclose(got, by_text, rtol=1e-4, atol=1e-5)
    assert cosines(embed_pictures(tmp_path, PICTURES, tmp_path / "p.parquet"), by_picture).min() >= 0.999

    # Models such as SigLIP pad every text to the maximum length.
    siglip = tmp_path / "siglip"
    names = ["tokenizer.json", "tokenizer_config.json", f"{inside}/text_model.onnx".lstrip("/")]
    copy_files(tmp_path, siglip, names)
    (siglip / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    batch = PreTrainedTokenizerFast.from_pretrained(tmp_path)(TEXTS, padding="max_length", return_tensors="pt")
    assert batch.input_ids.shape[1] == 32
    with torch.no_grad():
        by_text = Texts()(batch.input_ids, batch.attention_mask)["text_embeds"].numpy()
    np.testing.assert_allclose(embed_texts(siglip, TEXTS, tmp_path / "t.parquet"), by_text, rtol=1e-4, atol=1e-5)
