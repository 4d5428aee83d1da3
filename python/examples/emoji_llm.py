"""A real language model learns the emoji's semantic IDs, on the CPU.

SmolLM2-135M-Instruct gets the new tokens and start values for their rows. For each method of start values, it is
fine-tuned briefly with LoRA on text-to-ID and ID-to-text pairs, and then asked for held-out emoji.

    python emoji_llm.py --catalex BINARY             all of it, about twenty minutes of processor time
    python emoji_llm.py --catalex BINARY --short     a few steps, to check that it runs

The language model and the encoders are in the models folder of the set-up, CATALEX_MODELS.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from catalex import LogitsProcessor, Trie, apply_start_values

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "fixtures" / "emoji" / "catalog.parquet"
METHODS = ["mean", "grounded", "structured"]
BEAMS = 10
# Number of tags in a prompt. With all tags, training would take too long.
TAGS = 4
Example = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Size:
    """The amount of training. The order of the examples is the same for every method."""

    steps: int
    batch: int
    questions: int
    every: int


FULL = Size(steps=100, batch=16, questions=40, every=10)
SHORT = Size(steps=4, batch=4, questions=2, every=2)


@dataclass(frozen=True)
class Emoji:
    text: str
    name: str
    subgroup: str
    semantic_id: str


def unpack(gguf: Path, out: Path) -> None:
    """Converts the language model from its GGUF file to a Hugging Face folder with float32 weights."""
    if (out / "config.json").exists():
        return
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are no longer quantised.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)


def vocabulary(arguments: argparse.Namespace, index: Path, llm: Path, method: str) -> Path:
    """Writes the tokenizer with the new tokens, and the start values of their rows."""
    out: Path = arguments.out / f"vocabulary-{method}"
    command = [arguments.catalex, "vocab", index, "--tokenizer", llm, "--llm", llm, "--start-values", method]
    command += ["--catalog", CATALOG, "--text", "label,tags", "--out", out, "--force"]
    subprocess.run([str(word) for word in command], check=True)
    return out


def read_emoji(index: Path) -> list[Emoji]:
    ids = pq.read_table(index / "tokens.parquet", columns=["item_id", "semantic_id"]).to_pydict()
    of = dict(zip(ids["item_id"], ids["semantic_id"], strict=True))
    rows = pq.read_table(CATALOG, columns=["id", "label", "tags", "subgroup"]).to_pylist()
    return [
        Emoji(f"{row['label']}: {', '.join(row['tags'][:TAGS])}", row["label"], row["subgroup"], of[row["id"]])
        for row in rows
    ]


def examples(emoji: list[Emoji], encode: Callable[[str], list[int]], eos: int) -> list[Example]:
    """Text to ID and ID to text: prompts with their expected answers."""
    pairs = []
    for one in emoji:
        pairs.append((encode(f"Emoji for {one.text} ="), [*encode(one.semantic_id), eos]))
        pairs.append((encode(f"{one.semantic_id} is the emoji"), [*encode(f" {one.name}"), eos]))
    return pairs


def batches(pairs: list[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """An endless sequence of batches. Each epoch has another order."""
    order = random.Random(seed)
    while True:
        shuffled = order.sample(pairs, len(pairs))
        yield from (shuffled[at : at + size] for at in range(0, len(shuffled) - size + 1, size))


def loss_of(model: Any, batch: list[Example], pad: int) -> torch.Tensor:
    """Cross-entropy of the expected answers, without the prompts."""
    width = max(len(prompt) + len(answer) for prompt, answer in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), -100)
    for row, (prompt, answer) in enumerate(batch):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    mask = (torch.arange(width) < torch.tensor([[len(p) + len(a)] for p, a in batch])).long()
    loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss


def tune(
    model: Any, pairs: list[Example], held_out: list[Example], *, size: Size, pad: int, seed: int
) -> dict[str, Any]:
    """Trains with AdamW. Returns the losses during training."""
    torch.manual_seed(seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=size.steps, pct_start=0.1)
    curve: dict[str, Any] = {"step": [], "training": [], "held_out": []}

    def note(step: int, training: float) -> None:
        model.eval()
        with torch.no_grad():
            loss = float(loss_of(model, held_out, pad))
        model.train()
        curve["step"].append(step)
        curve["training"].append(training)
        curve["held_out"].append(loss)
        print(f"  step {step}: training {training:.3f}, held out {loss:.3f}", file=sys.stderr, flush=True)

    recent: list[float] = []
    for step, batch in zip(range(size.steps), batches(pairs, size.batch, seed), strict=False):
        loss = loss_of(model, batch, pad)
        if step == 0:
            note(0, float(loss.detach()))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent.append(float(loss.detach()))
        if (step + 1) % size.every == 0:
            note(step + 1, sum(recent) / len(recent))
            recent = []
    return curve


def ask(
    model: Any, prompts: list[list[int]], pad: int, levels: int, held: LogitsProcessor | None
) -> list[list[list[int]]]:
    """The answers of beam search to each prompt, the most likely first. `held` constrains them to IDs of items."""
    model.eval()
    options: dict[str, Any] = {"num_beams": BEAMS, "num_return_sequences": BEAMS, "max_new_tokens": levels}
    if held is not None:
        # The constraint to IDs of items.
        options["logits_processor"] = [held]
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        with torch.no_grad():
            said = model.generate(input_ids=ids, attention_mask=mask, pad_token_id=pad, do_sample=False, **options)
        answers.append([row[len(prompt) :].tolist() for row in said])
    return answers


def padding(tokenizer: Any) -> int:
    """The id of the padding token."""
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)


def measure(model: Any, emoji: list[Emoji], questions: list[Emoji], tokenizer: Any, held_to: Trie) -> dict[str, float]:
    """Shares of valid IDs and of answers in the correct subgroup."""

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    by_id = {tuple(encode(one.semantic_id)): one for one in emoji}
    levels = len(next(iter(by_id)))
    prompts = [encode(f"Emoji for {one.text} =") for one in questions]
    pad, eos = padding(tokenizer), tokenizer.eos_token_id
    free = ask(model, prompts, pad, levels, None)
    processor = LogitsProcessor(held_to, start="always", after="eos", eos_token_id=eos)
    held = ask(model, prompts, pad, levels, processor)

    def shares(answers: list[list[list[int]]]) -> tuple[float, float, float]:
        valid = right = first = 0
        for question, beams in zip(questions, answers, strict=True):
            said = [by_id.get(tuple(beam[:levels])) for beam in beams]
            valid += sum(one is not None for one in said)
            right += sum(one is not None and one.subgroup == question.subgroup for one in said)
            first += any(one is question for one in said)
        n = BEAMS * len(questions)
        return valid / n, right / n, first / len(questions)

    unbound_valid, unbound_right, _ = shares(free)
    bound_valid, bound_right, found = shares(held)
    sizes: dict[str, int] = defaultdict(int)
    for one in emoji:
        sizes[one.subgroup] += 1
    return {
        "valid_without": unbound_valid,
        "valid_with": bound_valid,
        "right_subgroup_without": unbound_right,
        "right_subgroup_with": bound_right,
        "item_itself_with": found,
        "right_subgroup_by_chance": sum(sizes[one.subgroup] for one in questions) / len(emoji) / len(questions),
    }


def one_method(arguments: argparse.Namespace, index: Path, llm: Path, method: str, size: Size) -> dict[str, Any]:
    """Sets start values, fine-tunes, and evaluates."""
    folder = vocabulary(arguments, index, llm, method)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    model: Any = AutoModelForCausalLM.from_pretrained(llm, dtype=torch.float32)
    new = apply_start_values(model, folder)
    torch.manual_seed(arguments.seed)
    lora = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules=["q_proj", "v_proj", "o_proj", "down_proj"],
        trainable_token_indices={"embed_tokens": list(new)},
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    emoji = read_emoji(index)
    shuffled = random.Random(arguments.seed).sample(emoji, len(emoji))
    questions, told = shuffled[: size.questions], shuffled[size.questions :]

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    pad = padding(tokenizer)
    pairs = examples(told, encode, tokenizer.eos_token_id)
    held_out = examples(questions, encode, tokenizer.eos_token_id)[::2]
    curve = tune(model, pairs, held_out, size=size, pad=pad, seed=arguments.seed)
    trie = Trie.from_table(index, folder)
    # Generation is faster with merged adapters.
    return {"curve": curve, **measure(model.merge_and_unload(), emoji, questions, tokenizer, trie)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalex", type=Path, required=True, help="the built program")
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("CATALEX_MODELS", "")))
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "emoji-llm")
    parser.add_argument("--index", type=Path, help="an index of the emoji; by default one is built")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="a few steps, to see that all of it runs")
    arguments = parser.parse_args()
    size = SHORT if arguments.short else FULL
    arguments.out.mkdir(parents=True, exist_ok=True)
    llm, index = arguments.out / "smollm2", arguments.index
    unpack(next((arguments.models / "smollm2").glob("*.gguf")), llm)
    if index is None:
        index = arguments.out / "index"
        command = [arguments.catalex, "build", CATALOG, "--text", "label,tags", "--image", "image", "--out", index]
        command += ["--text-encoder", arguments.models / "minilm", "--force"]
        command += ["--image-encoder", ROOT / "fixtures" / "mobilenet_v2"]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    results = {}
    for method in arguments.methods:
        print(f"start values: {method}", file=sys.stderr, flush=True)
        begun = time.process_time()
        results[method] = one_method(arguments, index, llm, method, size)
        results[method]["cpu_seconds"] = round(time.process_time() - begun)
        (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
