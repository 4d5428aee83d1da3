"""The folder of `catalex constrain --form sglang`, by SGLang's restated interface."""

import importlib
import json
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_made import EOS, SIZES, Req, Shelf, servers, shelf

import catalex

torch = pytest.importorskip("torch")

LOGITS = 500


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf(tmp_path_factory.mktemp("sglang"))


@pytest.fixture
def folder(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made.constrain(tmp_path / "first", "--form", "sglang")
    shutil.copytree(tmp_path / "first", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "first")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.setenv("CATALEX_SUBSETS", str(made.subsets()))
    with servers():
        yield tmp_path / "elsewhere"


def sent(folder: Path) -> str:
    """The value of `custom_logit_processor` in the README's command, as it arrives at the server."""
    readme = (folder / "README-sglang.md").read_text(encoding="utf-8")
    body = re.search(r"-d '(\{.*?\})'\n", readme, re.DOTALL)
    assert body is not None
    request = json.loads(body[1])
    assert request["sampling_params"] == {"max_new_tokens": len(SIZES) + 1, "custom_params": {"catalex": "all"}}
    return str(request["custom_logit_processor"])


def received(folder: Path) -> Any:
    """The processor as SGLang creates it: `from_str` reads the pickled class with dill, and calls it."""
    pickled = bytes.fromhex(json.loads(sent(folder))["callable"])
    return pickle.loads(pickled)()


def test_requests_of_a_batch_get_items_of_their_subsets(folder: Path, made: Shelf) -> None:
    processor = received(folder)
    assert type(processor) is importlib.import_module("catalex_sglang").CatalexLogitProcessor
    settings: list[dict[str, Any]] = [
        {"catalex": "all"},
        {"catalex": "odd"},
        {},
        {"catalex": {"subset": "even"}},
        {"catalex": "gone"},
    ]
    requests = [Req([1, 2, 3]) for _ in settings]
    given: list[Any] = [{**setting, "__req__": request} for setting, request in zip(settings, requests, strict=True)]
    torch.manual_seed(0)
    for _ in SIZES:
        # SGLang creates the processor anew when the batch changes.
        logits = received(folder)(torch.randn(len(given), LOGITS), given)
        for request, token in zip(requests, logits.argmax(1).tolist(), strict=True):
            request.output_ids.append(token)
    trie = catalex.Trie.load(folder / "ids.trie", folder / "tokens.parquet")
    ids = trie.tokens
    assert ids is not None
    for at, (request, odd) in enumerate(zip(requests, [None, 1, None, 0, None], strict=True)):
        if at == 4:
            assert set(request.output_ids) == {EOS}, "an unknown subset has no item"
            continue
        found = trie.find([code[1] for token in request.output_ids if (code := ids.code_of(token))])
        assert found is not None and (odd is None or found % 2 == odd)
    logits = received(folder)(torch.zeros(len(given), LOGITS), given)
    assert [row.isfinite().nonzero()[:, 0].tolist() for row in logits] == [[EOS]] * len(given)


def test_wrong_requests_and_servers_are_refused(folder: Path) -> None:
    malformed: list[Any] = [None, {}, {"catalex": 3, "__req__": Req([1])}]
    for settings in malformed:
        params: list[Any] = [{"__req__": Req([1]), "catalex": "all"}, settings]
        logits = received(folder)(torch.zeros(2, LOGITS), params)
        assert logits[0].isfinite().sum() > 1
        assert logits[1].isfinite().nonzero()[:, 0].tolist() == [EOS], "only the wrong request ends"
    with pytest.raises(catalex.InputError, match="at least"):
        received(folder)(torch.zeros(1, 300), [{"__req__": Req([1])}])
    with pytest.raises(catalex.ConfigError, match="eos_token_id"):
        received(folder)(torch.zeros(1, LOGITS), [{"__req__": Req([1], eos_token_ids=None)}])


def test_the_first_request_of_a_server_may_be_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = importlib.import_module("catalex_sglang").CatalexLogitProcessor
    logits = received(folder)(torch.zeros(1, LOGITS), [None])
    assert logits.isfinite().sum() == 1, "an error would stop the server"
    monkeypatch.setattr(kind, "eos_token_id", [7, 9])
    logits = received(folder)(torch.zeros(1, LOGITS), [None])
    assert logits[0].isfinite().nonzero()[:, 0].tolist() == [7, 9]


def test_overlapped_batches_are_refused(folder: Path) -> None:
    with servers(overlap=True), pytest.raises(catalex.ConfigError, match="--disable-overlap-schedule"):
        received(folder)
