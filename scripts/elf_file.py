"""Reads what 64-bit little-endian ELF files need, and edits their library search paths; standard library only."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

SHT_DYNAMIC, SHT_VERNEED = 6, 0x6FFFFFFE
DT_NEEDED, DT_RPATH, DT_RUNPATH = 1, 15, 29


def is_elf(data: bytes) -> bool:
    return data.startswith(b"\x7fELF\x02\x01")


class ElfFile:
    """An ELF file. Changes apply to `data`, not to the file."""

    def __init__(self, content: bytes) -> None:
        if not is_elf(content):
            raise ValueError("expected a 64-bit little-endian ELF file")
        self.data = bytearray(content)
        (start,) = struct.unpack_from("<Q", self.data, 40)
        size, count = struct.unpack_from("<HH", self.data, 58)
        self._sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, start + size * at) for at in range(count)]

    @classmethod
    def read(cls, path: Path) -> ElfFile:
        return cls(path.read_bytes())

    def _section(self, kind: int) -> tuple[int, int, int]:
        """The offset and the size of the section of a type, and the offset of its string table."""
        found = next((section for section in self._sections if section[1] == kind), None)
        if found is None:
            return 0, 0, 0
        return found[4], found[5], self._sections[found[6]][4]

    def _string(self, place: int) -> str:
        return self.data[place : self.data.index(0, place)].decode()

    def _dynamic(self, *tags: int) -> Iterator[int]:
        """The offsets of the strings of the dynamic entries with these tags."""
        start, size, strings = self._section(SHT_DYNAMIC)
        for tag, value in struct.iter_unpack("<QQ", self.data[start : start + size]):
            if tag in tags:
                yield strings + value

    @property
    def needed(self) -> list[str]:
        """The names of the shared libraries that the file is linked with."""
        return [self._string(place) for place in self._dynamic(DT_NEEDED)]

    @property
    def search_path(self) -> list[str]:
        """The folders in which the loader looks for libraries."""
        folders = ":".join(self._string(place) for place in self._dynamic(DT_RPATH, DT_RUNPATH))
        return [folder for folder in folders.split(":") if folder]

    def keep_relative(self) -> None:
        """Removes the folders that are not relative to the file (`$ORIGIN`) from the search path."""
        for place in self._dynamic(DT_RPATH, DT_RUNPATH):
            text = self._string(place)
            kept = ":".join(folder for folder in text.split(":") if folder.startswith("$ORIGIN"))
            self.data[place : place + len(text)] = kept.encode().ljust(len(text), b"\0")

    @property
    def versions(self) -> set[str]:
        """The symbol versions that the file needs, such as `GLIBC_2.28`."""
        start, size, strings = self._section(SHT_VERNEED)
        found: set[str] = set()
        place = start
        while size:
            _, count, _, first, following = struct.unpack_from("<HHIII", self.data, place)
            entry = place + first
            for _ in range(count):
                _, _, _, name, step = struct.unpack_from("<IHHII", self.data, entry)
                found.add(self._string(strings + name))
                entry += step
            if not following:
                break
            place += following
        return found

    def newest(self, library: str) -> tuple[int, ...]:
        """The newest symbol version that the file needs of a library, such as (2, 28) for `GLIBC`; (0,) for none."""
        matches = (re.fullmatch(rf"{library}_([\d.]+)", version) for version in self.versions)
        return max((tuple(map(int, match[1].split("."))) for match in matches if match), default=(0,))
