"""The store: one flat memory-mapped file per array, an index, a manifest and, written last, ``COMPLETE``.

Layout of a finished folder::

    <array>.<dtype>   every clip's array one after the other, little-endian, C order
    index.csv         id, group, label, padded, source_sha256, what else the corpus says of a clip (its split), then
                      <array>_offset (elements), <array>_shape
    skipped.csv       id, file, reason, source_sha256 of the clips that could not be used
    manifest.json     settings, synthetic or not, counts, sha256 per array file, tool versions, fingerprint
    checksums.json    CRC-32 of every clip's arrays: compared when a process first reads them
    COMPLETE          the fingerprint

While it is being written a journal replaces the index, so that a writer killed at any point resumes
from the last whole clip and ends with the same bytes.
"""

import csv
import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import parse_json, read_object

SCHEMA = 1
DTYPES = {"u8": "|u1", "i16": "<i2", "i32": "<i4", "i64": "<i8", "f16": "<f2", "f32": "<f4"}
CHECKSUMS = "checksums.json"
ANEW = "delete the folder and prepare again."


def joint_fingerprint(fingerprints: list[str]) -> str:
    """Return one fingerprint for several corpora read together; a single corpus keeps its own."""
    return fingerprints[0] if len(fingerprints) == 1 else hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def read_manifest(path: Path, **fields: type) -> dict[str, Any]:
    """Read the manifest of something prepared.

    Args:
        path: The file.
        **fields: Type of every field that is needed of it.

    Raises:
        DataError: It is missing or damaged.
    """
    manifest = read_object(path, ANEW)
    if wrong := [name for name, kind in fields.items() if not isinstance(manifest.get(name), kind)]:
        raise DataError(f"{path} is damaged (no {', '.join(wrong)} in it, or of another kind); {ANEW}")
    return manifest


