"""Writes tests/golden/fm_index: the answers of TransRec's index for identifiers of 80 emoji.

TransRec (arXiv 2310.06491) takes its FM-index from SEAL (arXiv 2204.10628): `csa_wt_int<>` of sdsl-lite over token ids
that are raised by 10, each document's reversed. This script makes the same calls to the same structure. It needs a C++
compiler, Debian's libsdsl-dev and libdivsufsort-dev (or their folder as the argument), pyarrow and tokenizers.
"""

import bisect
import ctypes
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/fm_index"
END = 2
SHIFT = 10
NUMBER = ctypes.c_uint64
SOURCE = r"""
#include <cstdint>
#include <sdsl/suffix_arrays.hpp>
using Index = sdsl::csa_wt_int<>;
using size_type = Index::size_type;
extern "C" {
Index* build(const uint64_t* data, uint64_t n) {
  sdsl::int_vector<> text(n);
  for (uint64_t i = 0; i < n; i++) text[i] = data[i];
  auto index = new Index;
  sdsl::construct_im(*index, text, 0);
  return index;
}
uint64_t size(Index* index) { return index->size(); }
uint64_t sigma(Index* index) { return index->wavelet_tree.sigma; }
uint64_t locate(Index* index, uint64_t row) { return (*index)[row]; }
void step(Index* index, uint64_t token, uint64_t* ends) {
  size_type from = 0, to = 0;
  sdsl::backward_search(*index, size_type(ends[0]), size_type(ends[1]), Index::char_type(token), from, to);
  ends[0] = from;
  ends[1] = to;
}
uint64_t distinct(Index* index, uint64_t from, uint64_t to, uint64_t* tokens, uint64_t* counts) {
  std::vector<uint64_t> found(sigma(index)), begins(sigma(index)), ends(sigma(index));
  size_type n = 0;
  sdsl::interval_symbols(index->wavelet_tree, from, to, n, found, begins, ends);
  for (size_type i = 0; i < n; i++) {
    tokens[i] = found[i];
    counts[i] = ends[i] - begins[i];
  }
  return n;
}
}
"""


def library(packages: Path) -> ctypes.CDLL:
    """The C++ above, compiled. Without assertions, as SEAL's is: its first range is one row too long."""
    folder = Path(tempfile.mkdtemp())
    (folder / "index.cpp").write_text(SOURCE)
    machine = "x86_64-linux-gnu"
    libraries = packages / "lib" / machine
    command = ["g++", "-O2", "-DNDEBUG", "-std=c++17", "-shared", "-fPIC", "index.cpp", "-o", "index.so"]
    command += [f"-I{packages / 'include'}", f"-I{packages / 'include' / machine}", f"-L{libraries}"]
    command += [f"-Wl,-rpath,{libraries}", "-lsdsl", "-ldivsufsort", "-ldivsufsort64"]
    subprocess.run(command, cwd=folder, check=True)
    built = ctypes.CDLL(str(folder / "index.so"))
    built.build.restype = ctypes.c_void_p
    for name in ("size", "sigma", "locate", "distinct"):
        getattr(built, name).restype = NUMBER
    return built


class Index:
    """The calls that SEAL's `FMIndex` makes."""

    def __init__(self, built: ctypes.CDLL, documents: list[list[int]]) -> None:
        self.built = built
        self.begins = [0]
        data = []
        for document in documents:
            self.begins.append(self.begins[-1] + len(document))
            data += [token + SHIFT for token in reversed(document)]
        self.index = ctypes.c_void_p(built.build((NUMBER * len(data))(*data), NUMBER(len(data))))

    def range(self, pattern: list[int]) -> tuple[int, int]:
        ends = (NUMBER * 2)(0, self.built.size(self.index))
        for token in pattern:
            self.built.step(self.index, NUMBER(token + SHIFT), ends)
        return ends[0], ends[1] + 1

    def answer(self, pattern: list[int]) -> dict[str, Any]:
        rows = range(*self.range(pattern))
        continuations = []
        if rows:
            sigma = self.built.sigma(self.index)
            tokens, counts = (NUMBER * sigma)(), (NUMBER * sigma)()
            n = self.built.distinct(self.index, NUMBER(rows.start), NUMBER(rows.stop), tokens, counts)
            continuations = sorted((tokens[i] - SHIFT, counts[i]) for i in range(n) if tokens[i] > 0)
        places = [self.built.locate(self.index, NUMBER(row)) for row in rows]
        documents = sorted({bisect.bisect_right(self.begins, place) - 1 for place in places})
        return {"pattern": pattern, "count": len(rows), "continuations": continuations, "documents": documents}


def text(item: dict[str, Any]) -> str:
    """The item as `build_fm_index.py` of TransRec joins it."""
    attributes = " ## ".join(f"{attribute} @@" for attribute in item["attributes"])
    return f"|| {item['id']} ## {attributes} {item['title']}"


def trained(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "<pad>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def main() -> None:
    draw = random.Random(4)
    rows = pq.read_table(ROOT / "fixtures/emoji/catalog.parquet", columns=["label", "group", "subgroup"]).to_pylist()
    items = [
        {
            "id": str(at + 1),
            "attributes": [rows[row]["group"], rows[row]["subgroup"]] if at % 9 else [],
            "title": rows[row]["label"],
        }
        for at, row in enumerate(sorted(draw.sample(range(len(rows)), 80)))
    ]
    texts = [text(item) for item in items]
    tokenizer = trained([" " + text for text in texts])
    documents = [[*tokenizer.encode(" " + text).ids, END] for text in texts]
    patterns = {tuple(tokenizer.encode(text).ids) for text in (" ||", " ##", " @@", " || 1", " || 1 ##", " ## objects")}
    while len(patterns) < 300:
        document = draw.choice(documents)[:-1]
        begin = draw.randrange(len(document))
        patterns.add(tuple(document[begin : begin + draw.randint(1, 6)]))
    tokens = [token for document in documents for token in document[:-1]]
    for _ in range(40):
        patterns.add(tuple(draw.choices(tokens, k=draw.randint(2, 3))))
    index = Index(library(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr")), documents)
    answers = [index.answer(list(pattern)) for pattern in sorted(patterns)]
    OUT.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(OUT / "tokenizer.json"), pretty=False)
    golden = {"items": items, "texts": texts, "documents": documents, "answers": answers}
    (OUT / "answers.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
