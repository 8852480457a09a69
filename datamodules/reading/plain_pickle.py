"""Read a pickle of arrays and containers without running anything that it names.

A pickle is a program. This reader knows numpy's arrays, types and numbers, torch's tensors (whose values torch's own
safe loader reads), ``OrderedDict`` and what pickle itself knows: dict, list, tuple, str, bytes, numbers. For each of
them a class here stands in, so that no function of numpy is called with what a file says. Everything else is refused by
name.
"""

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

import tensor_files
from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from error_texts import first_line

DEPTH = 20  # containers in containers
_TYPE = re.compile(r"[|<>=]?(?:b1|[iu][1248]|f[248]|[US]\d{1,6}|O8?)")


class _Type:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, text: str, *_flags: Any) -> None:
        if not isinstance(text, str) or not _TYPE.fullmatch(text):
            raise ValueError(f"arrays of type {str(text)[:20]!r}")
        self.text = text.lstrip("|<>=")
        self.order = text[0] if text[0] in "<>" else "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.order = state[1]

    @property
    def holds_objects(self) -> bool:
        return self.text[0] == "O"

    def read(self, raw: Any, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
        """Return the array of these bytes."""
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # as Python 2 wrote it
        kind = np.dtype(self.order + self.text)
        if self.holds_objects or not isinstance(raw, bytes | bytearray):
            raise ValueError("an array without bytes")
        values = np.frombuffer(raw, kind) if kind.itemsize else np.zeros(0, kind)
        return values.reshape(shape, order="F" if order == "F" else "C")


class _Array:
    """Stands in for ``numpy.ndarray`` and what makes one; ``value`` is what it holds."""

    value: np.ndarray | list[Any] | None = None

    def __init__(self, *_how: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, shape, kind, fortran, raw = state
        if not isinstance(kind, _Type):
            raise ValueError("an array without a type")
        if kind.holds_objects:
            if not isinstance(raw, list) or (len(raw),) != shape:
                raise ValueError("an array of objects that is no list")
            self.value = raw
        else:
            self.value = kind.read(raw, shape, "F" if fortran else "C")


class _Buffer(_Array):
    """Stands in for ``numpy._core.numeric._frombuffer``, by which protocol 5 makes an array."""

    def __init__(self, raw: Any, kind: _Type, shape: tuple[int, ...], order: str, *_axes: Any) -> None:
        self.value = kind.read(raw, shape, order)


class _Number:
    """Stands in for ``numpy._core.multiarray.scalar``: it becomes the number."""

    def __new__(cls, kind: _Type, raw: Any = b"") -> Any:
        """Return the number of these bytes."""
        return kind.read(raw, (1,))[0].item()


class _Latin:
    """Stands in for ``_codecs.encode``, by which protocols 0 to 2 write bytes: it becomes the bytes."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> Any:
        """Return the bytes of the text."""
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes written as {encoding[:20]}")
        return text.encode("latin1")


class _Storage:
    """Stands in for ``torch.storage._load_from_bytes``: torch's safe loader reads the values."""

    def __init__(self, raw: bytes) -> None:
        self.values = tensor_files.read_storage(raw)


class _Tensor(_Array):
    """Stands in for ``torch._utils._rebuild_tensor_v2``."""

    def __init__(self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> None:
        if np.prod(size, dtype=object) > storage.values.numel():
            raise ValueError("a tensor of more values than are there")
        values = storage.values.as_strided(size, stride, offset)
        self.value = (values.float() if values.dtype.is_floating_point else values).numpy().copy()


_KNOWN: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Latin,
    ("__builtin__", "bytes"): _Latin,  # the empty ones
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch.storage", "_load_from_bytes"): _Storage,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Number for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    path: Path

    def find_class(self, module: str, name: str) -> type:
        if found := _KNOWN.get((module, name)):
            return found
        named = "".join(letter if letter.isprintable() else "?" for letter in f"{module}.{name}"[:100])
        raise DataError(
            f"{self.path}: the pickle names {named}, which is no array and no container; nothing of it was run. Save "
            "its arrays again with numpy alone"
        )


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays, tensors and containers; nothing in it is run.

    Returns:
        Its content: dict, list (tuples too), arrays of numbers and text, numbers, str and bytes.

    Raises:
        DataError: It names anything else, is damaged, or is nested more than `DEPTH` levels deep.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            reader = _Reader(file, encoding="latin1")
            reader.path = path
            return _plain(reader.load(), {}, 0)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); name another file") from error
    except Exception as error:  # pickle raises whatever the damaged place leads to
        raise DataError(
            f"{path} is damaged, or no pickle of arrays ({first_line(error, 100)}); fetch it again"
        ) from error


def _plain(value: Any, seen: dict[int, Any], depth: int) -> Any:
    """Return a value with plain arrays in place of those that stand in for them; what is shared stays shared."""
    if depth > DEPTH:
        raise ValueError(f"nested more than {DEPTH} levels deep")
    if isinstance(value, _Array):
        return _plain(value.value, seen, depth + 1)
    if not isinstance(value, dict | list | tuple):
        if isinstance(value, _Type | _Storage | type):
            raise ValueError("a type where a value belongs")
        return value
    if id(value) not in seen:
        made: Any = {} if isinstance(value, dict) else []
        seen[id(value)] = made
        if isinstance(value, dict):
            made.update((key, _plain(item, seen, depth + 1)) for key, item in value.items())
        else:
            made.extend(_plain(item, seen, depth + 1) for item in value)
    return seen[id(value)]
