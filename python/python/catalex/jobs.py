"""The jobs that need neither libtorch nor ONNX Runtime: they run in this process, under the command line's names.

Each writes a file or a folder, whole or not at all, and returns what it wrote. Where a path is expected, the object of
this package does as well: a `TokenTable`, `Tokenizer`, `Features` or `Index`. Settings that are not given have the
defaults that `catalex help` shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from . import _native
from ._arrays import refuse
from ._files import AnyPath, Files, Model, Tokens, is_table
from ._settings import values
from .errors import ConfigError
from .features import Features
from .index import Index
from .progress import listener
from .quality import Figures
from .run import Progress
from .token_table import TokenTable
from .tokenizer import Tokenizer

Columns = str | Sequence[str] | None


def tokenize(
    features: Any,
    model: Model,
    *,
    out: AnyPath | None = None,
    token_format: str | None = None,
    collisions: Literal["resolve", "keep", "suffix", "lc-rec"] | None = None,
    capacity: int | None = None,
    must_differ: Columns = None,
    member_rank: str | None = None,
    catalog: Any = None,
    id: str | None = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    previous: Tokens | None = None,
    max_far: float | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> TokenTable:
    """Gives every item of some features a semantic ID with a trained model, as `catalex tokenize` does.

    `features` is any input of `Features`, or an index. The table is written to `out` if that is given; `force`
    replaces an existing table. `collisions` says how items with identical codes are handled. With a `capacity` above
    1, that many items share an ID. They never differ in the columns `must_differ` of the `catalog` and are ranked by
    its column `member_rank`, the highest first; `id` is its column of item ids. Items of a `previous`
    table of this model keep their IDs and come first; only the other items get new IDs. `max_far` is the maximum
    fraction of items whose residual error exceeds that of 99 % of the items held out of training; a larger fraction is
    an error.
    """
    if out is None and force:
        raise refuse("out", "where to write, with force", "None", "name the file of the table")
    settings = values("tokens", {"token_format": token_format, "collisions": collisions})
    sharing = values("sharing", {"capacity": capacity, "must_differ": must_differ, "member_rank": member_rank})
    with Files() as files:
        members = {
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
        }
        target = files.new("tokens.parquet") if out is None else Path(out)
        needs_model = not isinstance(features, Index | str | os.PathLike)
        spec = {
            "features": files.features(features, _load(model) if needs_model else None),
            "model": files.model(model),
            "previous": None if previous is None else files.token_table(previous),
            "tokens": settings,
            "sharing": sharing,
            "members": values("members", members),
            "far": values("far", {"max_far": max_far}),
            **values("threads", {"threads": threads}),
            "output": _output(target, force),
        }
        _run(_native.tokenize, spec, progress)
        return TokenTable.read(target)


def _reading(
    raw_text: bool | None, parse_lists: bool | None, csv_quote: str | None, csv_escape: str | None
) -> dict[str, Any]:
    """The settings for reading texts and cells."""
    return {
        "raw_text": raw_text or None,
        "parse_lists": parse_lists or None,
        "csv_quote": csv_quote,
        "csv_escape": csv_escape,
    }


def vocab(
    tokens: Tokens,
    out: AnyPath,
    *,
    tokenizer: AnyPath | None = None,
    begin_token: str | None = None,
    end_token: str | None = None,
    pad_to_multiple_of: int | None = None,
    llm: AnyPath | None = None,
    trained_on: Tokens | None = None,
    start_values: Literal["mean", "grounded", "structured"] | None = None,
    catalog: Any = None,
    id: str | None = None,
    text: Columns = None,
    model: Model | None = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    seed: int | None = None,
    embedding_tensor: str | None = None,
    write_model: bool | None = None,
    gguf: AnyPath | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Writes the vocabulary folder of a token table, as `catalex vocab` does, and returns its `vocabulary.json`.

    With `tokenizer`, a Hugging Face folder, the folder also gets an extended copy of that tokenizer. With `llm` it gets
    start values of that language model's new embedding rows: see docs/vocabulary.md. For a language model that was
    fine-tuned with the IDs of an earlier index or table, pass that as `trained_on` (`--from` on the command line).
    """
    vocabulary = {
        "tokenizer": tokenizer,
        "begin_token": begin_token,
        "end_token": end_token,
        "pad_to_multiple_of": pad_to_multiple_of,
    }
    with Files() as files:
        language_model = {
            "llm": llm,
            "from": None if trained_on is None else files.token_table(trained_on),
            "start_values": start_values,
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            "text": text or None,
            "model": None if model is None else files.model(model),
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
            "seed": seed,
            "embedding_tensor": embedding_tensor,
            "write_model": write_model or None,
            "gguf": gguf,
        }
        spec = {
            "tokens": files.token_table(tokens),
            "vocabulary": values("vocabulary", vocabulary),
            "llm": values("llm", language_model),
            "output": _output(out, force),
        }
        _run(_native.vocab, spec, progress)
    written: dict[str, Any] = json.loads((Path(out) / "vocabulary.json").read_text(encoding="utf-8"))
    return written


