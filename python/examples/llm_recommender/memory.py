"""Measures what the trained parameters cost: their number, the optimizer's state, and the peak memory.

    python -m llm_recommender.memory LLM_FOLDER [--tokens 1024]

Each way to train runs in a process of its own: two gradient steps on random tokens. On a CPU, the peak is that of the
process, with loading; on a GPU, that of PyTorch's allocations.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from recommend.runs import device_of

from .models import load, trainable, trained_parameters
from .settings import ALL, MATRIX, ROWS, Settings
from .tuning import nats

NAMES = {
    ROWS: "LoRA, and the new rows (`trainable_token_indices`)",
    MATRIX: "LoRA, and the embedding matrix (`modules_to_save`)",
    ALL: "all parameters",
}
MIB = 2**20


def measure(llm: Path, tune: str, tokens: int, *, batch: int, length: int, device: torch.device) -> dict[str, Any]:
    """Figures of two gradient steps with `batch` prompts of `length` tokens and answers of five."""
    settings = Settings(tune=tune)
    torch.manual_seed(0)
    model = load(llm, settings, device)
    old = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(old + tokens, mean_resizing=False)
    model = trainable(model, list(range(old, old + tokens)), settings, 0).train()
    parameters = trained_parameters(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4)
    drawn = torch.randint(0, old + tokens, (2, batch, length + 5)).tolist()
    began = time.monotonic()
    for rows in drawn:
        nats(model, [(row[:length], row[length:]) for row in rows], 0).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    state = [value for of in optimizer.state.values() for value in of.values() if torch.is_tensor(value)]
    return {
        "tune": tune,
        "trained_parameters": sum(value.numel() for value in parameters.values()),
        "optimizer_mib": round(sum(value.numel() * value.element_size() for value in state) / MIB, 1),
        "peak_mib": round(peak(device) / MIB),
        "seconds_per_step": round((time.monotonic() - began) / 2, 2),
    }


def peak(device: torch.device) -> int:
    """The most memory in use so far, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="llm_recommender.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("llm", type=Path, help="a Hugging Face folder")
    parser.add_argument("--tokens", type=int, default=1024, help="new tokens [default: 1024]")
    parser.add_argument("--batch", type=int, default=8, help="[default: 8]")
    parser.add_argument("--length", type=int, default=64, help="tokens of a prompt [default: 64]")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [default: auto]")
    parser.add_argument("--tune", choices=list(NAMES), help="measure only this, in this process, and print JSON")
    arguments = parser.parse_args()
    device = torch.device(device_of(arguments.device))
    if arguments.tune:
        found = measure(arguments.llm, arguments.tune, arguments.tokens, batch=arguments.batch,
                        length=arguments.length, device=device)  # fmt: skip
        print(json.dumps(found))
        return
    print("| trained | parameters | optimizer state | peak memory |\n|---|---|---|---|")
    for tune, name in NAMES.items():
        command = [sys.executable, "-m", "llm_recommender.memory", *sys.argv[1:], "--tune", tune]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        row = json.loads(said.splitlines()[-1])
        print(
            f"| {name} | {row['trained_parameters']:,} | {row['optimizer_mib']} MiB | {row['peak_mib']:,} MiB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
