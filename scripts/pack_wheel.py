#!/usr/bin/env python3
"""Add the two programs to a wheel that maturin built, and set the wheel's platform tag.

    python scripts/pack_wheel.py WHEEL CATALEX CATALEX_TRAIN OUT_FOLDER [--largest MB]

The programs become `catalex/bin/catalex` and `catalex/bin/catalex-train`. Symbols are stripped, and folders of the
build machine are removed from the library search paths. The platform tag follows from the symbol versions of glibc and
libstdc++ that the programs and the extension module need. The last line printed is the path of the wheel.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from elf_file import ElfFile, is_elf

# The libraries that every Linux system with a suitable glibc has, and those of the package torch.
SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so\.\d+|ld-linux[-\w]*\.so\.\d+|linux-vdso\.so\.1")
LIBTORCH = re.compile(r"lib(torch|torch_cpu|torch_cuda|c10|c10_cuda)\.so")
# The newest libstdc++ symbol version that each manylinux tag allows, by glibc version; from auditwheel's policies.
STDCXX = {(2, 17): (3, 4, 19), (2, 24): (3, 4, 22), (2, 26): (3, 4, 24), (2, 31): (3, 4, 28), (2, 34): (3, 4, 29)}
STDCXX |= {(2, 35): (3, 4, 30), (2, 39): (3, 4, 33)}
DATE = (1980, 1, 1, 0, 0, 0)


def stripped(content: bytes) -> bytes:
    """The content of an ELF file without symbols and without folders of the build machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        subprocess.run([os.environ.get("STRIP") or "strip", "--strip-unneeded", str(path)], check=True)
        elf = ElfFile.read(path)
    elf.keep_relative()
    return bytes(elf.data)


def tag(files: dict[str, bytes]) -> str:
    """The platform tag of a wheel with these ELF files."""
    elves = [ElfFile(content) for content in files.values()]
    glibc = max([(2, 17), *(elf.newest("GLIBC")[:2] for elf in elves)])
    stdcxx = max(elf.newest("GLIBCXX") for elf in elves)
    allowed = max(version for version in STDCXX if version <= glibc)
    if stdcxx > STDCXX[allowed]:
        glibc = max(glibc, next(version for version, newest in STDCXX.items() if newest >= stdcxx))
    return f"manylinux_{glibc[0]}_{glibc[1]}_{platform.machine()}"


def check(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        elf = ElfFile(content)
        trains = name.endswith("catalex-train")
        foreign = [library for library in elf.needed if not SYSTEM.fullmatch(library)]
        foreign = [library for library in foreign if not (trains and LIBTORCH.fullmatch(library))]
        if foreign:
            sys.exit(f"pack_wheel: {name} needs {', '.join(foreign)}, which users' systems may lack")
        if any(not folder.startswith("$ORIGIN") for folder in elf.search_path):
            sys.exit(f"pack_wheel: {name} looks for libraries in {elf.search_path}, expected only $ORIGIN/...")


def record(files: dict[str, bytes], at: str) -> bytes:
    """The RECORD of a wheel: its files with their hashes. RECORD itself, at the path `at`, is listed without a hash."""
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return ("".join(lines) + f"{at},,\n").encode()


def pack(wheel: Path, programs: dict[str, Path], out: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    files |= {f"catalex/bin/{name}": path.read_bytes() for name, path in programs.items()}
    files = {name: stripped(content) if is_elf(content) else content for name, content in files.items()}
    elves = {name: content for name, content in files.items() if is_elf(content)}
    check(elves)
    platform_tag = tag(elves)
    (about,) = (name for name in files if name.endswith(".dist-info/WHEEL"))
    python_tag = wheel.stem.rsplit("-", 1)[0].split("-", 2)[2]
    text = re.sub(r"(?m)^Tag: .*\n", "", files[about].decode()).rstrip("\n")
    files[about] = f"{text}\nTag: {python_tag}-{platform_tag}\n".encode()
    listed = str(Path(about).with_name("RECORD"))
    files.pop(listed)
    files[listed] = record(files, listed)
    made = out / f"{wheel.stem.rsplit('-', 1)[0]}-{platform_tag}.whl"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr = (0o100755 if is_elf(content) else 0o100644) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, 9)
    for name, content in sorted(elves.items()):
        newest = ", ".join(
            f"{library} {'.'.join(map(str, ElfFile(content).newest(library)))}" for library in ("GLIBC", "GLIBCXX")
        )
        print(f"pack_wheel: {name}: {len(content) / 1e6:.1f} MB, needs {newest}", file=sys.stderr)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("wheel", "catalex", "catalex_train", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--largest", type=float, help="maximum size of the wheel, in MB")
    given = parser.parse_args()
    if platform.system() != "Linux":
        sys.exit("pack_wheel: this is tested on Linux only, and reads only ELF files")
    made = pack(given.wheel, {"catalex": given.catalex, "catalex-train": given.catalex_train}, given.out)
    size = made.stat().st_size / 1e6
    print(f"pack_wheel: {made.name}: {size:.1f} MB", file=sys.stderr)
    if given.largest and size > given.largest:
        sys.exit(f"pack_wheel: {made} has {size:.1f} MB, expected at most {given.largest:g} MB")
    print(made)


if __name__ == "__main__":
    main()
