import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from . import token_table

__version__: str

_Path = str | os.PathLike[str]
_Table = token_table.TokenTable

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
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Attributes:
    """The attributes of the items of an index, such as stock and market. Changes stay in memory."""

    @staticmethod
    def read(path: _Path) -> Attributes:
        """Reads the attributes of an index, or a file `attributes.parquet`."""
    @staticmethod
    def from_table(data: Any, id: str | None = None) -> Attributes:
        """The attributes in a data frame or a table whose rows are those of the token table.

        `id` is the column of the item ids; without it, the ids are the row numbers.
        """
    @property
    def schema(self) -> dict[str, str]:
        """The type of each attribute: bool, integer, float, string, list or timestamp."""
    @property
    def version(self) -> int:
        """Number of updates so far."""
    def update(self, values: dict[str, Any], *, items: Any = None, rows: Any = None) -> None:
        """Changes attributes of some items, given by id or by row; by default, of all items.

        For each attribute, `values` has a value for all these items, or an array or a list with one value per item. If
        a value does not fit, nothing is changed.
        """
    def values(self, name: str, *, items: Any = None, rows: Any = None) -> list[Any]:
        """The values of an attribute for some items; by default, for all items."""
    def __len__(self) -> int: ...

@final
class Subset:
    """Some of a trie's items. Made by `Trie.subset` or by a rule, and valid only for that trie.

    `a & b`, `a | b`, `a - b` and `~a` combine subsets of the same trie. A combination follows changes of these.
    """

    @staticmethod
    def from_rules(
        trie: Trie, rule: str, *, user: dict[str, Any] | None = None, attributes: Attributes | None = None
    ) -> Subset:
        """The items for which a rule is true, such as `stock > 0 and age_rating <= user.age`.

        `user` has the values of the parameters. The attributes are those of the index from which the trie was made,
        unless `attributes` is given.
        """
    def refresh(self) -> int:
        """Evaluates the rule again for the items whose attributes changed. Returns the number of these changes."""
    def __and__(self, other: Subset, /) -> Subset: ...
    def __or__(self, other: Subset, /) -> Subset: ...
    def __sub__(self, other: Subset, /) -> Subset: ...
    def __invert__(self) -> Subset: ...
    def __len__(self) -> int: ...

@final
class Trie:
    """The valid semantic IDs of a catalog."""

    @staticmethod
    def from_table(table: _Path | _Table, vocabulary: _Path | None = None) -> Trie:
        """The trie of a token table (an object, a file or an index). With a vocabulary folder, it has token ids."""
    @staticmethod
    def from_codes(codes: npt.NDArray[np.uint16], tokens: TokenIds | None = None) -> Trie:
        """The trie of the rows of a matrix of codes `(items, levels)`."""
    @staticmethod
    def load(path: _Path, table: _Path | None = None) -> Trie:
        """Maps a file that `save` or `catalex constrain --form trie` wrote into memory, and checks it. With the file of
        the token table that it was made from, it has item ids."""
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
    def __contains__(self, codes: Sequence[int], /) -> bool: ...
    def subset(
        self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64] | Sequence[int], *, invert: bool = False
    ) -> Subset:
        """The items of these rows, or of the rows where a mask is true; with `invert` all others."""
    def subset_of(self, ids: Sequence[int] | Sequence[str], *, invert: bool = False) -> Subset:
        """The items of these ids, with `invert` all others; for tries of a token table."""
    def _subset_of_file(self, path: _Path) -> tuple[Subset, int]:
        """The items whose ids a text file lists, one per line, and the number of other lines."""
    def without(self, ids: Any, subset: Subset | None = None, *, ignore_missing: bool = False) -> Subset:
        """A subset, or all items, without the items of these ids. The cost is that of copying one bit per item. With
        `ignore_missing`, ids that are no items are ignored."""
    @property
    def attributes(self) -> Attributes | None:
        """The attributes of the index from which the trie was made, if it has any."""
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
    """The occurrences of a piece. Valid only for the index that returned them."""

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

