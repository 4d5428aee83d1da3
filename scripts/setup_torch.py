"""PyTorch for the CPU in a virtual environment, out of the wheel that libtorch is taken from.

PyPI's torch for Linux on x86_64 wants some gigabytes of CUDA packages, and links their libraries. None of them is
called without a GPU. So the wheel is unpacked without these requirements, and small libraries, which the C compiler
makes here, stand in for them: the loader finds the names it looks for, and whoever calls one gets an error code.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from setup_fetch import SetupError, last_line

# Build files in the wheel, and files that require further CUDA libraries.
LEFT_OUT = ["torch/include/", "torch/share/", "torch/test/", "torch/bin/protoc", "torch/lib/libtorch_cuda_linalg"]
LEFT_OUT += ["torch/lib/libtorch_nvshmem", "torch/lib/libcaffe2_nvrtc"]
# Linked by the libraries that stay, and the names that these look for there.
STAND_INS = ["libtorch_nvshmem.so", "libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcufft.so.12"]
STAND_INS += ["libcufile.so.0", "libcurand.so.10", "libcusparse.so.12", "libcusparseLt.so.0", "libnccl.so.2"]
STAND_INS += ["libnvrtc.so.13"]
LOOKING = ["libtorch_cuda.so", "libtorch_python.so"]
LOOKED_FOR = re.compile(r"cublas|cudnn|cufft|cuFile|curand|cusparse|nccl|nvrtc|\w*nvshmem")
SHT_DYNSYM, SHN_UNDEF = 11, 0
CUDA_REQUIREMENTS = ("Requires-Dist: cuda-", "Requires-Dist: nvidia-", "Requires-Dist: triton")


def copy_out(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source: IO[bytes]
    with archive.open(member) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def install_torch(wheel: Path, libtorch: Path | None, cuda: dict[str, Path], site_packages: Path) -> None:
    """Unpack `wheel` into `site_packages`. `cuda` maps library names to the wheels that hold them. Libraries that are
    in the folder `libtorch` already are linked, not copied."""
    folder = site_packages / "torch" / "lib"
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            member, target = info.filename, site_packages / info.filename
            if member.endswith("/") or member.startswith(tuple(LEFT_OUT)) or member.endswith(".dist-info/RECORD"):
                continue
            if not (member.startswith("torch/lib/") and link(libtorch, target, info.file_size)):
                copy_out(archive, member, target)
            if member.endswith(".dist-info/METADATA"):
                lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if not line.startswith(CUDA_REQUIREMENTS)]
                target.write_text("".join(kept), encoding="utf-8")
    (folder.parent / "bin" / "torch_shm_manager").chmod(0o755)
    for library, source in cuda.items():
        with zipfile.ZipFile(source) as archive:
            info = archive.getinfo(f"nvidia/cu13/lib/{library}")
            if not link(libtorch, folder / library, info.file_size):
                copy_out(archive, info.filename, folder / library)
    make_stand_ins(folder)


def link(libtorch: Path | None, target: Path, size: int) -> bool:
    """A hard link to the same library of `libtorch`, if it exists and the file system supports links."""
    source = libtorch / target.name if libtorch else None
    if source and source.is_file() and source.stat().st_size == size:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(source, target)
            return True
    return False


def undefined(library: Path) -> Iterator[str]:
    """The names that an ELF file of 64 bits looks for in others."""
    with library.open("rb") as file:
        header = file.read(64)
        (sections,) = struct.unpack_from("<Q", header, 40)
        size, count = struct.unpack_from("<HH", header, 58)
        file.seek(sections)
        table = [struct.unpack_from("<IIQQQQII", file.read(size)) for _ in range(count)]
        dynsym = next(section for section in table if section[1] == SHT_DYNSYM)
        strings = table[dynsym[6]]
        file.seek(strings[4])
        names = file.read(strings[5])
        file.seek(dynsym[4])
        symbols = file.read(dynsym[5])
    for name, _, _, section, _, _ in struct.iter_unpack("<IBBHQQ", symbols):
        if section == SHN_UNDEF:
            yield names[name : names.index(b"\0", name)].decode("ascii")


def make_stand_ins(folder: Path) -> None:
    names = sorted({name for library in LOOKING for name in undefined(folder / library) if LOOKED_FOR.match(name)})
    source, versions = folder / "stand_in.c", folder / "stand_in.versions"
    functions = [f'int {name}(void) __attribute__((alias("catalex_none")));\n' for name in names]
    source.write_text("int catalex_none(void) { return 1; }\n" + "".join(functions), encoding="ascii")
    compiler = os.environ.get("CC") or "cc"
    for library in STAND_INS:
        # Names are asked for in a version that is called as the library.
        versions.write_text(f"{library} {{ global: *; }};\n", encoding="ascii")
        command = [compiler, "-shared", "-fPIC", "-nostdlib", "-w", f"-Wl,-soname,{library}"]
        command += [f"-Wl,--version-script={versions}", str(source), "-o", str(folder / library)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise SetupError(
                f"cannot run the C compiler {compiler} ({error.strerror}): install gcc or name one with CC=..., then "
                "run again"
            ) from error
        if done.returncode != 0:
            raise SetupError(
                f"the C compiler {compiler} cannot make a library ({last_line(done.stderr)}): install gcc or name "
                "another with CC=..., then run again"
            )
    source.unlink()
    versions.unlink()
