"""Features of clips on disk: files, one per clip (``.pt``, ``.npy``, ``.npz``, ``.csv``), or one ``.npz`` for all."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

import tensor_files
from datamodules.errors import DataError
from datamodules.reading.feature_csv import CONFIDENCE, choose_columns, read_clip_table
from error_texts import first_names
from tensor_archives import TensorFileError

ARRAYS = (".pt", ".npy")


@dataclass(frozen=True)
class FeatureFiles:
    """Files with the features of an index' clips, by modality.

    Attributes:
        root: Folder of the features.
        sources: A folder, ``folder:array`` (an ``.npz`` per clip) or ``file.npz:array`` by modality, relative to it.
        ids: Clips in the order of the index.
        index: The index, for messages.
        columns: Of a modality in tables, a ``.csv`` per clip, the columns: names or globs.
        confidence: Rows of a table below it hold no face.
        time_last: Modalities whose last axis is time, not the first.
        chosen: Columns of the modalities in tables, as they were found.
    """

    root: Path
    sources: dict[str, str]
    ids: list[str]
    index: Path
    columns: dict[str, list[str]] = field(default_factory=dict)
    confidence: float = CONFIDENCE
    time_last: list[str] = field(default_factory=list)
    chosen: dict[str, list[str]] = field(default_factory=dict)

    def paths(self, modality: str) -> dict[str, Path]:
        """Return the files of a modality: one per clip, by id, in the order of the index, or one ``.npz`` under ``""``.

        Raises:
            DataError: If one is missing, or a clip has two.
        """
        name, colon, _ = self.sources[modality].partition(":")
        path = self.root / name
        if path.suffix == ".npz" and not path.is_dir():
            if not path.is_file():
                raise DataError(f"--data.features: {modality} is at {path}, which is not there")
            return {"": path}
        if not path.is_dir():
            raise DataError(f"--data.features: {modality} is at {path}, which is no folder and no .npz file")
        kinds = (".csv",) if modality in self.columns else (".npz",) if colon else ARRAYS
        files: dict[str, Path] = {}
        for file in sorted(path.iterdir()):
            if file.suffix in kinds and file.is_file() and file != self.index:
                clip = file.stem.strip()  # as in the index
                if clip in files:
                    raise DataError(f"{path}: {files[clip].name} and {file.name} are of one clip; delete one")
                files[clip] = file
        if absent := [clip for clip in self.ids if clip not in files]:
            told = f"{path}: no {' or '.join(kinds)} file of {len(absent)} clips of {self.index}: {first_names(absent)}"
            raise DataError(told + (self._other_kinds(path, modality, absent[0]) if kinds == ARRAYS else ""))
        return {clip: files[clip] for clip in self.ids}

    @staticmethod
    def _other_kinds(path: Path, modality: str, clip: str) -> str:
        """Return what to do where the first clip without a file has one of another kind."""
        if (path / f"{clip}.csv").is_file():
            return f"; of the .csv that are there, --data.columns '{{{modality}: [...]}}' names the columns to read"
        if (path / f"{clip}.npz").is_file():
            return f"; of the .npz that are there, --data.features '{{{modality}: {path.name}:ARRAY}}' names the array"
        return ""

    def files(self) -> list[Path]:
        """Return the files of all modalities."""
        return [path for modality in self.sources for path in self.paths(modality).values()]

    def read(self, modality: str) -> np.ndarray | list[np.ndarray]:
        """Read a modality of all clips in the order of the index; nothing in the files is executed.

        Returns:
            ``(N, ...)``, or where clips are of unequal length, or come as tables, sequences ``(T, ...)``.

        Raises:
            DataError: If a file is missing or damaged, or an array has another shape or type than the first.
        """
        files = self.paths(modality)
        name = self.sources[modality].partition(":")[2]
        if "" in files:
            return self._read_npz(files[""], name or modality)
        if modality in self.columns:
            return self._read_tables(modality, files)
        try:
            arrays = [
                tensor_files.read_npz(file, (name,))[name] if file.suffix == ".npz" else tensor_files.read_feature(file)
                for file in files.values()
            ]
        except TensorFileError as error:
            raise DataError(f"{error}; make it anew") from error
        shape, dtype, axis = arrays[0].shape, arrays[0].dtype, int(modality in self.time_last)
        for clip, array in zip(self.ids, arrays, strict=True):
            fixed = [of if len(of) < 2 else (*of[:axis], *of[axis + 1 :]) for of in (array.shape, shape)]
            if (fixed[0], array.dtype, array.ndim) != (fixed[1], dtype, len(shape)):
                raise DataError(
                    f"{files[clip]}: {array.dtype} {array.shape}, but {files[self.ids[0]].name} is {dtype} {shape}"
                )
        return np.stack(arrays) if all(array.shape == shape for array in arrays) else arrays

    def _read_tables(self, modality: str, files: dict[str, Path]) -> list[np.ndarray]:
        told: Counter[str] = Counter()
        columns = choose_columns(files[self.ids[0]], self.columns[modality])
        arrays = [read_clip_table(file, columns, self.confidence, told) for file in files.values()]
        self.chosen[modality] = columns
        if told:
            parts = ", ".join(f"{count:,} rows {reason}" for reason, count in told.items())
            rank_zero_warn(f"--data.features: of {modality}, {parts} were left out")
        return arrays

    def _read_npz(self, path: Path, name: str) -> np.ndarray:
        try:
            content = tensor_files.read_npz(path, ("id", name))
            ids = [clip.strip() for clip in np.atleast_1d(content["id"]).astype(str).tolist()]
            values = np.atleast_1d(content[name])
        except (TensorFileError, UnicodeError) as error:
            raise DataError(f"{error}; make it anew") from error
        rows = {clip: row for row, clip in enumerate(ids)}
        if not len(rows) == len(ids) == len(values):
            raise DataError(f"{path}: {len(ids)} ids, {len(rows)} of them different, for {len(values)} rows of {name}")
        if absent := [clip for clip in self.ids if clip not in rows]:
            raise DataError(f"{path}: {len(absent)} clips of {self.index} are not in it: {first_names(absent)}")
        return np.asarray(values[[rows[clip] for clip in self.ids]])


def found_modalities(root: Path, columns: dict[str, list[str]]) -> dict[str, str]:
    """Return the folders inside a folder that hold features, by modality, where none is named: each is one.

    Returns:
        Folder by modality; the folder itself, as ``features``, where its files lie beside the index.

    Raises:
        DataError: If there is none.
    """

    def holds(folder: Path) -> bool:
        kinds = (".csv",) if folder.name in columns else ARRAYS
        return any(path.suffix in kinds for path in folder.iterdir())

    found = {path.name: path.name for path in sorted(root.iterdir()) if path.is_dir() and holds(path)}
    if not found and any(path.suffix in ARRAYS for path in root.iterdir()):
        return {"features": "."}
    if not found:
        raise DataError(
            f"--data.features: {root} holds no folder with .npy or .pt files; name where each modality lies"
        )
    return found


def check_memory(files: list[Path]) -> None:
    """Refuse features that would fill the memory: they are held there, and at most half of it is taken."""
    size = sum(path.stat().st_size for path in set(files))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * size > memory:
        raise DataError(
            f"--data.features: {size / 1e9:,.1f} GB of features, and half of this machine's memory is "
            f"{memory / 2e9:,.1f} GB; name fewer modalities, or make them smaller (float16, fewer steps)"
        )