def store_fingerprint(manifest: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> str:
    """Return what identifies a store: its settings, index and array bytes."""
    # Tool versions are left out: another numpy that gives the same bytes gives the same data.
    content = {key: manifest[key] for key in ("schema", "synthetic", "settings", "arrays")}
    return hashlib.sha256(json.dumps([content, list(rows)], sort_keys=True).encode()).hexdigest()


def read_own_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that was written here, to the letter; `tables.Table` reads those of others."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_checksums(folder: Path, dtypes: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write the CRC-32 of every clip's arrays, of files that are as they were prepared."""
    sums: dict[str, list[int]] = {name: [] for name in dtypes}
    for name, dtype in dtypes.items():
        with (folder / f"{name}.{dtype}").open("rb") as file:  # one clip after the other
            for row in rows:
                count = math.prod(int(size) for size in row[f"{name}_shape"].split("x"))
                sums[name].append(zlib.crc32(file.read(count * np.dtype(DTYPES[dtype]).itemsize)))
    write_atomic(folder / CHECKSUMS, json.dumps(sums) + "\n")


class Store:
    """A finished store, read through memory maps that open on first use, also after a fork or a pickle.

    Args:
        folder: a folder written by `datamodules.store.writer`.

    Attributes:
        ids: Clip ids in storage order.
        groups: Speaker (or clip id) of every clip.
        labels: int64 ``(N,)``.
        rows: ``index.csv`` as it stands.
        manifest: ``manifest.json`` as it stands.
        fingerprint: Hash over settings, index and array bytes.
        synthetic: Whether the data is a stand-in.
        arrays: dtype by array name.

    Raises:
        DataError: The store is missing, unfinished, edited or cut short.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise DataError(f"{folder}: no prepared store here; run `cli.py prepare` for this corpus first.")
        if not (folder / "COMPLETE").exists():
            raise DataError(f"{folder}: not finished; run the same `cli.py prepare` again, it carries on.")
        path = folder / "manifest.json"
        try:
            self.manifest: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
            self.fingerprint: str = self.manifest["fingerprint"]
            self.synthetic: bool = self.manifest["synthetic"]
            files = self.manifest["arrays"]
            self.arrays = {name: np.dtype(DTYPES[file["dtype"]]) for name, file in files.items()}
            if not all(name.isidentifier() for name in files):  # they become file names
                raise ValueError
            path = folder / "index.csv"
            self.rows = read_own_table(path)
            self.ids = [row["id"] for row in self.rows]
            self.groups = [row["group"] for row in self.rows]
            self.labels = np.array([int(row["label"]) for row in self.rows], dtype=np.int64)
            self._offsets = {name: [int(row[f"{name}_offset"]) for row in self.rows] for name in files}
            self._shapes = {
                name: [tuple(int(size) for size in row[f"{name}_shape"].split("x")) for row in self.rows]
                for name in files
            }
            path = folder / "COMPLETE"
            complete = path.read_text(encoding="utf-8").strip()
            path = folder / "manifest.json"
            found = store_fingerprint(self.manifest, self.rows)
        except FileNotFoundError:
            raise DataError(f"{path} is missing; {ANEW}") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        except (AttributeError, KeyError, TypeError, ValueError, csv.Error):
            raise DataError(f"{path} is damaged; {ANEW}") from None
        if not found == self.fingerprint == complete:
            raise DataError(f"{folder}: index.csv or manifest.json was edited since; {ANEW}")
        self._paths = {name: folder / f"{name}.{file['dtype']}" for name, file in files.items()}
        for name, path in self._paths.items():
            if not path.exists():
                raise DataError(f"{path} is missing; {ANEW}")
            size, expected = path.stat().st_size, files[name]["bytes"]
            if size != expected:
                raise DataError(f"{path}: {size} bytes instead of {expected}; {ANEW}")
        self._maps: dict[str, np.ndarray] = {}
        self._unchecked = self._read_checksums(folder / CHECKSUMS)

    def _read_checksums(self, path: Path) -> dict[str, dict[int, int]]:
        """Return the CRC-32 by clip of every array; none for a store of an earlier version, which is hashed whole."""
        if not path.exists():
            return {}
        sums = read_object(path, ANEW)
        if any(not isinstance(of, list) or len(of) != len(self.rows) for of in map(sums.get, self.arrays)):
            raise DataError(f"{path} is damaged (not one number a clip); {ANEW}")
        return {name: dict(enumerate(sums[name])) for name in self.arrays}

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without memory maps: a pickled one would be a copy of the whole file."""
        return {**self.__dict__, "_maps": {}}

    def setting(self, view: str, option: str, old: str, default: Any = None) -> Any:
        """Return an option that the store was prepared with.

        Args:
            view: Name in the recipe.
            option: Of the view.
            old: What stores of schema 1, which know no views, call it.
            default: Where it is not there.
        """
        settings = self.manifest["settings"]
        if self.manifest["schema"] == 1:
            return settings.get(old, default)
        return settings["views"].get(view, {}).get(option, default)

    def shape(self, name: str, i: int) -> tuple[int, ...]:
        """Return the shape of array `name` of clip `i`."""
        return self._shapes[name][i]

    def read(self, name: str, i: int) -> np.ndarray:
        """Return the array `name` of clip `i`: a read-only view on the memory map, one contiguous stretch.

        Raises:
            DataError: It is not what was prepared.
        """
        if name not in self._maps:
            if name not in self._unchecked:
                self.verify(name)
            # Slices of a plain array cost a fraction of slices of the memmap class; an empty file cannot be mapped.
            empty = np.empty(0, self.arrays[name])
            path = self._paths[name]
            full = path.stat().st_size > 0
            self._maps[name] = np.memmap(path, self.arrays[name], mode="r").view(np.ndarray) if full else empty
        offset, shape = self._offsets[name][i], self._shapes[name][i]
        found = self._maps[name][offset : offset + math.prod(shape)]
        wanted = self._unchecked.get(name, {}).pop(i, None)
        if wanted is not None and zlib.crc32(found) != wanted:  # type: ignore[arg-type]  # an array is a buffer
            raise DataError(f"{self._paths[name]} was damaged after preparing, at clip {self.ids[i]}; {ANEW}")
        return found.reshape(shape)

    def verify(self, *names: str) -> None:
        """Compare the array files with their recorded hashes.

        Args:
            *names: Of which arrays; of all where none is given.

        Raises:
            DataError: A file does not hold the bytes that were prepared.
        """
        for name in names or self._paths:
            if sha256_file(self._paths[name]) != self.manifest["arrays"][name]["sha256"]:
                raise DataError(f"{self._paths[name]} was damaged after preparing; {ANEW}")
