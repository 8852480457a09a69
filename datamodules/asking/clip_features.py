"""Features of single clips, wherever they lie: a folder as that of the training, an archive, a table, an array."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import tensor_files
from datamodules.errors import DataError
from datamodules.reading.feature_csv import read_clip_table
from datamodules.reading.feature_files import ARRAYS, check_memory
from datamodules.reading.feature_kinds import FeatureKinds
from datamodules.reading.mmsa import read_mmsa
from datamodules.reading.provenance import NAME, read_provenance
from datamodules.reading.tables import Table
from error_texts import first_names
from tensor_archives import TensorFileError

FEATURES = "features"  # what a row has of a clip: by modality an array, or its file, or FILE.npz:ARRAY
TABLES, PICKLES = (".csv", ".tsv"), (".pkl", ".pickle")
ARCHIVES = (".npz", *PICKLES)
Rows = list[dict[str, Any]]


class ClipFeatures:
    """The features of clips, in files.

    Args:
        kinds: What they are like.
    """

    def __init__(self, kinds: FeatureKinds) -> None:
        self.kinds = kinds
        self.modalities = list(kinds.sources)

    def rows(self, path: Path) -> Rows | None:
        """Return a row for every clip that a file or folder holds features of; None where it holds none.

        Raises:
            DataError: It is one of features and cannot be used.
        """
        suffix, rows = path.suffix.lower(), None
        if path.is_dir():
            rows = self._in_folder(path)
        elif suffix in ARCHIVES:
            rows = self._in_archive(path)
        elif suffix in TABLES:
            rows = self._in_table(path)
        elif suffix in ARRAYS:
            rows = [{"file": str(path), FEATURES: {self._modality_of(path): str(path)}}]
        if rows:
            self._check_told((path if path.is_dir() else path.parent) / NAME)
        return rows or None

    def _in_folder(self, folder: Path) -> Rows:
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for modality, source in self.kinds.sources.items():
            name, colon, array = source.partition(":")
            path = folder / name
            if path.suffix == ".npz" and path.is_file():
                for clip in _content(path, _changed(path))[1]:
                    found[clip][modality] = f"{path}:{self.kinds.array(modality)}"
                continue
            suffixes = (".csv",) if modality in self.kinds.columns else (".npz",) if colon else ARRAYS
            for file in sorted(path.iterdir()) if path.is_dir() else ():
                if file.suffix in suffixes:
                    found[file.stem.strip()][modality] = f"{file}{colon}{array}"
        return [{"file": str(folder / clip), "id": clip, FEATURES: of} for clip, of in found.items()]

    def _in_archive(self, path: Path) -> Rows:
        content, ids = _content(path, _changed(path))
        arrays = {name: self.kinds.array(name) for name in self.modalities}
        found = {name: f"{path}:{array}" for name, array in arrays.items() if array in content}
        if not found:
            raise DataError(f"no array {' or '.join(arrays.values())}; it holds {first_names(list(content))}")
        return [{"file": str(path), "id": clip, FEATURES: found} for clip in ids or ("",)]

    def _in_table(self, path: Path) -> Rows:
        """Return the clip whose table it is, or the clips that a table of files names by modality."""
        table, columns = Table(path), self.kinds.columns
        if own := {name: str(path) for name, of in columns.items() if set(of) <= set(table.names)}:
            return [{"file": str(path), FEATURES: own}]
        named = [name for name in self.modalities if name in table.names]
        if not named and not {"file", "text"} & set(table.names):
            lacking = [column for of in columns.values() for column in of if column not in table.names]
            raise DataError(f"no column {first_names(lacking or self.modalities)}")
        rows = []
        for row in table if named else ():
            features = {name: str(path.parent / row[name]) for name in named if row[name]}
            called = row.get("id") or row.get("file") or next(iter(features.values()), row.where)
            rows.append({"file": called, FEATURES: features})
        return rows

    def _modality_of(self, path: Path) -> str:
        """Return the modality of an array's file: that of the folder in which it lies, or the one that it fits."""
        arrays = [name for name in self.modalities if name not in self.kinds.columns]
        lies = [name for name in arrays if path.parent.name in (name, PurePosixPath(self.kinds.sources[name]).name)]
        if len(found := lies or arrays) != 1:
            values = _read_array(path)
            found = [name for name in found if self._fits(name, values)]
        if len(found) != 1:
            wanted = self.kinds.told_of(arrays)
            raise DataError(f"which of {wanted} it is cannot be told; put it into a folder of that name")
        return found[0]

    def _fits(self, modality: str, values: np.ndarray) -> bool:
        try:
            self.kinds.read(modality, values)
        except DataError:
            return False
        return True

    def _check_told(self, path: Path) -> None:
        """Refuse features that, as a file beside them says, are in other units or of other columns."""
        for modality, of in read_provenance(path, self.modalities).items():
            known = self.kinds.told.get(modality, {})
            for field in ("columns", "unit"):
                if field in of and known.get(field, of[field]) != of[field]:
                    raise DataError(f"{path}: the {field} of {modality} is not what the model was trained on")

    def one(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what is asked about as a row with features; None of one without.

        Raises:
            DataError: There are several clips in its file, or what is given is not of the modalities.
        """
        if not row.get(FEATURES):
            rows = self.rows(Path(row["file"])) if row.get("file") is not None else None
            if rows is None:
                return None
            rows = [one for one in rows if row.get("id") in (None, one.get("id"))]
            if len(rows) != 1:
                raise DataError(f"it holds {len(rows)} clips; name one by id, or ask predict --clips about all")
            row = rows[0]
        if not isinstance(row[FEATURES], Mapping) or set(row[FEATURES]) - set(self.modalities):
            raise DataError(f"features: give arrays or files by name, of {self.kinds.told_of(self.modalities)}")
        return row

    def read(self, modality: str, source: Any, clip: str) -> np.ndarray:
        """Return the array of a clip as training read it.

        Args:
            modality: Which.
            source: The array itself, or where it lies.
            clip: Its id in a file of several.

        Raises:
            DataError: It cannot be read, or is of another shape or type.
        """
        return self.kinds.read(modality, self._raw(modality, source, clip))

    def _raw(self, modality: str, source: Any, clip: str) -> np.ndarray:
        if not isinstance(source, str | Path):
            try:
                return np.asarray(source)
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(f"{modality} is no array") from error
        whole, _, array = str(source).rpartition(":")
        path = Path(whole if Path(whole).suffix in ARCHIVES else source)
        if path.suffix in ARCHIVES:
            content, ids = _content(path, _changed(path))
            name = array if str(path) == whole else self.kinds.array(modality)
            if name not in content or (clip and ids and clip not in ids):
                raise DataError(f"{path}: no {name}{f' of {clip}' * bool(clip)}")
            return np.asarray(content[name][ids[clip]] if ids and clip else content[name])
        if modality in self.kinds.columns:
            return read_clip_table(path, self.kinds.columns[modality], self.kinds.confidence, Counter())
        return _read_array(path)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _content(path: Path, changed: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the arrays of an archive by name, and the row of every clip where it has ids."""
    check_memory([path] if path.exists() else [])
    if path.suffix in PICKLES:
        file = read_mmsa(path, ())
        return {name: file.read(name) for name in file.modalities}, {id: row for row, id in enumerate(file.index.ids)}
    try:
        content = tensor_files.read_npz(path)
    except TensorFileError as error:
        raise DataError(str(error)) from error
    ids = content.pop("id", None)
    return content, {} if ids is None else {str(id).strip(): row for row, id in enumerate(np.atleast_1d(ids).tolist())}


def _read_array(path: Path) -> np.ndarray:
    try:
        return tensor_files.read_feature(path)
    except TensorFileError as error:
        raise DataError(str(error)) from error
