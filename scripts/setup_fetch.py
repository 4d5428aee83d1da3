"""Downloads pinned wheels: pip provides the URL, and this module downloads the file resumably and verifies it.

pip alone would do, but it starts a 500 MB download over after a break. So pip is asked for the address only (which
keeps the user's index, mirror and proxy settings in force), the file is fetched in ranges into `NAME.part`, and where
that way is closed (an index that wants a password, say) pip downloads it after all. Either way the sha256 decides.
Tarballs of npm's index go the same way, with npm in pip's place.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

ATTEMPTS = 5
TIMEOUT_SECONDS = 60
CHUNK = 1 << 20
PLATFORMS = ["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux2014_x86_64"]


class SetupError(Exception):
    """Set-up cannot continue. The message states the problem and what to do."""


@dataclasses.dataclass(frozen=True)
class Wheel:
    """One file of a package index, fixed to the byte."""

    package: str
    version: str
    file: str
    size: int
    sha256: str
    # The file is fetched for this Python, whichever runs set-up.
    python: str = "3.11"

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def tags(self) -> list[str]:
        """The file's tags, as pip's options."""
        abi = "cp" + self.python.replace(".", "")
        tags = ["--implementation", "cp", "--python-version", self.python, "--abi", abi, "--ignore-requires-python"]
        return tags + [word for platform in PLATFORMS for word in ("--platform", platform)]


@dataclasses.dataclass(frozen=True)
class NpmPackage(Wheel):
    """A tarball from the npm registry. npm provides the URL; the rest is the same as for wheels."""

    @property
    def requirement(self) -> str:
        return f"{self.package}@{self.version}"


def say(message: str) -> None:
    print(f"set-up: {message}", file=sys.stderr, flush=True)


def disk_error(error: OSError, path: Path) -> NoReturn:
    """Turn a failed write into a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise SetupError(
            f"the disk is full ({path}): free some space or set CATALEX_CACHE to a folder on a larger disk, "
            "then run again (what is already downloaded is kept)"
        ) from error
    raise SetupError(f"cannot write {path}: {error.strerror}: make it writable or set CATALEX_CACHE") from error


def run_pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def require_pip() -> None:
    done = run_pip(["--version"])
    if done.returncode != 0:
        raise SetupError(
            f"this Python ({sys.executable}) has no pip: install it (on Debian and Ubuntu: apt install python3-pip "
            "python3-venv), or name a Python that has it with PYTHON=... on make's command line"
        )


def last_line(text: str) -> str:
    """The last informative line of pip's error message."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[-1].removeprefix("ERROR: ") if lines else "no message"


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def locate(wheel: Wheel, folder: Path) -> str:
    """The wheel's address, from a pip dry run; it must already promise the pinned sha256."""
    report = ["install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--report", "-"]
    # pip takes platform tags only together with a target folder; a dry run writes nothing there.
    target = ["--only-binary=:all:", "--target", str(folder), *wheel.tags]
    done = run_pip([*report, *target, wheel.requirement])
    if done.returncode != 0:
        if "no such option: --report" in done.stderr or "no such option: --dry-run" in done.stderr:
            raise SetupError("pip is older than 22.2: upgrade it with `python3 -m pip install --upgrade pip`")
        raise SetupError(
            f"pip does not find {wheel.requirement} ({last_line(done.stderr)}): check the network and pip's index and "
            "proxy settings, then run again"
        )
    info: dict[str, Any] = json.loads(done.stdout)["install"][0]["download_info"]
    promised = info.get("archive_info", {}).get("hashes", {}).get("sha256")
    if promised is not None and promised != wheel.sha256:
        raise SetupError(
            f"the package index offers {wheel.requirement} with sha256 {promised}, expected {wheel.sha256}: use an "
            "index that serves the original files (pip's index-url setting)"
        )
    return str(info["url"])


def run_npm(package: NpmPackage, arguments: list[str]) -> str:
    command = ["npm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SetupError(
            f"npm does not find {package.requirement} ({last_line(done.stderr)}): check the network and npm's registry "
            "setting, then run again"
        )
    return done.stdout.strip()


def locate_npm(package: NpmPackage) -> str:
    return run_npm(package, ["view", package.requirement, "dist.tarball"])


