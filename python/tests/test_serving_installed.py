"""The interfaces that catalex implements, in the source of installed servers.

`CATALEX_SERVERS` is a folder with vLLM's and SGLang's packages, such as unpacked wheels, and with `dill` and `orjson`;
without it, installed packages are used. Only the modules of the interfaces are loaded, because the rest needs a GPU.
CI has no server, so these tests are skipped there.
"""

import ast
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import serving_made
from serving_made import EOS, SIZES, Req, Shelf, config, shelf, tokens_of

torch = pytest.importorskip("torch")

LOGITS = 500
FOLDER = os.environ.get("CATALEX_SERVERS")


def root_of(package: str) -> Path:
    if FOLDER is not None and (Path(FOLDER) / package).is_dir():
        return Path(FOLDER) / package
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed: set CATALEX_SERVERS to a folder with its unpacked wheel")
    return Path(next(iter(spec.submodule_search_locations)))


@contextmanager
def bare(package: str, modules: list[str], **content: Any) -> Iterator[list[ModuleType]]:
    """Modules of a package whose `__init__` files are not run."""
    root = root_of(package)
    added = [FOLDER] if FOLDER is not None else []
    sys.path[:0] = added
    before = set(sys.modules)
    try:
        for name in modules:
            parts = name.split(".")
            for depth in range(1, len(parts)):
                part = ".".join(parts[:depth])
                module = sys.modules.setdefault(part, ModuleType(part))
                module.__path__ = [str(root.parent / Path(*parts[:depth]))]
        vars(sys.modules[package]).update(content)
        yield [importlib.import_module(name) for name in modules]
    finally:
        sys.path[:] = sys.path[len(added) :]
        for name in set(sys.modules) - before:
            if name.split(".")[0] in {package, "catalex_vllm", "catalex_sglang"} or name.startswith("catalex.serving."):
                del sys.modules[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf(tmp_path_factory.mktemp("installed"))


def same_interface(real: Any, restated: Any) -> None:
    """The restated class has the methods of the real one, with the same parameters."""
    names = {name for name, value in vars(real).items() if callable(value) or isinstance(value, classmethod)}
    public = {name for name in names if not name.startswith("_") or name in {"__init__", "__call__"}}
    for name in sorted(public & set(vars(restated)) | set(real.__abstractmethods__)):
        wanted, got = (list(inspect.signature(getattr(it, name)).parameters) for it in (real, restated))
        assert wanted == got, name
    assert public - set(vars(restated)) <= {"to_str", "from_str"}, "methods that are not restated"


V1 = "vllm.v1.sample.logits_processor"
V2 = "vllm.v1.worker.gpu.sample.logits_processor"


def test_vllm(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = [f"{V1}.interface", f"{V1}.state", f"{V2}.interface"]
    with bare("vllm", modules, SamplingParams=serving_made.Params) as (v1, state, v2):
        same_interface(v1.LogitsProcessor, serving_made.PersistentBatch)
        same_interface(v2.LogitsProcessor, serving_made.RequestSlots)
        assert [field for field in inspect.signature(v1.BatchUpdate).parameters] == [
            field for field in inspect.signature(serving_made.BatchUpdate).parameters
        ]
        for name in ("all_token_ids", "prompt_len", "device", "max_num_reqs"):
            assert name in v2.LogitsProcRequestState.__annotations__
        for name in ("idx_mapping", "idx_mapping_np", "input_ids", "pos"):
            assert name in v2.LogitsContext.__annotations__
        # The flag that the README's command uses.
        flags = (root_of("vllm") / "engine" / "arg_utils.py").read_text(encoding="utf-8")
        assert '"--logits-processors"' in flags

        vars(sys.modules[V1]).update(LogitsProcessor=v1.LogitsProcessor, MoveDirectionality=v1.MoveDirectionality)
        vars(sys.modules[V2]).update(LogitsProcessor=v2.LogitsProcessor)
        monkeypatch.syspath_prepend(str(made.constrain(tmp_path / "forms", "--form", "vllm")))
        processor = importlib.import_module("catalex_vllm").CatalexLogitsProcessor
        assert issubclass(processor, v1.LogitsProcessor) and issubclass(processor, v2.LogitsProcessor)
        # vLLM's own batch, with its builder of updates.
        batch = state.LogitsProcessors([processor(config(LOGITS), torch.device("cpu"), False)])
        (loaded,) = batch.non_argmax_invariant
        trie = loaded.live.current.trie
        outputs = [tokens_of(trie, code)[:depth] for depth, code in enumerate(made.codes[:4].tolist())]
        params = serving_made.Params({"catalex": "all"})
        builder = state.BatchUpdateBuilder()
        for row, output in enumerate(outputs):
            builder.added.append((row, params, [1], output))
        loaded.update_state(builder.get_and_reset(4))
        builder.removed_append(1)
        builder.moved.append((3, 1, v1.MoveDirectionality.UNIDIRECTIONAL))
        builder.moved.append((0, 2, v1.MoveDirectionality.SWAP))
        loaded.update_state(builder.get_and_reset(3))
        for row, output in zip(loaded.apply(torch.zeros(3, LOGITS)), [outputs[2], outputs[3], outputs[0]], strict=True):
            assert row.isfinite().nonzero()[:, 0].tolist() == trie.allowed_tokens(output).tolist()
        slots = v2.LogitsProcRequestState(
            torch.device("cpu"),
            2,
            LOGITS,
            SimpleNamespace(gpu=torch.ones(2, 8)),
            SimpleNamespace(gpu=torch.ones(2)),
            None,
            None,
        )
        of_slots = processor(config(LOGITS), slots)
        assert of_slots.add_request(1, params)
        of_slots.apply_staged_writes()
        one = torch.tensor([1])
        rows = torch.tensor([0])
        ctx = v2.LogitsContext(one, one, one.numpy(), rows, one, rows, rows.numpy())
        (row,) = of_slots.apply(torch.zeros(1, LOGITS), ctx)
        assert row.isfinite().nonzero()[:, 0].tolist() == trie.allowed_tokens([]).tolist()


def test_sglang(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = root_of("sglang")
    name = "sglang.srt.sampling.custom_logit_processor"
    with bare("sglang", [name]) as (module,):
        same_interface(module.CustomLogitProcessor, serving_made.CustomLogitProcessor)
        folder = made.constrain(tmp_path / "forms", "--form", "sglang")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr("catalex.serving.sglang._overlaps", lambda: False)
        readme = (folder / "README-sglang.md").read_text(encoding="utf-8")
        body = re.search(r"-d '(\{.*?\})'\n", readme, re.DOTALL)
        assert body is not None
        text = json.loads(body[1])["custom_logit_processor"]
        # SGLang's own reading of the text in the README; its own writing of the class gives the same class.
        processor = module.CustomLogitProcessor.from_str(text)
        assert type(processor).__name__ == "CatalexLogitProcessor"
        assert type(module.CustomLogitProcessor.from_str(type(processor).to_str())) is type(processor)
        request = Req([1, 2])
        params = [{"catalex": "all", "__req__": request}]
        torch.manual_seed(0)
        for _ in range(len(SIZES) + 1):
            request.output_ids.append(int(processor(torch.randn(1, LOGITS), params).argmax()))
        assert request.output_ids[-1] == EOS
    # What the processor reads of a request, and the switches that it looks at.
    source = (root / "srt" / "managers" / "schedule_batch.py").read_text(encoding="utf-8")
    (req,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Req")
    assigned = {
        node.attr for node in ast.walk(req) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    assert {"origin_input_ids", "output_ids", "eos_token_ids"} <= assigned
    assert '"__req__": ' in source
    flags = "".join(path.read_text(encoding="utf-8") for path in (root / "srt" / "arg_groups").rglob("*.py"))
    assert "enable_custom_logit_processor" in flags and "disable_overlap_schedule" in flags
