"""The jobs that scripts/soak.py disturbs: their inputs, their commands, and their undisturbed outputs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ITEMS = 1500
DIM = 16
SMALL = ["--levels", "3", "--codebook-size", "16", "--latent-dim", "8", "--hidden", "16", "--epochs", "3"]
TIMEOUT = 300


@dataclass
class Job:
    """A command with its inputs. `variant` names two versions with different outputs."""

    verb: str
    arguments: Callable[[str], list[str]]
    suffix: str = ""
    resumes: bool = False
    # Output and duration of an undisturbed run, by variant.
    expected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Workshop:
    """A folder with inputs, and the program."""

    def __init__(self, folder: Path, program: str, seed: int) -> None:
        self.folder = folder
        self.program = program
        self.random = random.Random(seed)
        self.environment = {**os.environ, "RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
        self._inputs()
        self.jobs = self._jobs()

    def run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )

    def must(self, *arguments: str) -> None:
        done = self.run(list(arguments))
        if done.returncode != 0:
            raise SystemExit(
                f"soak: catalex {' '.join(arguments)} failed before anything was disturbed:\n{done.stderr}"
            )

    def command(self, job: Job, variant: str, out: Path, *more: str) -> list[str]:
        return [job.verb, *job.arguments(variant), "--out", str(out), *more]

    def out(self, job: Job, room: Path) -> Path:
        return room / f"out{job.suffix}"

    def measure(self, job: Job) -> None:
        """Runs both variants of a job undisturbed."""
        for variant in ("a", "b"):
            room = self.room()
            out = self.out(job, room)
            began = time.monotonic()
            self.must(*self.command(job, variant, out))
            job.seconds = max(job.seconds, time.monotonic() - began)
            job.expected[variant] = digest(out)
            if others := leftovers(out):
                raise SystemExit(f"soak: an undisturbed {job.verb} left {others}")
            shutil.rmtree(room)
        if job.expected["a"] == job.expected["b"]:
            raise SystemExit(f"soak: both variants of {job.verb} give the same output, so a mix could not be detected")

    def room(self) -> Path:
        """An empty folder."""
        room = self.folder / f"room-{self.random.getrandbits(48):012x}"
        room.mkdir()
        return room

    def _inputs(self) -> None:
        rows = [f"{row},Item {row} of kind {row % 7},{row % 7}\n" for row in range(ITEMS)]
        (self.folder / "c.csv").write_text("id,title,kind\n" + "".join(rows), encoding="utf-8")
        centres = [[self.random.uniform(-1, 1) for _ in range(DIM)] for _ in range(20)]
        for name in ("a", "b"):
            values = [centre + self.random.gauss(0, 0.3) for row in range(ITEMS) for centre in centres[row % 20]]
            header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({ITEMS}, {DIM}), }}"
            header = header.ljust(117) + "\n"
            magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
            content = magic + header.encode("ascii") + struct.pack(f"<{len(values)}f", *values)
            (self.folder / f"{name}.npy").write_bytes(content)
        path = {name: str(self.folder / name) for name in ("a.npy", "b.npy", "model-a", "model-b", "t-a.parquet")}
        self.must("train", path["a.npy"], "--out", path["model-a"], *SMALL)
        self.must("tokenize", path["a.npy"], "--model", path["model-a"], "--out", path["t-a.parquet"])

    def _jobs(self) -> list[Job]:
        at = self.folder

        def vectors(variant: str) -> str:
            return f"text={at / variant}.npy"

        def catalog(variant: str) -> list[str]:
            return [str(at / "c.csv"), "--id", "id", "--embedding", vectors(variant)]

        def marker(variant: str) -> list[str]:
            return [str(at / "t-a.parquet"), "--begin-token", f"<|{variant}|>"]

        jobs = [
            Job("build", lambda variant: [*catalog(variant), *SMALL], resumes=True),
            Job("embed", catalog, ".parquet", resumes=True),
            Job("train", lambda variant: [str(at / f"{variant}.npy"), *SMALL], resumes=True),
            Job("tokenize", lambda v: [str(at / f"{v}.npy"), "--model", str(at / "model-a")], ".parquet"),
            Job("vocab", marker),
        ]
        for job in jobs:
            self.measure(job)
        return jobs


def digest(path: Path) -> str:
    """A hash of a file, or of all files in a folder with their names. Empty if there is no file. The time in a
    manifest, and the manifest's own hash, are left out: they differ between two runs."""
    if not path.exists() and not path.is_symlink():
        return ""
    hashed = hashlib.sha256()
    files = sorted(entry for entry in path.rglob("*") if not entry.is_dir()) if path.is_dir() else [path]
    for file in files:
        content = file.read_bytes()
        if file.name == "manifest.json":
            with contextlib.suppress(ValueError):
                manifest = json.loads(content)
                manifest.pop("sha256", None)
                manifest.get("generation", {}).pop("created", None)
                content = json.dumps(manifest).encode()
        hashed.update(f"{file.relative_to(path)} {len(content)}\n".encode() + content)
    return hashed.hexdigest()


def leftovers(out: Path) -> list[str]:
    """The files next to an output."""
    return sorted(entry.name for entry in out.parent.iterdir() if entry != out)