# Token ids so far `(rows, length)`, length of the prompts, and one subset per prompt.
_Answers = tuple[npt.NDArray[np.int64], int, Sequence[Subset | None] | None, Sequence[int | None] | None]

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
        answers: _Answers,
        scores: npt.NDArray[Any],
        out: npt.NDArray[Any] | None = None,
        lowest: int = ...,
    ) -> None:
        """Masks a matrix of scores (float32, float64, or 16-bit floats as int16) in place, or into `out`.

        `lowest` is minus infinity for int16.
        """
    def allowed(
        self,
        answers: _Answers,
        logits: int,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What `mask` leaves, as a list.

        For each row whether all words may come that are neither codes nor markers, and the places
        `row * logits + token` of the others that may, and the maximum number of these for each row, or -1. `mask` keeps
        the best ones; here the caller must, because scores are not passed.
        """
    def mask_rows(
        self,
        tails: tuple[
            npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int64], Sequence[Subset | None] | None
        ],
        scores: npt.NDArray[Any],
        lowest: int = ...,
    ) -> None:
        """Masks the rows of separate requests in place: their last tokens, whether their answers have begun, their rows
        of scores, and their subsets. Scores as for `mask`."""
    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], int, int]:
        """The transitions between prefixes, sorted: `prefix * tokens + token` for each, the first one of each prefix,
        the number of tokens, and the most that any prefix has. Transition `t` leads to prefix `t + 1`."""
    def reachable(self, subset: Subset) -> npt.NDArray[np.bool_]:
        """For each transition whether it leads to an item of the subset."""

_Ids = npt.NDArray[np.int64] | list[str]

@final
class Features:
    """The vectors of a set of items, for `catalex.Features`."""

    @staticmethod
    def of_file(path: _Path) -> Features:
        """The features of a Parquet, Arrow or `.npy` file, or of an index; read when they are used."""
    @staticmethod
    def of_arrow(data: object, id: str | None = None) -> Features:
        """The features of any object that supports Arrow's PyCapsule protocol; ids from the column `id`."""
    @staticmethod
    def of_matrices(
        names: Sequence[str],
        matrices: Sequence[npt.NDArray[np.float32]],
        item_ids: _Ids | None = None,
        present: npt.NDArray[np.bool_] | None = None,
    ) -> Features:
        """The rows of matrices of float32, one a modality. `present (n, modalities)` says which an item has."""
    def whole(self) -> Features:
        """The same in memory."""
    @property
    def shapes(self) -> list[tuple[str, int]]:
        """Name and length of the vectors of each modality."""
    def item_ids(self) -> list[int] | list[str]:
        """The items' ids, in their order."""
    def vectors(self, modality: str) -> npt.NDArray[np.float32]:
        """Vectors `(n, dim)` of a modality, NaN where an item lacks it."""
    def write(self, path: _Path, *, force: bool = False) -> None:
        """Writes them as Parquet."""
    def __len__(self) -> int: ...

@final
class Tokenizer:
    """A trained model, for `catalex.Tokenizer`."""

    @staticmethod
    def load(path: _Path) -> Tokenizer:
        """Reads a model's folder, or that of an index."""
    @staticmethod
    def of_bytes(config: bytes, weights: bytes) -> Tokenizer:
        """A model of what `to_bytes` gave."""
    def to_bytes(self) -> tuple[bytes, bytes]:
        """The contents of `config.json` and `model.safetensors`."""
    def save(self, path: _Path, *, force: bool = False) -> None:
        """Writes the model's folder."""
    @property
    def modalities(self) -> list[tuple[str, int]]:
        """Name and length of the vectors of each modality."""
    @property
    def dim(self) -> int:
        """Length of a row of all modalities."""
    @property
    def latent_dim(self) -> int:
        """Dimension of the latents."""
    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level."""
    @property
    def hash(self) -> str:
        """SHA-256 of the weights."""
    @property
    def config_json(self) -> str:
        """`config.json` as text."""
    @property
    def codebooks(self) -> list[npt.NDArray[np.float32]]:
        """One codebook `(size, latent_dim)` a level."""
    def encode(
        self, x: npt.NDArray[np.float32], present: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)` of rows `(n, dim)`."""
    def latents(
        self, x: npt.NDArray[np.float32], present: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """Latents `(n, latent_dim)` of rows `(n, dim)`: what the codes approximate."""
    def decode(self, codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
        """Rows `(n, dim)` that codes `(n, levels)` stand for."""
    def tokenize(
        self, features: Features, token_format: str, collisions: str, previous: TokenTable | None = None
    ) -> TokenTable:
        """The token table of features."""

@final
class TokenTable:
    """The semantic IDs of a catalog, for `catalex.TokenTable`."""

    @staticmethod
    def read(path: _Path) -> TokenTable:
        """Reads a table, or that of an index."""
    @staticmethod
    def of_bytes(bytes: bytes) -> TokenTable:
        """The table of what `to_bytes` gave."""
    @staticmethod
    def of_arrow(data: object, like: TokenTable | None = None) -> TokenTable:
        """The table of Arrow data like its own; what it says of itself is that of `like` where the data do not."""
    @staticmethod
    def of_codes(
        codes: npt.NDArray[np.uint16],
        item_ids: _Ids | None,
        metadata: dict[str, Any],
    ) -> TokenTable:
        """A table of codes `(n, levels)`, checked.

        `metadata` has `codebook_sizes`, `token_format`, `collisions` and `model_hash`.
        """
    def to_bytes(self) -> bytes:
        """The table as Parquet in memory."""
    def write(self, path: _Path, *, force: bool = False) -> None:
        """Writes the table as Parquet."""
    @property
    def item_ids(self) -> list[int] | list[str]:
        """The items, in the catalog's order."""
    @property
    def codes(self) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)`."""
    @property
    def semantic_ids(self) -> list[str]:
        """The semantic IDs, by row."""
    @property
    def residual_error(self) -> npt.NDArray[np.float32]:
        """Squared distance of each item's latent from the sum of its codewords."""
    @property
    def reassigned(self) -> npt.NDArray[np.bool_]:
        """Whether an item's code was changed to make it unique."""
    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level."""
    @property
    def model_hash(self) -> str:
        """Hash of the model that gave the codes."""
    @property
    def token_format(self) -> str:
        """How codes are written as tokens."""
    @property
    def collisions(self) -> str:
        """What became of items that the quantizer gave one code."""
    @property
    def capacity(self) -> int | None:
        """Maximum number of items per ID; `None` if the policy does not limit it."""
    @property
    def members(self) -> npt.NDArray[np.uint16] | None:
        """The rank of each item among the items of its ID, if items share IDs on purpose."""
    @property
    def must_differ(self) -> list[str] | None:
        """Each item's values of the columns in which the items of an ID must agree, as JSON."""
    @property
    def report_json(self) -> str | None:
        """What resolving collisions did, as JSON."""
    def semantic_id(self, row: int) -> str:
        """The semantic ID of a row; `IndexError` where there is none."""
    def row(self, id: str) -> int:
        """The row of an item, its id as text."""
    def rows_of_text(self, prefix: str) -> npt.NDArray[np.int64]:
        """The rows whose IDs begin with this text, in the order of their codes."""
    def rows_of_codes(self, prefix: Sequence[int]) -> npt.NDArray[np.int64]:
        """The rows whose codes begin with these, in the order of their codes."""
    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow's stream of one batch."""
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The rows as Arrow's struct array, with its schema."""
    def __arrow_c_schema__(self) -> object:
        """Arrow's schema."""

def semantic_ids(codes: npt.NDArray[np.uint16], token_format: str) -> list[str]:
    """Codes as tokens: the semantic IDs of rows `(n, levels)`, or of prefixes."""

def parse_ids(ids: Sequence[str], codebook_sizes: Sequence[int], token_format: str) -> npt.NDArray[np.uint16]:
    """The codes of semantic IDs, or of prefixes of one length, in codebooks of these sizes."""

def evaluate(
    table: TokenTable,
    model: Tokenizer | None = None,
    features: Features | None = None,
    labels: Sequence[str] | None = None,
    label: str = "label",
) -> str:
    """The figures of a table, as JSON."""

def resolve(
    latents: npt.NDArray[np.float32],
    codes: npt.NDArray[np.uint16],
    codebooks: Sequence[npt.NDArray[np.float32]],
    item_ids: _Ids | None = None,
    model: Tokenizer | None = None,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.bool_], str]:
    """Gives every row of codes `(n, levels)` its own, by the latents `(n, dim)` and codebooks that gave the codes."""

def quantize(
    model: Tokenizer, features: Features
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Codes `(n, levels)` as the quantizer gives them, latents `(n, latent_dim)` and squared errors of features."""

# Latents `(n, latent_dim)`, codes `(n, levels)` and item ids of some items.
_Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16], _Ids]

def make_room(
    model: Tokenizer,
    part: _Part,
    prefixes: npt.NDArray[np.uint16],
    counts: npt.NDArray[np.int64],
    taken: npt.NDArray[np.uint16] | None = None,
) -> npt.NDArray[np.uint16]:
    """New codes for the items of overfull prefixes; `counts (p,)` items are under each of `prefixes (p, levels - 1)`.

    No item gets one of the codes `taken (t, levels)`.
    """

def resolve_part(
    model: Tokenizer,
    part: _Part,
    places: npt.NDArray[np.uint16],
    errors: npt.NDArray[np.float32],
    taken: npt.NDArray[np.uint16] | None = None,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Unique codes for all items of some prefixes that are not overfull; squared errors, and which items moved.

    No item gets one of the codes `taken (t, levels)`.
    """

def vocabulary_tokens(codebook_sizes: Sequence[int], token_format: str) -> list[str]:
    """All tokens of codebooks of these sizes, level by level."""

def write_arrow(data: object, path: _Path) -> None:
    """Writes a table as an Arrow file, whose kinds of strings are those that catalogs have."""

def train_settings() -> list[dict[str, Any]]:
    """The declared training settings: dicts with `name`, `kind`, `default`, `range`, `recipes` and `help`."""

def tokenize(spec: str, listener: Callable[[str], object]) -> str:
    """Assigns a semantic ID to every item of some features and writes the token table.

    This and the other jobs take a spec of `catalex::pipeline` as JSON. They call `listener` with each progress event as
    JSON, and return a summary as JSON.
    """

def vocab(spec: str, listener: Callable[[str], object]) -> str:
    """Writes the vocabulary folder of a token table."""

def constrain(spec: str, listener: Callable[[str], object]) -> str:
    """Writes the constraint forms of a token table, and returns the content of `constraint.json`."""

def export(spec: str, listener: Callable[[str], object]) -> str:
    """Writes items and histories for a family of LLM recommenders, and returns the content of `export.json`."""

@final
class SubwordVocabulary:
    """A subword vocabulary of semantic IDs, for `catalex.SubwordVocabulary`."""

    @staticmethod
    def read(path: _Path) -> SubwordVocabulary:
        """Reads and checks a vocabulary."""
    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level."""
    @property
    def model_hash(self) -> str:
        """Hash of the model whose IDs it was trained on."""
    def segment(self, codes: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The pieces of codes `(n, levels)`, and their offsets `(n + 1,)`."""
    def __len__(self) -> int: ...

def prefix_ids(
    codes: npt.NDArray[np.uint16], codebook_sizes: list[int], table_size: int | None = None
) -> npt.NDArray[np.int64]:
    """The ids `(n, levels)` of all prefixes of codes `(n, levels)`."""

def ranking_features(spec: str, listener: Callable[[str], object]) -> str:
    """Writes ranking features of a token table."""

def family_templates(family: str) -> str:
    """The templates of an export family as TOML."""

def inspect(spec: str, listener: Callable[[str], object]) -> str:
    """Measures a model, a token table or an index.

    The result has the key `model` for a model without features, else `figures`.
    """

def check(spec: str) -> str:
    """`catalex::pipeline::check` of a spec as JSON."""

def lookup(spec: str) -> str:
    """Finds the items of a semantic ID or a prefix, or the semantic ID of an item."""

@final
class Hold:
    """Prevents the removal of a store's generation while this object exists."""

def resolve_index(path: _Path) -> tuple[Path, Hold]:
    """The folder of an index, or of the current generation of a store, and an object that prevents its removal."""

def is_index(path: _Path) -> bool:
    """Whether a path is an index or a store."""

def publish(spec: str, listener: Callable[[str], object]) -> str:
    """Publishes an index to a store."""

def rollback(spec: str) -> str:
    """Makes another generation of a store the current one."""

def history(path: _Path) -> str:
    """Lists the generations of a store."""

def verify(spec: str, listener: Callable[[str], object]) -> str:
    """Checks an index, a store or a file."""

def diff(spec: str, listener: Callable[[str], object]) -> str:
    """Compares two token tables or indexes."""

def compare(spec: str, listener: Callable[[str], object]) -> str:
    """Compares how well two sets of IDs predict histories."""

def import_ids(spec: str, listener: Callable[[str], object]) -> str:
    """Writes the IDs of another system as a token table."""

def adopt(spec: str, now: int, listener: Callable[[str], object]) -> str:
    """Fits a model to the codes of a token table and writes an index; `now` is the time in seconds since 1970."""

def settings() -> str:
    """The declarations of all settings as JSON: a list per group."""

def index_format_version() -> int:
    """The newest version of an index's manifest that this build reads."""
