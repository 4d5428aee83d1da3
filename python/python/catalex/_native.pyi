import os
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

__version__: str

_Path = str | os.PathLike[str]

@final
class TokenIds:
    """The language model's token ids of the codes: consecutive, level by level."""

    def __new__(
        cls,
        first_id: int,
        codebook_sizes: Sequence[int],
        *,
        begin: int | None = None,
        end: int | None = None,
        vocabulary_size: int | None = None,
    ) -> TokenIds: ...
    @staticmethod
    def read(folder: _Path) -> TokenIds:
        """The ids of a folder that `catalex vocab --tokenizer` wrote."""
    @property
    def first_id(self) -> int:
        """Id of the first level's code 0."""
    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level."""
    @property
    def begin(self) -> int | None:
        """Id of the marker before a semantic ID."""
    @property
    def end(self) -> int | None:
        """Id of the marker after a semantic ID."""
    @property
    def vocabulary_size(self) -> int:
        """Ids from 0 to the highest in use."""
    def id(self, level: int, code: int) -> int:
        """Id of a code; `IndexError` where there is no such code."""
    def code_of(self, id: int) -> tuple[int, int] | None:
        """Level and code of an id; none for other words."""
    def __eq__(self, other: object) -> bool: ...
    def __ne__(self, other: object) -> bool: ...

@final
class Subset:
    """Some of a trie's items; made by `Trie.subset`, and good for that trie alone."""

    def __len__(self) -> int: ...

@final
class Trie:
    """The valid semantic IDs of a catalog."""

    @staticmethod
    def from_table(path: _Path, vocabulary: _Path | None = None) -> Trie:
        """The trie of a token table, or of an index; with a vocabulary folder it knows token ids."""
    @staticmethod
    def from_codes(codes: npt.NDArray[np.uint16], tokens: TokenIds | None = None) -> Trie:
        """The trie of the rows of a matrix of codes `(items, levels)`."""
    @staticmethod
    def load(path: _Path) -> Trie:
        """Maps a file that `save` or `catalex constrain --form trie` wrote into memory, and checks it."""
    def save(self, path: _Path, *, force: bool = False) -> None:
        """Writes it to a file."""
    @property
    def levels(self) -> int:
        """Number of levels."""
    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
    @property
    def tokens(self) -> TokenIds | None:
        """The language model's token ids, where they are known."""
    @property
    def item_ids(self) -> list[int] | list[str] | None:
        """The items' own ids by row, for tries of a token table."""
    def allowed(self, codes: Sequence[int], subset: Subset | None = None) -> npt.NDArray[np.uint16]:
        """The codes that may follow these, in ascending order."""
    def allowed_tokens(self, tokens: Sequence[int], subset: Subset | None = None) -> npt.NDArray[np.uint32]:
        """The token ids that may follow these, in ascending order."""
    def find(self, codes: Sequence[int]) -> int | None:
        """The row of the item with this ID."""
    def rows(self, codes: Sequence[int]) -> npt.NDArray[np.uint32]:
        """The rows of the items whose IDs begin with these codes, in the order of their codes."""
    def contains(self, codes: Sequence[int]) -> bool:
        """Whether an item has this ID."""
    def __contains__(self, codes: Sequence[int]) -> bool: ...
    def subset(
        self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64] | Sequence[int], *, invert: bool = False
    ) -> Subset:
        """The items of these rows, or of the rows where a mask is true; with `invert` all others."""
    def subset_of(self, ids: Sequence[int] | Sequence[str], *, invert: bool = False) -> Subset:
        """The items of these ids, with `invert` all others; for tries of a token table."""
    def __len__(self) -> int: ...

@final
class FacetTokenizer:
    """The tokenizer of a language model, for identifiers of several facets."""

    @staticmethod
    def load(folder: _Path) -> FacetTokenizer:
        """Reads `tokenizer.json` of a Hugging Face folder."""
    def token_id(self, token: str) -> int | None:
        """The id of a token, such as the one that ends a text."""
    def tokenize(self, facets: Sequence[str]) -> list[list[int]]:
        """The token ids of each facet, as parts of the one text they are joined to, without special tokens."""

def trans_rec(id: str, attributes: Sequence[str], title: str) -> list[str]:
    """Number, attributes and title of an item as TransRec writes them, three facets."""

@final
class Occurrences:
    """The occurrences of a piece; good for the index that gave them alone."""

    @property
    def length(self) -> int:
        """Tokens of the piece."""
    def __len__(self) -> int: ...

@final
class FmIndex:
    """All pieces of all items' identifiers."""

    @staticmethod
    def from_documents(documents: Sequence[Sequence[Sequence[int]]]) -> FmIndex:
        """The index of items, each a list of facets, each a list of token ids."""
    @staticmethod
    def load(path: _Path) -> FmIndex:
        """Maps a file that `save` wrote into memory, and checks it."""
    def save(self, path: _Path, *, force: bool = False) -> None:
        """Writes it to a file."""
    @property
    def facets(self) -> int:
        """Facets an item."""
    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
    def range(self, tokens: Sequence[int]) -> Occurrences:
        """The occurrences of a piece of any identifier."""
    def count(self, tokens: Sequence[int]) -> int:
        """How often a piece occurs."""
    def anywhere(self) -> Occurrences:
        """Every place of every item."""
    def beginnings(self) -> Occurrences:
        """The beginning of every item."""
    def extend(self, found: Occurrences, token: int) -> Occurrences:
        """The occurrences of the piece with one token more."""
    def continuations(self, found: Occurrences) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], int]:
        """The tokens that follow, in ascending order; how many occurrences each follows; how many end an item."""
    def locate(self, found: Occurrences, limit: int | None = None) -> list[tuple[int, int, int]]:
        """Item, facet and place in the facet at which the occurrences begin; at most `limit` of them."""
    def items(self, found: Occurrences) -> list[int]:
        """The items in which the piece occurs, in ascending order, each once."""
    def document(self, item: int) -> list[list[int]]:
        """The facets of an item as token ids."""
    def __len__(self) -> int: ...

@final
class Decoder:
    """A trie and the rules for its IDs; what `LogitsProcessor` calls once a step."""

    def __new__(
        cls,
        trie: Trie,
        start: Literal["always", "free"],
        after: Literal["any", "eos", "id"],
        eos: Sequence[int],
    ) -> Decoder: ...
    def mask(
        self,
        said: npt.NDArray[np.int64],
        prompt: int,
        subsets: Sequence[Subset | None] | None,
        scores: npt.NDArray[Any],
        out: npt.NDArray[Any] | None = None,
        lowest: int = ...,
    ) -> None:
        """Masks a matrix of scores (float32, float64, or 16-bit floats as int16) in place, or into `out`.

        `lowest` is minus infinity for int16.
        """
    def allowed(
        self,
        said: npt.NDArray[np.int64],
        prompt: int,
        subsets: Sequence[Subset | None] | None,
        logits: int,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """What `mask` leaves, as a list.

        For each row whether all words may come that are neither codes nor markers, and the places
        `row * logits + token` of the others that may.
        """
