"""The folder of features that ``export-features`` writes."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import replacing, write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.names import check_name
from datamodules.reading.provenance import NAME
from datamodules.reading.stand_in import STAND_IN
from datamodules.reading.tables import table_text
from datamodules.recipe import class_of
from datamodules.shapes.clips import ClipsDataModule
from datamodules.store.reader import Store, read_manifest
from datamodules.views.base import MediaView, View
from error_texts import first_names
from experiments.predict.out_folder import check_new, make_folder
from tensor_files import read_flat

LOUDEST = 32767  # what waves are divided by


@dataclass
class Exported:
    """What was exported.

    Attributes:
        told: Lines about it.
        classes: Names of the classes, where the index has their numbers.
        time_last: Names of those whose last axis is time.
    """

    told: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    time_last: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Feature:
    """One modality.

    Attributes:
        store: Of the clips.
        name: Of the array.
        about: Of it, for ``features.json``.
        items: Embeddings ``(items, ...)`` in the order of the store, as many of every clip; None of an array of it.
        time_last: Whether its last axis is time.
    """

    store: Store
    name: str
    about: dict[str, Any]
    items: np.ndarray | None = None
    time_last: bool = False

    def is_there(self, row: int) -> bool:
        """Return whether a clip has it."""
        return self.items is not None or 0 not in self.store.shape(self.name, row)

    def of(self, row: int) -> np.ndarray:
        """Return it of a clip: floats or bytes."""
        if self.items is not None:
            count = len(self.items) // len(self.store)
            own = self.items[row * count : (row + 1) * count]
            return own[0] if count == 1 else own
        values = self.store.read(self.name, row)
        return (values / np.float32(LOUDEST)).astype(np.float32) if values.dtype == np.int16 else values


def export_features(
    root: Path,
    out: Path,
    arrays: Sequence[str] = (),
    embeddings: Sequence[Path] = (),
    *,
    store: str | None = None,
    splits: str | None = None,
) -> Exported:
    """Write features of the labelled clips of a prepared corpus.

    Args:
        root: Folder of the corpus.
        out: The new folder.
        arrays: Names of arrays of the store.
        embeddings: Folders of the embedding store.
        store: Which store of the corpus.
        splits: CSV with the folds or splits, where the store knows none.

    Raises:
        DataError: The folder is there, nothing is named, or something that is named is not there or no feature.
    """
    check_new(out)
    data = ClipsDataModule(str(root), store=store, splits=splits)
    found = [_array(data.store, name) for name in arrays] + [_embedding(data.store, path) for path in embeddings]
    names = [check_name(feature.name, "export-features") for feature in found]
    if not names:
        raise DataError(f"name what to export: --arrays {' '.join(data.store.arrays)}, or --embeddings DIR")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"two of what is exported are called {twice[0]}; export them into two folders")
    there = [all(feature.is_there(row) for feature in found) for row in range(len(data.store))]
    rows = np.flatnonzero(data.labels.known & there)
    if not len(rows):
        raise DataError(f"{data.store.folder}: no labelled clip has all of {', '.join(names)}; name fewer")
    ids = _file_names(data.store.ids)
    make_folder(out)
    for feature in found:
        for row in rows.tolist():
            path = out / feature.name / f"{ids[row]}.npy"
            path.parent.mkdir(exist_ok=True)
            with replacing(path, sync=False) as temporary, temporary.open("wb") as file:
                np.save(file, feature.of(row))
    table = list(_index(data, rows, ids))
    write_atomic(out / NAME, json.dumps({one.name: one.about for one in found}, indent=1) + "\n")
    if data.synthetic:
        write_atomic(out / STAND_IN, "features of a stand-in\n")
    write_atomic(out / "index.csv", table_text(table[0], table[1:]))
    told = [f"{len(rows)} clips, {', '.join(names)}: {out}"]
    if lacking := [id for id, has in zip(data.store.ids, there, strict=True) if not has]:
        told.append(f"left out, as they lack one of them: {len(lacking)} clips, {first_names(lacking)}")
    time_last = [feature.name for feature in found if feature.time_last]
    return Exported(told, data.labels.classes if "target" in table[0] else [], time_last)


def _array(store: Store, name: str) -> Feature:
    if name not in store.arrays:
        raise DataError(f"--arrays {name}: {store.folder} has no such array; it has {', '.join(store.arrays)}")
    if store.arrays[name].kind not in "fu" and store.arrays[name] != np.int16:
        raise DataError(f"--arrays {name}: {store.arrays[name]} values are indices and no features; embed them first")
    settings = store.manifest["settings"]
    for view, options in settings.get("views", {}).items():
        kind = class_of("views", options["view"], View)
        made = kind.restored(options)
        if name in made.arrays(view):
            time_last = isinstance(made, MediaView) and made.empty_shape(name)[1:] == (0,)
            meaning = (getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
            break
    else:
        options, meaning, time_last = settings, "", False
    about = _about(store, options, store.manifest["arrays"][name]["sha256"])
    scaled = "; divided by 32767" if store.arrays[name] == np.int16 else ""
    return Feature(store, name, {**about, "unit": meaning + scaled}, time_last=time_last)


def _embedding(store: Store, folder: Path) -> Feature:
    manifest = read_manifest(folder / "manifest.json", modality=str, items=int, width=int, source=str, encoder=str)
    if manifest["source"] != store.fingerprint:
        raise DataError(f"--embeddings {folder}: they are of another store than {store.folder}; name that, --store")
    items, modality = manifest["items"], manifest["modality"]
    if not items or items % len(store):
        raise DataError(f"--embeddings {folder}: {items} items of {len(store)} entries, which are not as many of each")
    path = folder / f"{check_name(modality, str(folder))}.f32"
    steps = [manifest["steps"], -1] if isinstance(manifest.get("steps"), int) else [manifest["width"]]
    values = read_flat(path, (items, manifest["width"])).reshape(items, *steps)
    if (digest := sha256_file(path)) != manifest.get("sha256", digest):
        raise DataError(f"{path} is not what was computed; delete {folder} and run the encoder again")
    about = _about(store, {"encoder": manifest["encoder"], "key": manifest.get("key")}, digest)
    return Feature(store, modality, {**about, "unit": f"embedding of {modality} by a frozen encoder"}, values)


def _about(store: Store, made_by: dict[str, Any], digest: str) -> dict[str, Any]:
    settings = store.manifest["settings"]
    known = {name: settings[name] for name in ("catalogue", "recipe") if name in settings}
    own = {"made_by": made_by, "store": store.fingerprint, "sha256": digest, "order": "as stored; a file a clip"}
    return {"tool": "affectzoo", "settings": {**known, **own}}


def _file_names(ids: Sequence[str]) -> list[str]:
    """Return ids that can be names of files: those of clips in folders have none of their slashes."""
    names = [check_name(id.replace("/", "__"), "id of a clip") for id in ids]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"two clips would be called {twice[0]}; give one of their folders another name")
    return names


def _index(data: ClipsDataModule, rows: np.ndarray, ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield the head of the index, then a row a clip: its group, fold or split, and labels."""
    kind, places, _ = data.division
    columns: dict[str, list[str]] = {}
    for task, labels in data.labels.by_task.items():
        if labels.ndim == 2:
            columns |= {f"soft_{name}": _texts(of) for name, of in zip(data.labels.classes, labels.T, strict=True)}
        elif labels.dtype == np.int64:
            columns["target"] = ["" if of < 0 else str(of) for of in labels]
        else:
            columns[f"value_{task}"] = _texts(labels)
    yield ["id", "group", kind, *columns]
    for row in rows:
        yield [ids[row], data.store.groups[row], places[row], *(of[row] for of in columns.values())]


def _texts(values: np.ndarray) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.9g}" for value in values]
