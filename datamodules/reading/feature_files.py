"""Features of clips on disk: ``.pt`` or ``.npy`` files, one per clip, or one ``.npz``; and the index of the clips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

import tensor_files
from datamodules.errors import DataError
from datamodules.reading.tables import Row, read_table, settle
from error_texts import first_names
from tensor_files import TensorFileError

COLUMNS = ("id", "group", "target", "fold")
MOST = 10_000  # classes or folds: nobody has as many, and a class more is a row of every table


def read_index(path: Path) -> list[Row]:
    """Read an index of clips.

    Args:
        path: CSV with columns id, group (the unit of folds, the speaker), target (class index from 0) and fold.

    Returns:
        Its rows, of equal ones the first.

    Raises:
        DataError: If the file cannot be read, a column or a value is missing, a number is none or beyond `MOST`, or two
            rows say different things of one id.
    """
    rows = read_table(path, COLUMNS)
    if not rows:
        raise DataError(f"{path}: the index is empty; it needs a row for each clip")
    for row in rows:
        for name in ("target", "fold"):
            if not row[name].isdecimal():
                raise DataError(f"{row.where}: {name} is {row[name]!r}, not a number from 0")
        for name in ("id", "group"):
            if not row[name]:
                raise DataError(f"{row.where}: {name} is empty")
    clips, copies = settle((row["id"], row, row.place) for row in rows)
    if copies:
        rank_zero_warn(f"{path}: {copies} rows come twice and count once")
    for row in clips.values():
        for name in ("target", "fold"):
            if len(row[name].lstrip("0")) >= len(str(MOST)):
                raise DataError(
                    f"{row.where}: {name} of clip {row['id']} is {row[name][:20]}; at most {MOST - 1:,} is read"
                )
    return list(clips.values())


@dataclass(frozen=True)
class FeatureFiles:
    """Files with the features of an index' clips, by modality.

    Attributes:
        root: Folder of the features.
        sources: A folder or ``file.npz:array`` by modality, relative to it.
        ids: Clips in the order of the index.
        index: The index, for messages.
    """

    root: Path
    sources: dict[str, str]
    ids: list[str]
    index: Path

    def paths(self, modality: str) -> dict[str, Path]:
        """Return the files of a modality: one per clip, by id, in the order of the index, or one ``.npz`` under ``""``.

        Raises:
            DataError: If one is missing, or a clip has two.
        """
        path = self.root / self.sources[modality].partition(":")[0]
        if path.suffix == ".npz" and not path.is_dir():
            if not path.is_file():
                raise DataError(f"--data.features: {modality} is at {path}, which is not there")
            return {"": path}
        if not path.is_dir():
            raise DataError(f"--data.features: {modality} is at {path}, which is no folder and no .npz file")
        files: dict[str, Path] = {}
        for file in sorted(path.iterdir()):
            if file.suffix in (".pt", ".npy") and file.is_file():
                clip = file.stem.strip()  # as in the index
                if clip in files:
                    raise DataError(f"{path}: {files[clip].name} and {file.name} are of one clip; delete one")
                files[clip] = file
        if absent := [clip for clip in self.ids if clip not in files]:
            raise DataError(
                f"{path}: no .pt or .npy file of {len(absent)} clips of {self.index}: {first_names(absent)}"
            )
        return {clip: files[clip] for clip in self.ids}

    def read(self, modality: str) -> np.ndarray:
        """Read a modality of all clips in the order of the index, ``(N, ...)``; nothing in the files is executed.

        Raises:
            DataError: If a file is missing or damaged, or an array has another shape or type than the first.
        """
        files = self.paths(modality)
        if "" in files:
            return self._read_npz(files[""], self.sources[modality].partition(":")[2] or modality)
        try:
            arrays = [tensor_files.read_feature(file) for file in files.values()]
        except TensorFileError as error:
            raise DataError(f"{error}; make it anew") from error
        shape, dtype = arrays[0].shape, arrays[0].dtype
        for clip, array in zip(self.ids, arrays, strict=True):
            if (array.shape, array.dtype) != (shape, dtype):
                raise DataError(
                    f"{files[clip]}: {array.dtype} {array.shape}, but {files[self.ids[0]].name} is {dtype} {shape}"
                )
        return np.stack(arrays)

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
