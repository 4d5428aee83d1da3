#!/usr/bin/env python3
"""Kill and disturb running catalex commands, and count the faults: `make soak SECONDS=...`.

    kills      a command is killed at a random moment, with and without an earlier output. Afterwards, the output is
               the earlier one, the complete new one, or absent. The next run gives the same bytes and leaves no other
               files
    races      two runs with different inputs write to the same --out: the output is the complete output of one run
    full disk  the output's file system is full (a small tmpfs, if mounting is permitted), or the file size is limited:
               the run gives an error, without an incomplete output and without a panic
    memory     the address space is limited: no incomplete output
    messages   `catalex serve` gets malformed messages: it answers the next valid request
    unread     a client sends requests and reads no answers: the server's memory stays bounded

Standard library only. The exit code is 1 if there are faults, otherwise 0.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import soak_server
from soak_jobs import TIMEOUT, Job, Workshop, digest, leftovers

MAX_SHOWN = 20


class Soak:
    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.faults: list[str] = []
        self.rows: list[tuple[str, int, str, int]] = []

    def part(self, name: str, seconds: float, once: Callable[[Job], str]) -> None:
        """Disturbs one job after the other until the time is over, but each job at least once."""
        before, runs, seen = len(self.faults), 0, dict[str, int]()
        until = time.monotonic() + seconds
        while runs < len(self.shop.jobs) or time.monotonic() < until:
            job = self.shop.jobs[runs % len(self.shop.jobs)]
            runs += 1
            outcome = once(job)
            seen[outcome] = seen.get(outcome, 0) + 1
        self.row(name, runs, ", ".join(f"{n} {outcome}" for outcome, n in sorted(seen.items())), before)

    def row(self, name: str, runs: int, seen: str, before: int) -> None:
        self.rows.append((name, runs, seen, len(self.faults) - before))
        print(f"{name:<10} {runs:>6} {len(self.faults) - before:>7}  {seen}", flush=True)

    def fault(self, text: str) -> None:
        self.faults.append(text)
        if len(self.faults) <= MAX_SHOWN:
            print(f"soak: {text}", file=sys.stderr, flush=True)

    # Attacks.

    def kill(self, job: Job) -> str:
        room = self.shop.room()
        earlier = self._earlier(job, room)
        out = self.shop.out(job, room)
        process = self._start(self.shop.command(job, "a", out, *(["--force"] if earlier else [])))
        # Half of the kills happen in the last part of the run, in which files are written and renamed.
        share = self.shop.random.choice([self.shop.random.uniform(0, 1), self.shop.random.uniform(0.8, 1.05)])
        time.sleep(job.seconds * share)
        process.kill()
        process.communicate()
        left = self._whole(job, out, earlier, "killed")
        again = ["--force"] if left or not job.resumes else [self.shop.random.choice(["--resume", "--force"])]
        done = self.shop.run(self.shop.command(job, "a", out, *again))
        if done.returncode != 0:
            self.fault(f"{job.verb} {again[0]} after a kill: {last_line(done.stderr)}")
        else:
            self._finished(job, out, f"{job.verb} {again[0]} after a kill")
        shutil.rmtree(room)
        return {"": "nothing left", "a": "finished before"}.get(left, "earlier one kept")

    def race(self, job: Job) -> str:
        room = self.shop.room()
        out = self.shop.out(job, room)
        self._earlier(job, room)
        pair = {variant: self._start(self.shop.command(job, variant, out, "--force")) for variant in ("a", "b")}
        codes = {}
        for variant, process in pair.items():
            _, stderr = process.communicate(timeout=TIMEOUT)
            codes[variant] = process.returncode
            self._no_panic(job, stderr)
        got = digest(out)
        winner = [variant for variant, expected in job.expected.items() if expected == got]
        if not winner:
            self.fault(f"two {job.verb} into one --out left {'a mix' if got else 'nothing'} (exit codes {codes})")
        elif codes[winner[0]] != 0:
            self.fault(f"the output is that of a {job.verb} that failed (exit codes {codes})")
        if others := leftovers(out):
            self.fault(f"two {job.verb} into one --out left {others}")
        shutil.rmtree(room)
        return f"{sum(code == 0 for code in codes.values())} of 2 done"

    def full(self, job: Job) -> str:
        room = self.shop.room()
        with small_disk(room, self.shop.random.randint(1, 400) * 1024) as mounted:
            earlier = ""
            out = self.shop.out(job, room)
            limit = None if mounted else (resource.RLIMIT_FSIZE, self.shop.random.randint(0, 200_000))
            outcome = self._limited(
                job, out, earlier, limit, "on a full disk" if mounted else "with a limit of file size"
            )
        shutil.rmtree(room)
        return f"{outcome} ({'tmpfs' if mounted else 'size limit'})"

    def memory(self, job: Job) -> str:
        room = self.shop.room()
        earlier = self._earlier(job, room)
        limit = (resource.RLIMIT_AS, self.shop.random.randint(100, 1500) << 20)
        outcome = self._limited(job, self.shop.out(job, room), earlier, limit, "with little memory")
        shutil.rmtree(room)
        return outcome

    def serve(self, seconds: float) -> None:
        room = self.shop.room()
        index = room / "index"
        build = self.shop.jobs[0]
        self.shop.must(*self.shop.command(build, "a", index))
        parts: list[tuple[str, Callable[[], tuple[int, list[str]]]]] = [
            ("messages", lambda: soak_server.malformed(self.shop.program, index, self.shop.random, seconds / 2)),
            ("unread", lambda: soak_server.unread(self.shop.program, index, max(seconds / 2, 5))),
        ]
        for name, attack in parts:
            before = len(self.faults)
            sent, faults = attack()
            for fault in faults:
                self.fault(f"serve: {fault}")
            self.row(name, sent, "", before)
        shutil.rmtree(room)

    # Helpers.

    def _earlier(self, job: Job, room: Path) -> str:
        """Sometimes creates an earlier output. Returns its variant."""
        if self.shop.random.random() < 0.5:
            return ""
        self.shop.must(*self.shop.command(job, "b", self.shop.out(job, room)))
        return "b"

    def _start(self, arguments: list[str], limit: tuple[int, int] | None = None) -> subprocess.Popen[str]:
        def limited() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if limit:
                resource.setrlimit(limit[0], (limit[1], limit[1]))

        return subprocess.Popen(
            [self.shop.program, *arguments],
            env=self.shop.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=limited if limit else None,  # noqa: PLW1509 (no thread has been started yet)
        )

    def _limited(self, job: Job, out: Path, earlier: str, limit: tuple[int, int] | None, how: str) -> str:
        process = self._start(self.shop.command(job, "a", out, *(["--force"] if earlier else [])), limit)
        _, stderr = process.communicate(timeout=TIMEOUT)
        self._no_panic(job, stderr)
        left = self._whole(job, out, earlier, how)
        if process.returncode == 0 and left != "a":
            self.fault(f"{job.verb} {how} ended with exit code 0, but its output does not exist")
        if process.returncode in (0, 1):
            return "done" if process.returncode == 0 else "refused"
        return "aborted"

    def _whole(self, job: Job, out: Path, earlier: str, how: str) -> str:
        """Returns which output exists. It must be complete."""
        got = digest(out)
        left = next((variant for variant, expected in job.expected.items() if expected == got), "")
        if got and not left:
            self.fault(f"{job.verb} {how}: the output is neither the earlier one nor the new one")
        if earlier and not got:
            self.fault(f"{job.verb} {how}: the earlier output is gone")
        return left

    def _finished(self, job: Job, out: Path, what: str) -> None:
        if digest(out) != job.expected["a"]:
            self.fault(f"{what}: other bytes than those of an undisturbed run")
        if others := leftovers(out):
            self.fault(f"{what}: {others} left next to the output")

    def _no_panic(self, job: Job, stderr: str) -> None:
        if "panicked at" in stderr:
            self.fault(f"{job.verb} panicked: {last_line(stderr)}")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mounts a small file system at a folder, if mounting is permitted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "soak", str(folder)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill and disturb running catalex commands, and count the faults.")
    parser.add_argument("--seconds", type=float, default=300, help="total time of all parts (default: 300)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="random seed (default: the time)")
    parser.add_argument("--program", default="catalex", help="the program (default: catalex on the PATH)")
    options = parser.parse_args()
    program = shutil.which(options.program)
    if program is None:
        parser.error(f"{options.program} is not on the PATH: run `make build`, or name it with --program")
    with tempfile.TemporaryDirectory(prefix="catalex-soak-") as name:
        folder = Path(name)
        probe = folder / "probe"
        probe.mkdir()
        with small_disk(probe, 1 << 20) as mounted:
            pass
        if not mounted:
            print("soak: MOUNTING IS NOT PERMITTED: file size limits replace full disks", file=sys.stderr)
        probe.rmdir()
        print(f"soak: {options.seconds:.0f} seconds, seed {options.seed}, {os.path.realpath(program)}", file=sys.stderr)
        soak = Soak(Workshop(folder, program, options.seed))
        print(f"{'attack':<10} {'runs':>6} {'faults':>7}  outcomes")
        share = options.seconds / 5
        for part, once in [
            ("kills", soak.kill),
            ("races", soak.race),
            ("full disk", soak.full),
            ("memory", soak.memory),
        ]:
            soak.part(part, share, once)
        soak.serve(share)
    print(f"{len(soak.faults)} faults in {sum(runs for _, runs, _, _ in soak.rows)} attacks")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