def constrain(
    tokens: Tokens,
    out: AnyPath,
    *,
    form: str | Sequence[str],
    vocabulary: Index | AnyPath | None = None,
    only: AnyPath | Iterable[int] | Iterable[str] | None = None,
    rules: AnyPath | None = None,
    user: dict[str, Any] | None = None,
    catalog: Any = None,
    id: str | None = None,
    title: Columns = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    logits: int | None = None,
    dense_depth: int | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Writes the valid IDs of a token table for decoders, as `catalex constrain` does; returns its `constraint.json`.

    `form` names one or several of trie, static, llguidance, xgrammar, gbnf, regex, choices, xllm and minionerec.
    `only` restricts the IDs to those of some items: their ids, or a file with one id per line. `rules` is a file with a
    rule over the attributes of an index, and `user` has the values of its parameters.
    """
    with Files() as files:
        given = {
            "form": form,
            "vocabulary": None if vocabulary is None else files.vocabulary(vocabulary),
            "only": None if only is None else files.ids(only, "only"),
            "rules": rules,
            "user": None if user is None else [f"{name}={json.dumps(value)}" for name, value in user.items()],
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            "title": title,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
            "logits": logits,
            "dense_depth": dense_depth,
        }
        spec = {
            "tokens": files.token_table(tokens),
            "constraint": values("constraint", given),
            "output": _output(out, force),
        }
        return _object(_run(_native.constrain, spec, progress))


def export(
    tokens: Tokens,
    out: AnyPath | None = None,
    *,
    family: str,
    interactions: Any,
    catalog: Any = None,
    id: str | None = None,
    title: Columns = None,
    description: Columns = None,
    attributes: Columns = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    interactions_user: str | None = None,
    interactions_item: str | None = None,
    interactions_time: str | None = None,
    interactions_rating: str | None = None,
    max_unknown_events: float | None = None,
    split: Literal["leave-one-out", "time"] | None = None,
    valid_share: float | None = None,
    test_share: float | None = None,
    min_interactions: int | None = None,
    history: int | None = None,
    items: Literal["titles", "ids", "both"] | None = None,
    name: str | None = None,
    templates: AnyPath | None = None,
    prompts: int | None = None,
    users: AnyPath | None = None,
    rating_threshold: float | None = None,
    implicit: bool | None = None,
    few_shot: Sequence[int] | None = None,
    candidates: int | None = None,
    begin_token: str | None = None,
    end_token: str | None = None,
    tokenizer: AnyPath | None = None,
    vocabulary: Index | AnyPath | None = None,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Writes items and histories in the format of a family of LLM recommenders, as `catalex export` does; returns the
    content of `export.json` without its hash.

    `catalog` and `interactions` are paths, or tables that support Arrow's PyCapsule protocol. `family` is one of
    lc-rec, tallrec, instructrec, bigrec, transrec, ranking, agents, minionerec, openonerec, llamafactory, trl and
    sequences. With `dry_run` nothing is written, and the first records of each task are returned.
    """
    if dry_run and out is not None:
        raise ConfigError("setting dry_run: expected either dry_run or out, got both; leave one of them out")
    with Files() as files:
        settings = {
            "interactions": None if interactions is None else files.table(interactions, "interactions"),
            "interactions_user": interactions_user,
            "interactions_item": interactions_item,
            "interactions_time": interactions_time,
            "interactions_rating": interactions_rating,
            "max_unknown_events": max_unknown_events,
            "split": split,
            "valid_share": valid_share,
            "test_share": test_share,
            "min_interactions": min_interactions,
            "history": history,
            "items": items,
            "name": name,
            "templates": templates,
            "prompts": prompts,
            "users": users,
            "rating_threshold": rating_threshold,
            "implicit": implicit,
            "few_shot": few_shot,
            "candidates": candidates,
            "begin_token": begin_token,
            "end_token": end_token,
            "tokenizer": tokenizer,
            "vocabulary": None if vocabulary is None else files.vocabulary(vocabulary),
            "seed": seed,
        }
        columns = {
            "id": id,
            "title": title,
            "description": description,
            "attributes": attributes,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
        }
        spec = {
            "tokens": files.token_table(tokens),
            "family": family,
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "columns": values("columns", columns),
            "settings": values("export", settings),
            "dry-run": dry_run,
            "output": _output("" if out is None else out, force),
        }
        return _object(_run(_native.export, spec, progress))


def family_templates(family: str) -> str:
    """The prompt templates of an export family as TOML: change them, and pass the file to `export(templates=...)`."""
    return _native.family_templates(family)


def inspect(
    subject: Tokens | Model,
    *,
    features: Any = None,
    model: Model | None = None,
    catalog: Any = None,
    id: str | None = None,
    text: Columns = None,
    image: Columns = None,
    label: str | None = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    interactions: Any = None,
    interactions_user: str | None = None,
    interactions_item: str | None = None,
    interactions_time: str | None = None,
    max_unknown_events: float | None = None,
    min_interactions: int | None = None,
    report: AnyPath | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> Figures | dict[str, Any]:
    """Measures a token table, an index, or a model with features, as `catalex inspect --json` does.

    A model without features has no figures: the result is then its `config.json`. `report` names an HTML file to
    write; `catalog` with `text`, `image` and `label` says what it shows of the items. Images in reports need the
    `catalex` program: this package does not decode them. With `interactions` (a path, or a table that supports Arrow's
    PyCapsule protocol), the key `histories` says how well the IDs predict the last event of each user.
    """
    with Files() as files:
        columns = {
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            "text": text,
            "image": image,
            "label": label,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
        }
        path = files.model(subject) if isinstance(subject, Tokenizer) else files.token_table(subject)
        spec = {
            "path": path,
            "features": None if features is None else _measured_features(files, features, subject, model),
            "model": None if model is None else files.model(model),
            "columns": values("report", columns),
            "histories": values(
                "histories",
                {
                    "interactions": None if interactions is None else files.table(interactions, "interactions"),
                    "interactions_user": interactions_user,
                    "interactions_item": interactions_item,
                    "interactions_time": interactions_time,
                    "max_unknown_events": max_unknown_events,
                    "min_interactions": min_interactions,
                },
            ),
            "report": None if report is None else os.fsdecode(report),
            "force": force,
        }
        found = _object(_run(_native.inspect, spec, progress))
    return found["model"] if "model" in found else Figures(found["figures"])


def check(
    catalog: Any,
    *,
    id: str | None = None,
    text: Columns = None,
    template: str | None = None,
    title: str | None = None,
    image: Columns = None,
    max_tokens: int | None = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
) -> dict[str, Any]:
    """Finds likely mistakes in a catalog.

    Returns the output of `catalex check --json`: a dictionary with `items`, `columns` and `findings`. Each finding has
    `kind`, `column`, `count` and `examples`.
    """
    given = {
        "id": id,
        "text": text,
        "template": template,
        "title": title,
        "image": image,
        "max_tokens": max_tokens,
        **_reading(raw_text, parse_lists, csv_quote, csv_escape),
    }
    with Files() as files:
        spec = {"catalog": files.table(catalog, "catalog"), "settings": values("check", given)}
        return _object(_native.check(json.dumps(spec)))


def lookup(
    tokens: Tokens,
    semantic_id: str | None = None,
    *,
    item: int | str | None = None,
    catalog: Any = None,
    id: str | None = None,
    text: Columns = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
) -> list[dict[str, Any]]:
    """The items of a semantic ID or of a prefix, or the semantic ID of an `item`, as `catalex lookup --json` does.

    Each is a dictionary with `item_id` as text, `semantic_id`, `codes` and `reassigned`, and `title` where the catalog
    is known: that of the index, or `catalog` with the columns `text`. For many look-ups
    `TokenTable.lookup` and `TokenTable.items` are faster: they do not read the table anew.
    """
    if (semantic_id is None) == (item is None):
        got = "neither" if item is None else "both"
        raise refuse("lookup", "either a semantic ID or item=", got, "give one of them")
    key = {"semantic-id": semantic_id} if item is None else {"item": str(item)}
    with Files() as files:
        titles = {
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            "text": text,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
        }
        spec = {"tokens": files.token_table(tokens), "key": key, "titles": values("lookup", titles)}
        found: list[dict[str, Any]] = json.loads(_native.lookup(json.dumps(spec)))
    return found


def _run(job: Callable[[str, Callable[[str], None]], str], spec: dict[str, Any], progress: Progress) -> str:
    """Runs a native job and shows its progress; its warnings become Python's."""
    shown = listener(progress)
    try:
        return job(json.dumps(spec), lambda event: shown(json.loads(event)))
    finally:
        shown.close()


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def _output(out: AnyPath, force: bool) -> dict[str, Any]:
    return {"out": os.fsdecode(out), "force": force}


def _load(model: Model) -> Tokenizer:
    if isinstance(model, Tokenizer):
        return model
    return model.tokenizer if isinstance(model, Index) else Tokenizer.load(model)


def _measured_features(files: Files, features: Any, subject: Tokens | Model, model: Model | None) -> str:
    """Features for `inspect`. A matrix has no item ids: its rows are those of the table."""
    if isinstance(features, Features | Index | str | os.PathLike) or is_table(features):
        return files.features(features)
    loaded, table = _parts(subject)
    if loaded is None and model is not None:
        loaded = _load(model)
    return files.features(features, loaded, None if table is None else table.item_ids)


def _parts(subject: Tokens | Model) -> tuple[Tokenizer | None, TokenTable | None]:
    """The model and the token table of the inspected object."""
    if isinstance(subject, TokenTable):
        return None, subject
    if isinstance(subject, Tokenizer):
        return subject, None
    if not isinstance(subject, Index):
        path = Path(subject)
        if not path.is_dir():
            return None, TokenTable.read(path)
        if not _native.is_index(path):
            return Tokenizer.load(path), None
        subject = Index(path)
    return subject.tokenizer, subject.table
