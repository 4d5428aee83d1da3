"""Encoders by their names on the Hugging Face Hub: fetched from a server that answers as the Hub does, then from the
cache alone."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from encoders_made import TEXTS, embed_texts, write_lookup
from huggingface_hub import try_to_load_from_cache
from made import catalex

NAME = "me/lookup"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(ThreadingHTTPServer):
    """The Hub's list of files, and the files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == f"/api/models/{NAME}/revision/main":
            files = [path for path in self.server.folder.rglob("*") if path.is_file()]
            names = [{"rfilename": str(path.relative_to(self.server.folder))} for path in files]
            self.answer(200, json.dumps({"sha": COMMIT, "siblings": names}).encode())
            return
        path = self.server.folder / self.path.removeprefix(f"/{NAME}/resolve/main/")
        if not path.is_file():
            self.answer(404, b"")
            return
        data = path.read_bytes()
        first, last = 0, len(data) - 1
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
        self.answer(
            206,
            data[first : last + 1],
            {
                "Content-Range": f"bytes {first}-{last}/{len(data)}",
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{abs(hash(str(path))):x}"',
            },
        )

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "published"
    write_lookup(folder / "onnx")
    for path in (folder / "onnx").glob("*.json"):
        path.rename(folder / path.name)
    (folder / "README.md").write_text("not for encoders")
    (folder / "model.safetensors").write_bytes(b"nor this")
    (folder / "onnx" / "model_O4.onnx").write_bytes(b"nor this")
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_name_is_fetched_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    expected = embed_texts(server.folder, TEXTS, tmp_path / "f.parquet")
    fetched = embed_texts(Path(NAME), TEXTS, tmp_path / "f.parquet")
    np.testing.assert_array_equal(fetched, expected)
    asked = {path.rsplit("/resolve/main/")[-1] for path in server.asked if "/resolve/" in path}
    assert {"tokenizer.json", "onnx/model.onnx"} <= asked
    assert not asked & {"README.md", "model.safetensors", "onnx/model_O4.onnx"}
    # Python's own library finds the files where they were put.
    for name in ("tokenizer.json", "onnx/model.onnx"):
        found = try_to_load_from_cache(NAME, name, cache_dir=cache)
        assert isinstance(found, str)
        assert Path(found).read_bytes() == (server.folder / name).read_bytes()
    before = len(server.asked)
    np.testing.assert_array_equal(embed_texts(Path(NAME), TEXTS, tmp_path / "f.parquet"), expected)
    assert len(server.asked) == before, "what is cached is not asked for"


def test_a_prepared_cache_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "hub" / "models--me--lookup"
    snapshot = model / "snapshots" / COMMIT
    write_lookup(snapshot)
    (model / "blobs").mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(model / "blobs" / path.name)
        path.symlink_to(Path("..", "..", "blobs", path.name))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    expected = embed_texts(snapshot, TEXTS, tmp_path / "f.parquet")
    np.testing.assert_array_equal(embed_texts(Path(NAME), TEXTS, tmp_path / "f.parquet"), expected)


@pytest.mark.parametrize("offline", ["1", "0"])
def test_an_unavailable_model_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    # Nobody listens here.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    catalog = tmp_path / "c.csv"
    catalog.write_text("id,t\n1,pen\n")
    run = catalex("embed", catalog, "--text", "t", "--text-encoder", NAME, "--out", tmp_path / "o")
    assert run.returncode == 1
    assert "the model me/lookup is not available" in run.stderr
    assert ("HF_HUB_OFFLINE" if offline == "1" else "the Hub does not provide it") in run.stderr
    assert not (tmp_path / "o").exists()
