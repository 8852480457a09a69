"""What features of a clip are like, by modality: shapes, types, columns, and what training fitted on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from datamodules.errors import DataError

NORMALIZATIONS = {name: name for name in ("", "none", "half", "imagenet")}
LARGEST = 1 << 26  # values of a modality of one clip, but for its steps
FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class FeatureKinds:
    """What features of a clip are like.

    Attributes:
        sources: Where each modality lies below a folder, see `FeatureFiles`.
        sizes: Shape of a clip's array; 0 steps where their number is its own.
        sequences: Modalities that have an axis of time.
        last: Those whose axis of time is the last.
        bytes: Those that are stored as bytes.
        columns: Of those in tables, the columns in order.
        confidence: Rows of a table below it hold no face.
        steps: Number of steps that clips of a modality are cut to.
        statistics: Mean and deviation, float64, that what is standardized is centred and scaled by.
        told: Tool, unit, columns by modality, as far as a file said so.
        normalization: Of pixels, where ``video`` is whole frames and ``audio`` spectrograms; empty for other features.
    """

    sources: dict[str, str]
    sizes: dict[str, list[int]]
    sequences: frozenset[str]
    last: frozenset[str]
    bytes: frozenset[str]
    columns: dict[str, list[str]]
    confidence: float
    steps: dict[str, int]
    statistics: dict[str, tuple[np.ndarray, np.ndarray]]
    told: Mapping[str, Any]
    normalization: str = ""

    @classmethod
    def restored(cls, options: Mapping[str, Any], told: Any) -> "FeatureKinds":
        """Return what a checkpoint of anybody says.

        Raises:
            DataError: It is damaged.
        """
        try:
            names = list(options["modalities"])
            statistics = options["statistics"].items()
            found = cls(
                sources={name: _inside(options["sources"][name]) for name in names},
                sizes={name: [int(size) for size in options["sizes"][name]] for name in names},
                sequences=frozenset(options["sequences"]),
                last=frozenset(options["time_last"]),
                bytes=frozenset(options["bytes"]),
                columns={name: list(map(str, of)) for name, of in options["columns"].items()},
                confidence=float(options["confidence"]),
                steps={name: int(of) for name, of in options["steps"].items()},
                statistics={name: (np.array(of[0], float), np.array(of[1], float)) for name, of in statistics},
                told={name: dict(of) for name, of in (told or {}).items()},
                normalization=NORMALIZATIONS[options.get("normalization", "")],
            )
            fits = all(size >= 0 and math.prod(of) <= LARGEST for of in found.sizes.values() for size in of)
            fits &= all(found._fits(name, part) for name, of in found.statistics.items() for part in of)
            fits &= all(bool((scale > 0).all()) for _, scale in found.statistics.values())
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DataError("what it says of its features is damaged") from error
        if not names or not fits:
            raise DataError("the sizes, means or deviations of its features are damaged")
        return found

    def _fits(self, modality: str, part: np.ndarray) -> bool:
        shape = list(self.sizes[modality])
        if modality in self.sequences:
            shape[self.axis(modality)] = 1
        return list(part.shape) == shape and bool(np.isfinite(part).all())

    def axis(self, modality: str) -> int:
        """Return the axis of time."""
        return int(modality in self.last)

    def array(self, modality: str) -> str:
        """Return the name of its array in a file of several."""
        return self.sources[modality].partition(":")[2] or modality

    def shape(self, modality: str) -> str:
        """Return the shape of a clip's array in words, ``(T, 23)``."""
        sizes = list(map(str, self.sizes[modality]))
        if modality in self.sequences:
            sizes[self.axis(modality)] = "T"
        return f"({', '.join(sizes)})"

    def told_of(self, modalities: Any) -> str:
        """Return modalities with their shapes, for messages."""
        return ", ".join(f"{name} {self.shape(name)}" for name in modalities)

    def dtype(self, modality: str) -> type[np.generic]:
        """Return the type that arrays are read as."""
        return np.uint8 if modality in self.bytes and modality not in self.statistics else np.float32

    def nothing(self, modality: str) -> np.ndarray:
        """Return the array of a clip that has none: without a step, or zeros."""
        size = list(self.sizes[modality])
        if modality in self.sequences:
            size[self.axis(modality)] = 0
        return np.zeros(size, self.dtype(modality))

    def read(self, modality: str, values: np.ndarray) -> np.ndarray:
        """Return an array as training read it: cut, as float32 or bytes.

        Raises:
            DataError: It is of another shape or type, or not finite.
        """
        shape, wanted = list(values.shape), list(self.sizes[modality])
        if modality in self.sequences and len(shape) == len(wanted):
            shape[self.axis(modality)] = wanted[self.axis(modality)]
        kinds = ("uint8",) if modality in self.bytes else FLOATS
        if shape != wanted or values.dtype.name not in kinds:
            kind = "bytes" if modality in self.bytes else "floats"
            raise DataError(
                f"{modality} is {values.dtype} ({', '.join(map(str, values.shape))}); the model was trained on {kind} "
                f"{self.shape(modality)}"
            )
        cut = slice(self.steps.get(modality)) if modality in self.sequences else slice(None)
        values = values[:, cut] if self.axis(modality) else values[cut]
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
            read = np.array(values, self.dtype(modality))
        if not np.isfinite(read).all():
            raise DataError(f"{modality} is not finite")
        return read


def _inside(source: Any) -> str:
    """Return where features lie below a folder; a stranger's checkpoint names no other place."""
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(source)
    return str(source)
