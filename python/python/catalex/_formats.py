"""JSON files of catalex. Damaged files, and versions that this release does not know, are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import ArtifactError, ResourceError


def read_json(path: Path, what: str, newest: int, *, needs: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON object in a file, of a format version up to `newest` and with all keys of `needs`.

    A file that does not exist raises `FileNotFoundError`, for the caller to say what the folder should be.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error}; check its permissions") from error
    return parse_json(text, str(path), what, newest, needs=needs)


def parse_json(text: bytes | str, where: str, what: str, newest: int, *, needs: tuple[str, ...] = ()) -> dict[str, Any]:
    """As `read_json`, of text that was read from `where`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{where}: expected {what}, got damaged JSON ({error}); restore it from a copy") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{where}: expected {what}, got {type(found).__name__}; restore it from a copy")
    check_version(found.get("format_version"), where, newest)
    for key in needs:
        if key not in found:
            raise ArtifactError(f"{where}: expected {what} with the key {key!r}, got none; restore it from a copy")
    return found


def check_version(version: object, where: str, newest: int) -> None:
    """Refuses a format version that this release does not know."""
    if isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= newest:
        return
    expected = "format version 1" if newest == 1 else f"format version 1 to {newest}"
    newer = isinstance(version, int) and version > newest
    help = "install a newer catalex" if newer else "name a file that catalex wrote, or restore it from a copy"
    raise ArtifactError(f"{where}: expected {expected}, got {'none' if version is None else version}; {help}")
