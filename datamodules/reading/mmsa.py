"""The pickles of MMSA with features of CMU-MOSI, CMU-MOSEI and CH-SIMS, and those that MMSA-FET writes.

Layout: https://github.com/thuiar/MMSA (MIT). A dict ``train``, ``valid``, ``test``, each a dict of fields over its
segments: ``id`` (``video$_$segment``), ``text``, ``audio`` and ``vision`` ``(N, L, D)`` padded to the longest,
``audio_lengths`` and ``vision_lengths`` where the modalities are not aligned, ``regression_labels`` (also ``_T``,
``_A``, ``_V``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

import tensor_files
from datamodules.batches import Split
from datamodules.errors import DataError
from datamodules.reading.feature_index import ClipIndex
from datamodules.reading.plain_pickle import read_pickle
from error_texts import first_names
from tensor_archives import TensorFileError

SUFFIXES = (".pkl", ".pickle", ".pt", ".pth")
MODALITIES = ("text", "audio", "vision")
PARTS: dict[str, Split] = {"train": "train", "valid": "val", "test": "test"}
LABELS = "regression_labels"
TASK = "sentiment"
SCALES = (1, 3)  # CH-SIMS is labelled from -1 to 1, CMU-MOSI and CMU-MOSEI from -3 to 3


@dataclass(frozen=True)
class MMSAFile:
    """A pickle of MMSA, read.

    Attributes:
        path: The file.
        parts: Fields by part, train, valid and test.
        config: What MMSA-FET says of itself; empty without.
        index: Its segments.
    """

    path: Path
    parts: dict[str, dict[str, Any]]
    config: dict[str, Any]
    index: ClipIndex

    @property
    def modalities(self) -> dict[str, str]:
        """Those of the modalities that it holds, under their own names."""
        return {name: name for name in MODALITIES if all(name in part for part in self.parts.values())}

    def files(self) -> list[Path]:
        """Return the file."""
        return [self.path]

    def read(self, name: str) -> np.ndarray | list[np.ndarray]:
        """Read a modality of all segments.

        Returns:
            Sequences ``(T, D)`` of as many steps as the lengths say, or vectors ``(N, D)``. What is -inf or NaN is 0,
            and counted.

        Raises:
            DataError: If the field is missing, no array, or as long as something else.
        """
        found: list[np.ndarray] = []
        cut = unreal = 0
        for part in self.parts:
            arrays = self._arrays(part, name)
            steps = self._lengths(part, name, arrays)
            for array, length in zip(arrays, steps, strict=True):
                cut += length > len(array)
                found.append(array[:length] if array.ndim > 1 else array)
        for place, array in enumerate(found):
            bad = np.isneginf(array) | np.isnan(array) if array.dtype.kind == "f" else np.zeros(0, bool)
            if bad.any():
                unreal += int(bad.sum())
                found[place] = np.where(bad, array.dtype.type(0), array)
        if unreal:
            rank_zero_warn(f"{self.path}: {unreal:,} values of {name} are -inf or NaN and count as 0")
        if cut:
            rank_zero_warn(f"{self.path}: {cut:,} lengths of {name} are beyond its array, which is taken as it is")
        return np.stack(found) if found[0].ndim == 1 and len({array.shape for array in found}) == 1 else found

    def _arrays(self, part: str, name: str) -> list[np.ndarray]:
        """Return a field of a part, an array per segment."""
        fields, where = self.parts[part], f"{self.path}: {part}.{name}"
        if name not in fields:
            raise DataError(f"{where} is not there; --data.features names some of {first_names(list(fields))}")
        values = fields[name]
        if len(values) != len(fields["id"]):
            raise DataError(f"{where} has {len(values)} rows for {len(fields['id'])} ids; fetch the file again")
        arrays = [array if isinstance(array, np.ndarray) else self._from_lists(array, where) for array in values]
        if any(array.ndim not in (1, 2) or array.dtype.kind not in "fiu" for array in arrays):
            raise DataError(f"{where} holds no sequences and no vectors of numbers; leave it out of --data.features")
        return [array if array.dtype.kind == "f" else array.astype(np.float32) for array in arrays]

    def _from_lists(self, values: Any, where: str) -> np.ndarray:
        """Return lists of numbers as an array; a list that stands in a file many times may not become a large one."""
        rows = values if isinstance(values, list) else [values]
        size = sum(len(row) if isinstance(row, list) else 1 for row in rows)
        try:
            if size > self.path.stat().st_size:
                raise ValueError
            return np.array(values, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{where} holds something that is no array of numbers; save it as one") from None

    def _lengths(self, part: str, name: str, arrays: list[np.ndarray]) -> list[int]:
        """Return how many steps of each array count: as the file says, or of words as their mask says, or all."""
        fields = self.parts[part]
        whole = [len(array) for array in arrays]
        lengths = fields.get(f"{name}_lengths")
        if lengths is None:
            return _words(fields.get("text_bert"), whole) or whole
        try:
            known = np.asarray(lengths, np.float64).reshape(len(arrays))
            if not (known >= 0).all() or (known != np.floor(known)).any():
                raise ValueError
        except (TypeError, ValueError):
            raise DataError(
                f"{self.path}: {part}.{name}_lengths are no {len(arrays)} numbers of steps; fetch the file again"
            ) from None
        return [int(min(length, 1 << 40)) for length in known]


def _words(text_bert: Any, whole: list[int]) -> list[int] | None:
    """Return the number of words of every segment; None where the mask is no row of ones over as many steps."""
    if not isinstance(text_bert, np.ndarray) or text_bert.ndim != 3 or text_bert.shape[1] != 3:
        return None
    mask = text_bert[:, 1] != 0
    if len(mask) != len(whole) or any(steps != mask.shape[1] for steps in whole):
        return None
    count = mask.sum(1)
    return count.tolist() if (mask == (np.arange(mask.shape[1]) < count[:, None])).all() and count.all() else None


def read_mmsa(path: Path, values: Sequence[str] = ()) -> MMSAFile:
    """Read a pickle of MMSA, or what ``torch.save`` wrote of the same (``.pt``); nothing in it is run.

    Args:
        path: The file.
        values: Its fields that hold labels; ``regression_labels`` where none is named.

    Raises:
        DataError: If it cannot be read, or lacks parts, ids or labels.
    """
    content = _read(path)
    if not isinstance(content, dict) or (absent := [part for part in PARTS if not isinstance(content.get(part), dict)]):
        names = ", ".join(absent) if isinstance(content, dict) else "dict"
        raise DataError(f"{path}: no {names} in it, as MMSA's pickles have; docs/data/own_features.md tells the layout")
    parts = {part: content[part] for part in PARTS}
    ids: list[str] = []
    splits: list[Split] = []
    for part, fields in parts.items():
        if not isinstance(fields.get("id"), list | np.ndarray) or not len(fields["id"]):
            raise DataError(f"{path}: {part} has no ids; docs/data/own_features.md tells the layout")
        own = [str(clip).strip() for clip in fields["id"]]
        ids += own
        splits += [PARTS[part]] * len(own)
    if len(set(ids)) < len(ids):
        twice = sorted({clip for clip in ids if ids.count(clip) > 1}) if len(ids) < 10_000 else []
        raise DataError(f"{path}: ids come twice ({first_names(twice)}); give every segment an id of its own")
    groups = [clip.partition("$_$")[0] for clip in ids]
    targets, outputs = {}, {}
    for name in values or [LABELS]:
        task = name.replace(LABELS, TASK)
        targets[task] = np.concatenate([_labels(path, part, parts[part], name) for part in parts])
        outputs[task] = _meaning(targets[task])
    config = content.get("config")
    index = ClipIndex(ids, groups, None, splits, targets, outputs)
    return MMSAFile(path, parts, config if isinstance(config, dict) else {}, index)


def _read(path: Path) -> Any:
    if path.suffix in (".pkl", ".pickle"):
        return read_pickle(path)
    try:
        return _as_arrays(tensor_files.read_torch(path))
    except TensorFileError as error:
        raise DataError(f"{error}; make it anew") from error


def _as_arrays(content: Any) -> Any:
    """Return the tensors of a dict of dicts as arrays."""
    if isinstance(content, dict):
        return {key: _as_arrays(value) for key, value in content.items()}
    import torch

    if not isinstance(content, torch.Tensor):
        return content
    try:
        tensor = content.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (TypeError, RuntimeError):
        return None  # sparse, quantized: what needs the field says so


def _labels(path: Path, part: str, fields: dict[str, Any], name: str) -> np.ndarray:
    """Return the labels of a part, float32 ``(N,)``."""
    try:
        found = np.asarray(fields[name], np.float32).reshape(len(fields["id"]))
    except KeyError:
        known = [field for field in fields if field.startswith(LABELS)]
        raise DataError(f"{path}: {part} has no {name}; --data.values names some of {first_names(known)}") from None
    except (TypeError, ValueError):
        raise DataError(f"{path}: {part}.{name} is no number for each of {len(fields['id'])} ids; mend it") from None
    if np.isinf(found).any():
        raise DataError(f"{path}: {part}.{name} holds a value that is infinite; mend it")
    return found


def _meaning(values: np.ndarray) -> dict[str, Any]:
    """Return what the labels mean: a sentiment, where they are within one of the scales."""
    most = float(np.nanmax(np.abs(values))) if not np.isnan(values).all() else np.inf
    scale = next((limit for limit in SCALES if most <= limit), None)
    if scale is None:
        return {"kind": "value", "unit": "", "range": None}
    return {"kind": "value", "unit": "", "range": [-scale, scale], "scale": "sentiment"}
