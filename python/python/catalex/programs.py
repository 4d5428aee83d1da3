"""`train`, `embed` and `build`, which need libtorch or ONNX Runtime. Each runs the program as a separate process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _settings
from ._arrays import refuse
from ._files import Files, features_file
from .config import TrainConfig, flags, train_flags
from .features import Features
from .index import Index
from .run import Progress, run
from .tokenizer import Tokenizer

_Path = str | os.PathLike[str]
_Columns = str | Sequence[str] | None

EMBED = _settings.names("encode", "behaviour")
"""Options of `embed`."""
BUILD = _settings.names("tokens", "sharing", "vocabulary", "show", "attributes")
"""Options of `build` that are neither options of `embed` nor settings of the training."""


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
    """Trains a model on features, in a process that runs `catalex train`.

    `features` is any input of `Features`. Settings are those of `TrainConfig`, as `config` or by name:
    `train(x, levels=3, codebook_size=64)`. The model is written to `out` if that is given. Ctrl-C stops the process,
    too; `resume=True` continues a training with `out` from its last checkpoint.

    `progress` is `"auto"` (a bar in a terminal or a notebook), `"bar"`, `"none"`, or a function that is called with
    every event. `binary` is the path of the program if it is neither next to the package nor on the PATH.
    """
    options = train_flags(config, settings)
    if out is None and (resume or force):
        raise refuse("out", "where to write, with resume or force", "None", "name the model's folder")
    with tempfile.TemporaryDirectory(prefix="catalex-") as folder:
        target = Path(folder) / "model" if out is None else Path(out)
        others = flags({"force": force, "resume": resume, "checkpoint_every": checkpoint_every, "threads": threads})
        given = features_file(features, Path(folder))
        run(["train", given, f"--out={target}", *options, *others], binary=binary, progress=progress)
        return Tokenizer.load(target)


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
    """Encodes the texts and images of a catalog as vectors, in a process that runs `catalex embed`.

    `catalog` is a path, or a table of any library that supports Arrow. Options have the command line's names: `id`,
    `text="title,brand"` or `text=["title", "brand"]`, `text_encoder`, `image`, `image_encoder`, `template`,
    `interactions`, `embedding={"llama": "llama.npy"}`, and so on. The features are written to `out` if that is given;
    `resume=True` then continues a run that was killed.
    """
    _settings.check_names(options, EMBED)
    if out is None and (resume or force):
        raise refuse("out", "where to write, with resume or force", "None", "name the file of features")
    with Files() as files:
        target = files.new("features.parquet") if out is None else Path(out)
        others = flags({**options, "force": force, "resume": resume, "threads": threads})
        given = files.table(catalog, "catalog")
        run(["embed", given, f"--out={target}", *others], binary=binary, progress=progress)
        # A file in a temporary folder is read before the folder is removed.
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
    """Builds an index of a catalog, in a process that runs `catalex build`.

    Options are those of `embed`, the settings of `TrainConfig`, and `tokenizer`, `begin_token`, `end_token`,
    `pad_to_multiple_of`, `token_format`, `collisions`, `capacity`, `must_differ`, `member_rank`, `title`, `show` and
    `attributes`, under the command line's names.
    """
    own = {name: options.pop(name) for name in list(options) if name in EMBED or name in BUILD}
    settings = train_flags(config, options)
    others = flags({**own, "force": force, "resume": resume, "checkpoint_every": checkpoint_every, "threads": threads})
    with Files() as files:
        given = files.table(catalog, "catalog")
        run(["build", given, f"--out={os.fspath(out)}", *settings, *others], binary=binary, progress=progress)
    return Index(out)
