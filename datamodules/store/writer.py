"""Write a store (`datamodules.store.reader`), clip after clip, and resume where a killed writer stopped."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import plain, sha256_file
from datamodules.reading.tables import table_text
from datamodules.store.journal import Journal
from datamodules.store.reader import (
    ANEW,
    CHECKSUMS,
    DTYPES,
    SCHEMA,
    Store,
    read_own_table,
    store_fingerprint,
    write_checksums,
)

_FIXED = ("id", "group", "label", "padded", "source_sha256")
_SKIPPED = ("id", "file", "reason", "source_sha256")


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write columns of rows as `read_own_table` reads them, whole or not at all."""
    write_atomic(path, table_text(columns, ([row.get(name, "") for name in columns] for row in rows)))


def _is_row(record: Any) -> bool:
    """Return whether a record of the journal is a row of the index or of the clips that were skipped."""
    if not isinstance(record, dict) or list(record) not in (["used"], ["skipped"]):
        return False
    ((kind, row),) = record.items()
    wanted = _FIXED if kind == "used" else _SKIPPED
    return isinstance(row, dict) and all(isinstance(row.get(name), str) for name in wanted)


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name.removeprefix('settings.')} was {old!r}, now {new!r}"


class StoreWriter:
    """Append clips to a store, one after the other, in the order that the caller fixes.

    Opening a folder that a killed writer left resumes after its last whole clip; opening a finished one
    sets ``complete`` and writes nothing.

    Args:
        folder: Where the store lives; made when missing.
        arrays: Name of every array and its dtype, a key of ``DTYPES``.
        settings: Everything that decides the bytes, as JSON values.
        synthetic: Whether the source is a stand-in corpus.
        columns: Columns of the index beyond those that every store has.
        schema: Of the manifest.

    Attributes:
        complete: The store was finished before; only `check_sources` is of use.
        rows: Index rows of the clips written so far.
        skipped: Rows of the clips skipped so far.
        done: id -> source hash of every clip dealt with so far, in order.

    Raises:
        DataError: The folder cannot be written, another process is writing it, or it holds a store that was made with
            other settings or is damaged.
    """

    def __init__(
        self,
        folder: Path,
        arrays: dict[str, str],
        settings: dict[str, Any],
        synthetic: bool,
        columns: Sequence[str] = (),
        schema: int = SCHEMA,
    ) -> None:
        self.folder = folder
        self.arrays = arrays
        self.columns = tuple(columns)
        self.request = json.loads(
            json.dumps({"schema": schema, "synthetic": synthetic, "settings": settings, "dtypes": arrays})
        )
        self._paths = {name: folder / f"{name}.{dtype}" for name, dtype in arrays.items()}
        self._journal: Journal | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.complete = (folder / "COMPLETE").exists()
        except OSError as error:
            raise self._unwritable(error) from None
        if self.complete:
            store = Store(folder)
            manifest = store.manifest
            dtypes = {name: array["dtype"] for name, array in manifest["arrays"].items()}
            self._refuse_other_request({**{key: manifest[key] for key in list(self.request)[:3]}, "dtypes": dtypes})
            store.verify()
            if not (folder / CHECKSUMS).exists():  # of an earlier version
                write_checksums(folder, dtypes, store.rows)
            if not (folder / "skipped.csv").exists():
                raise DataError(f"{folder / 'skipped.csv'} is missing; {ANEW}")
            self.rows, self.skipped = store.rows, read_own_table(folder / "skipped.csv")
            self.done = {row["id"]: row["source_sha256"] for row in [*self.rows, *self.skipped]}
            return
        try:
            self._journal = Journal(folder / "journal.jsonl", list(self._paths.values()), _is_row)
        except BlockingIOError:
            raise DataError(f"{folder}: another process is writing this store; wait for it to end.") from None
        except OSError as error:
            raise self._unwritable(error) from None
        except ValueError as error:
            raise DataError(f"{folder}: journal.jsonl is damaged ({error}); delete the folder.") from None
        if self._journal.begun:
            self._refuse_other_request(self._journal.header)
        try:
            self._restart()
        except OSError as error:
            self.close()
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"--out: cannot write {self.folder}: {error.strerror}; name a folder that can be written.")

    def _refuse_other_request(self, old: dict[str, Any]) -> None:
        if old.get("schema") != self.request["schema"]:
            self.close()
            state = "prepared by an earlier version, and read as it is" if self.complete else "begun by another version"
            raise DataError(
                f"{self.folder} was {state}.\nTo prepare it anew delete that folder, or write elsewhere with --out."
            )
        if changes := "; ".join(_differences(old, self.request)):
            self.close()
            raise DataError(
                f"{self.folder} was made with other settings: {changes}.\n"
                "Delete that folder, or write elsewhere with --out."
            )

    def _restart(self, keep: int | None = None) -> None:
        assert self._journal is not None
        self._journal.start(self.request, keep)
        self.rows = [record["used"] for record in self._journal.records if "used" in record]
        self.skipped = [record["skipped"] for record in self._journal.records if "skipped" in record]
        entries = [next(iter(record.values())) for record in self._journal.records]
        self.done = {row["id"]: row["source_sha256"] for row in entries}

    def check_sources(self, ids: Sequence[str], hashes: Mapping[str, str]) -> None:
        """Compare the clips dealt with so far with the sources as they are now.

        In an unfinished store a skipped clip whose file was repaired or taken away is forgotten, with
        whatever was written after it, and done again.

        Args:
            ids: All clips of the source in the order in which they are added.
            hashes: id -> present hash, at least of those `ids` that are in `done`.
        """
        skipped = {row["id"] for row in self.skipped}
        for position, id in enumerate(self.done):
            expected = id if self.complete else next(iter(ids[position : position + 1]), None)
            if id == expected and hashes.get(id) == self.done[id]:
                continue
            if id in skipped and not self.complete:
                self._restart(keep=position)
                return
            if id not in ids:
                self._refuse_sources(f"clip {id} is no longer there")
            changed = f"the file of clip {id} changed, or what a table says of it"
            self._refuse_sources(changed if id == expected else f"clip {expected} is new")
        if self.complete and (new := [id for id in ids if id not in self.done]):
            self._refuse_sources(f"clip {new[0]} is new")

    def _refuse_sources(self, problem: str) -> None:
        self.close()
        raise DataError(
            f"{self.folder} was made from other source files: {problem}.\n"
            "Delete that folder, or write elsewhere with --out."
        )

    def add(
        self,
        id: str,
        group: str,
        label: int,
        arrays: Mapping[str, np.ndarray],
        source_sha256: str = "",
        padded: int = 0,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """Append one clip.

        Args:
            id: Unique name of the clip, a `store.plain` text.
            group: Unit of folds and of the bootstrap, the speaker where there is one.
            label: Class index.
            arrays: One array for every name of the store, already in its dtype.
            source_sha256: Hash of the file the clip came from.
            padded: Number of frames that were padded.
            columns: Value of every further column of the index.

        Raises:
            DataError: The id is there already, an array has another dtype, or the disk is full.
        """
        assert self._journal is not None
        if arrays.keys() != self.arrays.keys():
            raise DataError(f"clip {id}: arrays {sorted(arrays)} given, the store holds {sorted(self.arrays)}.")
        row = dict(zip(_FIXED, (id, group, str(label), str(padded), source_sha256), strict=True))
        row |= {name: (columns or {})[name] for name in self.columns}
        for (name, dtype), end in zip(self.arrays.items(), self._journal.ends, strict=True):
            values = arrays[name]
            if values.dtype != np.dtype(DTYPES[dtype]):
                raise DataError(f"clip {id}: {name} is {values.dtype}, the store holds {dtype}.")
            row[f"{name}_offset"] = str(end // values.itemsize)
            row[f"{name}_shape"] = "x".join(str(size) for size in values.shape)
        self._append("used", row, [arrays[name].tobytes() for name in self.arrays])
        self.rows.append(row)

    def skip(self, id: str, file: str, reason: str, source_sha256: str = "") -> None:
        """Record a clip that cannot be used, with the reason for ``skipped.csv``."""
        row = dict(zip(_SKIPPED, (id, file, " ".join(reason.split()), source_sha256), strict=True))
        self._append("skipped", row, [b""] * len(self.arrays))
        self.skipped.append(row)

    def _append(self, kind: str, row: dict[str, str], chunks: list[bytes]) -> None:
        assert self._journal is not None
        row |= {name: plain(value) for name, value in row.items()}  # the tables are UTF-8
        if row["id"] in self.done:
            raise DataError(f"clip {row['id']} comes twice; ids must be unique.")
        try:
            self._journal.append({kind: row}, chunks)
        except OSError as error:
            raise DataError(f"{self.folder}: {error.strerror}; make room, then run the same command.") from None
        self.done[row["id"]] = row["source_sha256"]

    def write_skipped(self) -> Path:
        """Write ``skipped.csv`` as it stands and return its path."""
        path = self.folder / "skipped.csv"
        write_table(path, _SKIPPED, self.skipped)
        return path

    def close(self) -> None:
        """Close the store unfinished; the work can be resumed later."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def finish(self, versions: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Write index, skipped list and manifest, then ``COMPLETE``; return the manifest."""
        if self._journal is None:
            return Store(self.folder).manifest
        self._journal.sync()
        places = [f"{name}_{part}" for name in self.arrays for part in ("offset", "shape")]
        write_table(self.folder / "index.csv", [*_FIXED, *self.columns, *places], self.rows)
        self.write_skipped()
        manifest = {
            **{key: self.request[key] for key in ("schema", "synthetic", "settings")},
            "counts": {
                "used": len(self.rows),
                "skipped": len(self.skipped),
                "padded": sum(row["padded"] != "0" for row in self.rows),
            },
            "arrays": {
                name: {"dtype": dtype, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
                for (name, dtype), path in zip(self.arrays.items(), self._paths.values(), strict=True)
            },
            "versions": dict(versions or {}),
        }
        manifest["fingerprint"] = store_fingerprint(manifest, self.rows)
        write_checksums(self.folder, self.arrays, self.rows)
        write_atomic(self.folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        write_atomic(self.folder / "COMPLETE", manifest["fingerprint"] + "\n")
        self.close()
        (self.folder / "journal.jsonl").unlink()
        self.complete = True
        return manifest