def tls_context() -> ssl.SSLContext:
    """Use the same trusted certificates as pip."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE")
    return ssl.create_default_context(cafile=bundle if bundle and Path(bundle).is_file() else None)


class Meter:
    """Says how far a download is: a live line on a terminal, every quarter in a log."""

    def __init__(self, wheel: Wheel, start: int) -> None:
        self.wheel, self.start, self.began, self.shown = wheel, start, time.monotonic(), 0.0
        self.live = sys.stderr.isatty()
        self.quarter = 4 * start // max(wheel.size, 1)

    def show(self, done: int) -> None:
        now = time.monotonic()
        rate = (done - self.start) / max(now - self.began, 1e-3)
        line = f"{self.wheel.file}: {done / 1e6:.0f} of {self.wheel.size / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s"
        if self.live and (now - self.shown > 0.2 or done == self.wheel.size):
            self.shown = now
            end = "\n" if done == self.wheel.size else ""
            print(f"\r\x1b[Kset-up: {line}", end=end, file=sys.stderr, flush=True)
        elif not self.live and self.wheel.size > 50_000_000 and 4 * done // self.wheel.size > self.quarter:
            self.quarter = 4 * done // self.wheel.size
            say(line)


def download_once(url: str, wheel: Wheel, part: Path) -> None:
    """Download the missing rest of the file to `part`."""
    have = part.stat().st_size if part.exists() else 0
    if have >= wheel.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=tls_context()) as response:
        if have and getattr(response, "status", None) != 206:
            have = 0  # the server does not resume, or this is a local file
        meter = Meter(wheel, have)
        with part.open("ab" if have else "wb") as out:
            while have < wheel.size and (block := response.read(min(CHUNK, wheel.size - have))):
                try:
                    out.write(block)
                except OSError as error:
                    disk_error(error, part)
                have += len(block)
                meter.show(have)
    if have < wheel.size:
        raise ConnectionError(f"the connection ended after {have} of {wheel.size} bytes")


def download(url: str, wheel: Wheel, part: Path) -> None:
    """Fetch the file, trying again where it broke off."""
    for attempt in range(1, ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        if before:
            say(f"resuming {wheel.file} at {before / 1e6:.0f} MB")
        try:
            return download_once(url, wheel, part)
        except urllib.error.HTTPError:
            raise  # the server has answered; asking again would not change its mind
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise
            say(f"{wheel.file}: {error}; trying again ({attempt} of {ATTEMPTS - 1})")
            time.sleep(2 ** (attempt - 1))


def download_with_pip(wheel: Wheel, part: Path) -> None:
    folder = part.with_suffix(".pip")
    shutil.rmtree(folder, ignore_errors=True)
    say(f"letting pip download {wheel.file}")
    arguments = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *wheel.tags]
    try:
        done = run_pip([*arguments, wheel.requirement])
        if done.returncode != 0:
            raise SetupError(
                f"cannot download {wheel.file} ({last_line(done.stderr)}): check the network, then run again (the "
                "download resumes)"
            )
        (folder / wheel.file).replace(part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download_with_npm(package: NpmPackage, part: Path) -> None:
    folder = part.with_suffix(".npm")
    shutil.rmtree(folder, ignore_errors=True)
    say(f"letting npm download {package.file}")
    try:
        folder.mkdir()
        run_npm(package, ["pack", "--silent", "--pack-destination", str(folder), package.requirement])
        (folder / package.file).replace(part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetch(wheel: Wheel, folder: Path) -> Path:
    """The wheel or tarball as a checked file in `folder`, downloaded if it is not there yet."""
    path = folder / wheel.file
    if path.exists():
        if path.stat().st_size == wheel.size and file_sha256(path) == wheel.sha256:
            return path
        say(f"{path} is damaged; fetching it again")
        path.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        disk_error(error, folder)
    part = folder / f"{wheel.file}.part"
    url = locate_npm(wheel) if isinstance(wheel, NpmPackage) else locate(wheel, folder)
    say(f"downloading {wheel.file} ({wheel.size / 1e6:.0f} MB)")
    try:
        download(url, wheel, part)
    except (OSError, http.client.HTTPException, ValueError) as error:
        say(f"direct download failed ({error})")
        if isinstance(wheel, NpmPackage):
            download_with_npm(wheel, part)
        else:
            download_with_pip(wheel, part)
    got = file_sha256(part)
    if got != wheel.sha256:
        part.unlink()
        raise SetupError(
            f"{wheel.file} has sha256 {got}, expected {wheel.sha256}; it has been deleted: run again, and if this "
            "repeats, the package index or a proxy on the way alters files"
        )
    part.replace(path)
    return path
