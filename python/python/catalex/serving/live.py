"""A trie that follows its source: a server answers new requests with the newest generation of an index."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from .. import _native
from .._native import Subset, TokenIds, Trie
from ..errors import ArtifactError, InputError
from .answers import Answer
from .generation import ALL, Generation

log = logging.getLogger("catalex.serving")
AnyPath = str | os.PathLike[str]
Signature = tuple[Any, ...]
_SubsetFiles = dict[str, tuple[Signature, Subset]]
DESCRIPTION, MANIFEST, TRIE, TABLE = "constraint.json", "manifest.json", "ids.trie", "tokens.parquet"
# Number of looks at a source after which a generation that could not be loaded is tried again.
RETRY = 30


class LiveTrie:
    """The newest generation of `source`: a store, an index, or a folder of `catalex constrain` with the form trie.

    A thread looks at the source every `interval` seconds. It loads a new generation in the background, with the
    interpreter lock released, and then replaces the reference to the current one. Requests that have begun keep the
    generation of their `Answer`. A generation that cannot be loaded, or whose token ids are not those of the first one,
    is refused: the current one stays, the error is logged, and `status` has it.

    `subsets` is a folder of text files `NAME.txt` with one item id per line: the named subsets. A changed file is read
    again. Ids that are no items of the generation are ignored. `vocabulary` is the folder of `catalex vocab`, for an
    index without its own. `logits` is the number of the model's logits, if it is known. The other arguments are those
    of `Generation`.
    """

    _shared: ClassVar[dict[tuple[Any, ...], LiveTrie]] = {}
    _sharing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        source: AnyPath,
        *,
        vocabulary: AnyPath | None = None,
        subsets: AnyPath | None = None,
        interval: float | None = 1.0,
        logits: int | None = None,
        start: Literal["always", "free"] = "always",
        after: Literal["any", "eos", "id"] | None = None,
        eos_token_id: int | Sequence[int] | None = None,
    ) -> None:
        self.source = Path(source)
        self._vocabulary = None if vocabulary is None else Path(vocabulary)
        self._subsets = None if subsets is None else Path(subsets)
        self._rules: dict[str, Any] = {"start": start, "after": after, "eos_token_id": eos_token_id}
        self._logits = logits
        self._loading = threading.Lock()
        self._stop = threading.Event()
        self._failed: Signature | None = None
        self._status: dict[str, Any] = {"swaps": 0, "error": None}
        self._files: _SubsetFiles = {}
        # The stamps of the files that the current trie was loaded from.
        self._loaded: Signature = ()
        self._signature = self._look()
        self._current, self._files, self._loaded = self._load(None)
        self._tokens: TokenIds = self._current.tokens
        self._thread: threading.Thread | None = None
        if interval is not None:
            self._thread = threading.Thread(target=self._watch, args=(interval,), name="catalex-live-trie", daemon=True)
            self._thread.start()

    @classmethod
    def shared(cls, source: AnyPath, **settings: Any) -> LiveTrie:
        """The trie of this process for a source and settings. It is created by the first call."""
        key = (os.getpid(), os.fspath(source), *sorted((name, repr(value)) for name, value in settings.items()))
        with cls._sharing:
            if key not in cls._shared:
                cls._shared[key] = cls(source, **settings)
            return cls._shared[key]

    @property
    def current(self) -> Generation:
        """The newest generation."""
        return self._current

    def begin(self, prompt: Sequence[int], output: Sequence[int] | None = None, subset: str = ALL) -> Answer:
        """The answer to a new request, with the newest generation. `output` is the list of its tokens."""
        return Answer(self._current, prompt, [] if output is None else output, subset)

    def refresh(self) -> bool:
        """Loads the newest generation if the source has changed, as the thread does. Returns whether it has."""
        return self._refresh(retry=True)

    def _refresh(self, retry: bool) -> bool:
        with self._loading:
            signature: Signature = ()
            try:
                signature = self._look()
                if signature == self._signature:
                    self._status["error"] = None
                if signature == self._signature or (signature == self._failed and not retry):
                    return False
                found, files, loaded = self._load(self._current)
                self._check(found)
            except Exception as error:
                self._failed = signature
                self._refused(error)
                return False
            self._current, self._files, self._loaded, self._signature = found, files, loaded, signature
            self._status["swaps"] += 1
            self._status["error"] = None
            log.info("catalex: new requests are answered with %s", found)
            return True

    def status(self) -> dict[str, Any]:
        """The current `generation`, its `items` and `subsets`, the number of `swaps`, and the last `error`, if any."""
        now = self._current
        return {"generation": now.name, "items": len(now.trie), "subsets": sorted(now.subsets), **self._status}

    def close(self) -> None:
        """Stops looking at the source. The current generation stays usable."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> LiveTrie:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self, interval: float) -> None:
        looks = 0
        while not self._stop.wait(interval):
            # What has failed is tried again now and then: the cause can be a file system that did not answer.
            looks += 1
            self._refresh(retry=looks % RETRY == 0)

    def _refused(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._status["error"]:
            log.warning("catalex: %s stays as it is, because its source cannot be loaded: %s", self._current, text)
        self._status["error"] = text

    def _check(self, found: Generation) -> None:
        if found.tokens != self._tokens:
            raise InputError(
                f"generation {found.name}: expected the token ids of the first generation, which the served model has, "
                "got others; restart the server with the model of this generation"
            )

    def _look(self) -> Signature:
        """What changes with the source: the path and the files of its generation, and the files of subsets."""
        if (self.source / DESCRIPTION).is_file():
            return (*_stamps(self.source), self._look_at_subsets())
        folder, _ = _native.resolve_index(self.source)
        return (*_stamps(Path(folder)), self._look_at_subsets())

    def _look_at_subsets(self) -> Signature:
        return tuple((path.name, *_stamp(path)) for path in self._subset_files())

    def _subset_files(self) -> list[Path]:
        if self._subsets is None:
            return []
        return sorted(
            path for path in self._subsets.iterdir() if path.suffix == ".txt" and not path.name.startswith(".")
        )

    def _load(self, before: Generation | None) -> tuple[Generation, _SubsetFiles, Signature]:
        paths = self._subset_files()
        trie, name, hold, loaded = self._trie(self._subsets is not None, before)
        known = self._files if before is not None and trie is before.trie else {}
        files = {path.stem: _subset(trie, path, known.get(path.stem)) for path in paths}
        subsets = {stem: subset for stem, (_, subset) in files.items()}
        found = Generation(trie, subsets=subsets, name=name, hold=hold, **self._rules)
        if self._logits is not None:
            found.check_logits(self._logits)
        if before is not None:
            # The copies on accelerators are made here, not in the step of a request.
            for device in list(before._devices):
                found.on(device)
        return found, files, loaded

    def _trie(self, with_ids: bool, before: Generation | None) -> tuple[Trie, str, object, Signature]:
        """The trie of the source, a name for messages, what keeps its files, and the stamps of its files."""
        is_folder = (self.source / DESCRIPTION).is_file()
        folder, hold = (self.source, None) if is_folder else _native.resolve_index(self.source)
        index = Path(folder)
        # Stamps are taken before the files are read: files that are replaced meanwhile are read again at the next look.
        loaded = _stamps(index)
        name = f"{index.name}@{_stamp(index / (DESCRIPTION if is_folder else MANIFEST))[1]}"
        if before is not None and loaded == self._loaded:
            return before.trie, name, before._hold, loaded
        table = index / TABLE if with_ids else None
        forms = index if is_folder else index / "constraint"
        if is_folder or (self._vocabulary is None and _has_whole_trie(forms)):
            return _from_forms(forms, table), name, hold, loaded
        vocabulary = index / "vocabulary" if self._vocabulary is None else self._vocabulary
        return Trie.from_table(index, vocabulary), name, hold, loaded


def _from_forms(folder: Path, table: Path | None) -> Trie:
    """The trie of a constraint folder. Its files must be those that the description names: while a folder is copied
    file by file, some of them can be those of the generation before."""
    hashes = _recorded(folder)
    if TRIE not in hashes or not (folder / TRIE).is_file():
        raise ArtifactError(
            f"{folder}: expected the form trie, got none; write it with `catalex constrain --form trie`"
        )
    if table is not None and not table.is_file():
        raise ArtifactError(
            f"{table}: expected the token table, for the item ids of subsets, got none; write the folder with "
            "`catalex constrain --form vllm` or `--form sglang`"
        )
    for file in (folder / TRIE, *([table] if table is not None and table.parent == folder else [])):
        expected = hashes.get(file.name)
        got = None if expected is None else _sha256(file)
        if got != expected:
            raise ArtifactError(
                f"{file}: expected SHA-256 {expected}, as in {DESCRIPTION}, got {got}; copy the whole folder, or write "
                "it again with `catalex constrain`"
            )
    return Trie.load(folder / TRIE, table)


def _subset(trie: Trie, path: Path, known: tuple[Signature, Subset] | None) -> tuple[Signature, Subset]:
    """The subset of a file, and the stamp of the file. A file that has not changed is not read again."""
    stamp = _stamp(path)
    if known is not None and known[0] == stamp:
        return known
    subset, missing = trie._subset_of_file(path)
    if missing:
        log.info("catalex: %d lines of %s are no items of this generation", missing, path)
    return stamp, subset


def _recorded(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a constraint folder, as its description says."""
    forms: Any = (_described(folder) or {}).get("forms")
    try:
        hashes = {form["file"]: form["sha256"] for form in forms.values()}
        return hashes | {name: sha256 for form in forms.values() for name, sha256 in form.get("companions", {}).items()}
    except (AttributeError, KeyError, TypeError):
        raise ArtifactError(
            f"{folder / DESCRIPTION}: expected a description of constraint forms, got another file; write the folder "
            "again with `catalex constrain`"
        ) from None


def _has_whole_trie(forms: Path) -> bool:
    """Whether a constraint folder has a trie of all items with token ids."""
    described = _described(forms) or {}
    return "trie" in (described.get("forms") or {}) and "only" not in described and bool(described.get("token_ids"))


def _described(folder: Path) -> dict[str, Any] | None:
    """The description of a constraint folder; `None` if it cannot be read."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return described if isinstance(described, dict) else None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stamps(folder: Path) -> Signature:
    """The folder of a generation, and the stamps of the files that are read."""
    files = (folder / name for name in (DESCRIPTION, MANIFEST, TRIE, TABLE))
    return (str(folder), *((path.name, *_stamp(path)) for path in files if path.is_file()))


def _stamp(path: Path) -> Signature:
    """What changes when a file is replaced or rewritten, also by programs that keep the time of modification."""
    found = path.stat()
    return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)
