"""`train`, `embed` and `build`: what needs libtorch or ONNX Runtime runs in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._arrays import floats, refuse
from .config import TrainConfig, flags, train_flags
from .features import Features
from .features import of as features_of
from .index import Index
from .run import Progress, run
from .tokenizer import Tokenizer

_Path = str | os.PathLike[str]
_Columns = str | Sequence[str] | None


def train(
    features: Any,
    *,
    out: _Path | None = None,
    config: TrainConfig | None = None,
    force: bool = False,
    resume: bool = False,
    checkpoint_every: int | None = None,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **settings: Any,
) -> Tokenizer:
    """Trains a model on features (see `Features` for what they may be), in a process that runs `catalex train`.

    Settings are those of `TrainConfig`, as `config` or by name: `train(x, levels=3, codebook_size=64)`. The model is
    written to `out` where that is given. Ctrl-C stops the process, too; a training with `out` goes on with
    `resume=True`.

    `progress` is `"auto"` (a bar in a terminal or a notebook), `"bar"`, `"none"`, or a function that is given every
    event. `binary` names the program where it is neither beside the package nor on the PATH.
    """
    options = train_flags(config, settings)
    if out is None and (resume or force):
        raise refuse("out", "where to write, with resume or force", "None", "name the model's folder")
    with tempfile.TemporaryDirectory(prefix="catalex-") as folder:
        target = Path(folder) / "model" if out is None else Path(out)
        others = flags({"force": force, "resume": resume, "checkpoint_every": checkpoint_every, "threads": threads})
        given = _features_file(features, Path(folder))
        run(["train", given, f"--out={target}", *options, *others], binary=binary, progress=progress)
        return Tokenizer.load(target)


def _features_file(features: Any, folder: Path) -> Path:
    """Features as a file that the program reads: matrices as they are, without a detour through text."""
    if isinstance(features, str | os.PathLike):
        return Path(features)
    is_table = hasattr(features, "__arrow_c_stream__") or hasattr(features, "__arrow_c_array__")
    if isinstance(features, Features | dict) or is_table:
        path = folder / "features.parquet"
        features_of(features).write(path)
        return path
    path = folder / "features.npy"
    # Half floats stay half; the program reads them.
    half = isinstance(features, np.ndarray) and features.dtype == np.float16 and features.ndim == 2
    matrix = features if half else floats(features, "features")
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        help = "drop the item, or mark the modality as missing: Features(x, present=...)"
        raise refuse(f"features[{row}, {column}]", "finite numbers", str(matrix[row, column]), help)
    np.save(path, matrix)
    return path


def embed(
    catalog: Any,
    *,
    out: _Path | None = None,
    force: bool = False,
    resume: bool = False,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> Features:
    """Runs the text and image encoders over a catalog, in a process that runs `catalex embed`.

    `catalog` is a path, or a table of any library that speaks Arrow. Options have the command line's names: `id`,
    `text="title,brand"` or `text=["title", "brand"]`, `text_encoder`, `image`, `image_encoder`, `template`,
    `interactions`, `embedding={"llama": "llama.npy"}`, and so on. The features are written to `out` where that is
    given; an embedding with `out` that was killed goes on with `resume=True`.
    """
    _check_options(options, EMBED)
    if out is None and (resume or force):
        raise refuse("out", "where to write, with resume or force", "None", "name the file of features")
    with tempfile.TemporaryDirectory(prefix="catalex-") as folder, _catalog_file(catalog) as given:
        target = Path(folder) / "features.parquet" if out is None else Path(out)
        others = flags({**options, "force": force, "resume": resume, "threads": threads})
        run(["embed", given, f"--out={target}", *others], binary=binary, progress=progress)
        # What is in a temporary folder is read before the folder goes.
        return Features(target) if out is not None else Features._whole(target)


def build(
    catalog: Any,
    out: _Path,
    *,
    config: TrainConfig | None = None,
    force: bool = False,
    resume: bool = False,
    checkpoint_every: int | None = None,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> Index:
    """Makes an index of a catalog in one go, in a process that runs `catalex build`.

    Options are those of `embed`, the settings of `TrainConfig`, and `tokenizer`, `begin_token`, `end_token`,
    `pad_to_multiple_of`, `token_format` and `collisions`, under the command line's names.
    """
    own = {name: options.pop(name) for name in list(options) if name in EMBED or name in BUILD}
    settings = train_flags(config, options)
    others = flags({**own, "force": force, "resume": resume, "checkpoint_every": checkpoint_every, "threads": threads})
    with _catalog_file(catalog) as given:
        run(["build", given, f"--out={os.fspath(out)}", *settings, *others], binary=binary, progress=progress)
    return Index(out)


ENCODE = {
    "id",
    "text",
    "template",
    "average_text",
    "raw_text",
    "image",
    "on_bad_image",
    "text_encoder",
    "onnx_file",
    "prompt",
    "image_encoder",
    "image_onnx_file",
    "encoder_device",
    "embedding",
    "part_items",
}
BEHAVIOUR = {
    "interactions",
    "interactions_user",
    "interactions_item",
    "interactions_time",
    "hold_out_last",
    "behaviour_dim",
    "behaviour_window",
    "popularity_damping",
    "behaviour_shift",
    "session_gap",
    "behaviour_seed",
}
EMBED = ENCODE | BEHAVIOUR
"""Options of `catalex embed`."""
BUILD = {"tokenizer", "begin_token", "end_token", "pad_to_multiple_of", "token_format", "collisions"}
"""Options of `catalex build` that are neither of `embed` nor of `train`."""


def _check_options(options: dict[str, Any], known: set[str]) -> None:
    for name in options:
        if name not in known:
            raise TypeError(f"unexpected option {name!r}: expected one of {', '.join(sorted(known))}")


@contextmanager
def _catalog_file(catalog: Any) -> Iterator[Path]:
    """A catalog as a file."""
    if isinstance(catalog, str | os.PathLike):
        yield Path(catalog)
        return
    if not hasattr(catalog, "__arrow_c_stream__") and not hasattr(catalog, "__arrow_c_array__"):
        got = type(catalog).__name__
        raise refuse("catalog", "a path, or a table that speaks Arrow", got, "give a data frame, or save it to a file")
    with tempfile.TemporaryDirectory(prefix="catalex-") as folder:
        path = Path(folder) / "catalog.arrow"
        _native.write_arrow(catalog, path)
        yield path
