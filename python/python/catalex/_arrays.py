"""Converts arguments to the arrays that the native module takes, or refuses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

FLOATS = "float16, float32 or float64"


def refuse(what: str, expected: str, got: str, help: str) -> InputError:
    """The error of an argument, in the form of all errors."""
    return InputError(f"{what}: expected {expected}, got {got}; {help}")


def as_array(x: Any, what: str, expected: str) -> npt.NDArray[Any]:
    """Any array-like as an array. Subclasses are kept, so that a memory map is not read."""
    if isinstance(x, np.ndarray):
        return np.ma.filled(x) if isinstance(x, np.ma.MaskedArray) else x
    if hasattr(x, "detach") and hasattr(x, "cpu"):  # a tensor of torch
        return np.asarray(x.detach().cpu())
    try:
        return np.asarray(x)
    except Exception as error:
        raise refuse(what, expected, f"{type(x).__name__} ({error})", "give a numpy array") from error


def floats(x: Any, what: str, width: int | None = None) -> npt.NDArray[np.float32]:
    """Converts a matrix to float32. A float32 matrix of any memory layout is not copied."""
    wanted = f"a matrix (n, {'dim' if width is None else width}) of {FLOATS}"
    array = as_array(x, what, wanted)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        help = "convert it: X.astype(numpy.float32)"
        if array.dtype == object:
            help = "stack the vectors into one matrix: numpy.stack(column), all of one length and none missing"
        raise refuse(what, wanted, f"dtype {array.dtype}", help)
    if array.ndim != 2:
        help = (
            "give one row per item; X.reshape(1, -1) makes a matrix of a vector"
            if array.ndim == 1
            else "give one row per item"
        )
        raise refuse(what, wanted, f"shape {array.shape}", help)
    if width is not None and array.shape[1] != width:
        raise refuse(what, wanted, f"shape {array.shape}", "give the vectors that the model was trained on")
    if array.dtype != np.float32:
        with np.errstate(over="ignore"):  # overflow to infinity, which is refused later
            return array.astype(np.float32)
    # No copy, unless the numbers are not aligned.
    return np.require(array, np.float32, "A")


def codes(x: Any, what: str, levels: int | None = None) -> npt.NDArray[np.uint16]:
    """A matrix of codes as uint16."""
    wanted = f"a matrix (n, {'levels' if levels is None else levels}) of integers from 0 to 65535"
    array = as_array(x, what, wanted)
    if array.dtype.kind not in "iu":
        raise refuse(what, wanted, f"dtype {array.dtype}", "give the codes that Tokenizer.encode returns")
    if array.ndim != 2:
        raise refuse(what, wanted, f"shape {array.shape}", "give one row per item")
    if levels is not None and array.shape[1] != levels:
        raise refuse(what, wanted, f"shape {array.shape}", "give one code per level")
    if array.dtype != np.uint16:
        outside = (array < 0) | (array > 65535)
        if outside.any():
            row, level = np.argwhere(outside)[0]
            raise refuse(f"{what}[{row}, {level}]", "0 to 65535", str(array[row, level]), "check the codes")
    return np.require(array.astype(np.uint16, copy=False), np.uint16, "A")


def flags(x: Any, what: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A matrix of booleans of this shape; a vector if it has one column."""
    wanted = f"booleans of shape {shape}"
    array = as_array(x, what, wanted)
    if array.ndim == 1 and shape[1] == 1:
        array = array[:, None]
    if array.dtype != np.bool_ or array.shape != shape:
        raise refuse(what, wanted, f"{array.dtype} of shape {array.shape}", "give one flag per item and modality")
    return np.require(array, np.bool_, "A")


def item_ids(given: Any) -> npt.NDArray[np.int64] | list[str]:
    """Item ids: integers of 64 bits, or strings."""
    wanted = "integers or strings, one per item"
    if hasattr(given, "to_pylist"):  # an Arrow column
        given = given.to_pylist()
    array = as_array(given, "item_ids", wanted)
    if array.ndim != 1:
        raise refuse("item_ids", wanted, f"shape {array.shape}", "give a list")
    if array.dtype.kind in "iu":
        if array.dtype == np.uint64 and (array > np.iinfo(np.int64).max).any():
            raise refuse("item_ids", "signed 64-bit integers", "a larger one", "give them as strings")
        return np.ascontiguousarray(array, np.int64)
    ids = list(given) if array.dtype.kind not in "OT" else array.tolist()
    for row, item in enumerate(ids):
        # Strings of numpy are strings, too. Numbers among strings are refused: numpy would turn them into strings.
        if not isinstance(item, str):
            raise refuse(f"item_ids[{row}]", "a string like the others" if row else wanted, repr(item), "give one type")
    return [str(item) for item in ids]


def modalities(
    features: Any, shapes: Sequence[tuple[str, int]] | None
) -> tuple[list[str], list[npt.NDArray[np.float32]]]:
    """Names and matrices of a mapping, or of one matrix that is split into the modalities of `shapes`."""
    if isinstance(features, Mapping):
        if not features:
            raise refuse("features", "one matrix per modality", "an empty mapping", "give at least one")
        return [str(name) for name in features], [floats(x, f"features[{name!r}]") for name, x in features.items()]
    whole = floats(features, "features", None if shapes is None else sum(dim for _, dim in shapes))
    if shapes is None:
        return ["features"], [whole]
    ends = np.cumsum([dim for _, dim in shapes])
    return [name for name, _ in shapes], np.split(whole, ends[:-1], axis=1)
