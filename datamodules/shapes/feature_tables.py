"""Features of all clips as one table per modality: checked, in float32, scaled where that was asked for."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.errors import DataError
from datamodules.shapes.scaling import known_statistics
from datamodules.shapes.sequences import Sequences
from error_texts import first_names

_FEW = 0.1  # of the clips: so few that differ from all others may be a mistake
_LEAST = 1e-7  # of the mean: a deviation below it is what rounding leaves of a constant
Table = Tensor | Sequences
Statistics = tuple[np.ndarray, np.ndarray]  # mean and deviation in float64, 1 for what never differs


def dense_table(modality: str, values: np.ndarray, ids: list[str]) -> Tensor:
    """Return features of one shape.

    Args:
        modality: Its name, for messages.
        values: ``(N, ...)``.
        ids: Clip ids.

    Returns:
        float32 ``(N, ...)``; bytes as they are.

    Raises:
        DataError: If they are no floats or bytes, or not finite.
    """
    if _stays(modality, values.dtype):
        return torch.from_numpy(values)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        values = values.astype(np.float32)
    _require_finite(modality, np.isfinite(values.reshape(len(values), -1)).all(1), ids)
    return torch.from_numpy(values)


def sequence_table(modality: str, arrays: list[np.ndarray], ids: list[str], axis: int, steps: int | None) -> Sequences:
    """Return sequences of unequal length.

    Args:
        modality: Its name, for messages.
        arrays: Those of each clip, ``(T, ...)``, or ``(n, T)`` where time is the last axis.
        ids: Clip ids.
        axis: The axis of time, 0 or 1.
        steps: Number of steps that every clip is cut or padded to; None for the longest of a batch.

    Raises:
        DataError: If they are no sequences of one kind, no floats or bytes, or not finite.
    """
    first = arrays[0]
    for clip, array in zip(ids, arrays, strict=True):
        shapes = [tuple(size for place, size in enumerate(of.shape) if place != axis) for of in (array, first)]
        if array.ndim < 2 or array.ndim != first.ndim or array.dtype != first.dtype or shapes[0] != shapes[1]:
            raise DataError(
                f"--data.features: {modality} of {clip} is {array.dtype} {array.shape}, of {ids[0]} {first.dtype} "
                f"{first.shape}: clips may differ in their number of steps, the {('first', 'last')[axis]} axis, alone"
            )
    lengths = np.array([array.shape[axis] for array in arrays])
    usual = int(np.bincount(lengths).argmax())
    odd = [clip for clip, length in zip(ids, lengths, strict=True) if length != usual]
    if steps is None and 0 < len(odd) <= _FEW * len(ids):
        rank_zero_warn(
            f"--data.features: {modality} of {first_names(odd)} has another number of steps than that of all other "
            f"clips, {usual}: read as sequences of unequal length; if they should not be, make these files anew"
        )
    if steps is not None and (longer := [clip for clip, a in zip(ids, arrays, strict=True) if a.shape[axis] > steps]):
        rank_zero_warn(f"--data.steps: {modality} of {len(longer)} clips is longer than {steps} steps and cut there")
    arrays = [np.array(array[:, :steps] if axis else array[:steps]) for array in arrays]  # what is cut off is let go
    if not _stays(modality, first.dtype):
        with np.errstate(over="ignore"):
            arrays = [array.astype(np.float32) for array in arrays]
        _require_finite(modality, np.array([bool(np.isfinite(array).all()) for array in arrays]), ids)
    if empty := [clip for clip, array in zip(ids, arrays, strict=True) if not array.shape[axis]]:
        rank_zero_warn(
            f"--data.features: {modality} of {len(empty)} clips has no step and counts as absent: {first_names(empty)}"
        )
    return Sequences([torch.from_numpy(array) for array in arrays], axis, steps)


def fitted(table: Table, rows: np.ndarray) -> Statistics | None:
    """Return the statistics of some clips.

    Args:
        table: Features of all clips.
        rows: Which.

    Returns:
        Element by element of features of one shape; feature by feature over all steps of sequences, with an axis of 1
        for time; None where no clip has a step.
    """
    if isinstance(table, Tensor):
        # In float64 the deviation of a constant is exactly 0; float32 leaves a rounding error to divide by.
        of = table.numpy()[rows].astype(np.float64)
        deviation = of.std(0)
        return of.mean(0), np.where(deviation > 0, deviation, 1)
    axis, known = table.axis, [table.items[row].numpy() for row in rows]
    count = sum(array.shape[axis] for array in known)
    if not count:
        return None
    mean = sum(array.sum(axis, np.float64, keepdims=True) for array in known) / count
    square = sum(np.square(array - mean).sum(axis, keepdims=True) for array in known) / count
    deviation = np.sqrt(square)
    return mean, np.where(deviation > _LEAST * np.abs(mean), deviation, 1)


def known_fit(modality: str, table: Table, plain: Any) -> Statistics:
    """Return the statistics of a checkpoint of anybody, for a table.

    Raises:
        DataError: They are damaged, or were fitted to features of another shape.
    """
    mean, deviation = known_statistics(plain)
    wanted = list(table.shape) if isinstance(table, Sequences) else list(table.shape[1:])
    if isinstance(table, Sequences):
        wanted[table.axis] = 1
    if list(mean.shape) != wanted:
        raise DataError(
            f"--ckpt_path: it standardises {modality} by means of shape {mean.shape}, where {tuple(wanted)} fits what "
            "--data has; evaluate it on features like those of its run"
        )
    return mean, deviation


def scaled(table: Table, statistics: Statistics | None, rows: np.ndarray | None = None) -> Table:
    """Return a table, some clips of which (or all) are centred and scaled, float32; what it held is gone."""
    if statistics is None:
        return table
    mean, scale = statistics
    if isinstance(table, Tensor):
        values = table.numpy() if table.dtype == torch.float32 else table.numpy().astype(np.float32)
        chosen = slice(None) if rows is None else rows
        values[chosen] = (values[chosen] - mean) / scale
        return torch.from_numpy(values)
    for row in range(len(table)) if rows is None else rows.tolist():  # one by one, to take no room
        table.items[row] = torch.from_numpy(((table.items[row].numpy() - mean) / scale).astype(np.float32))
    return table


def _stays(modality: str, kind: np.dtype) -> bool:
    if kind.kind != "f" and kind != np.uint8:
        raise DataError(f"--data.features: {modality} is {kind}; expected floats or uint8")
    return kind == np.uint8


def _require_finite(modality: str, finite: np.ndarray, ids: list[str]) -> None:
    bad = np.flatnonzero(~finite)
    if len(bad):
        clips = first_names([ids[row] for row in bad])
        raise DataError(f"--data.features: {modality} is not finite in {len(bad)} clips: {clips}")
