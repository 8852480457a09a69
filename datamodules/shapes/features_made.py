"""What features are and what made them: as a checkpoint keeps it, and as a manifest beside an index tells it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.feature_files import FeatureFiles
from datamodules.reading.files import sha256_file
from datamodules.reading.mmsa import MMSAFile
from datamodules.reading.names import check_name
from datamodules.store.reader import read_manifest


def read_feature_manifest(index: Path) -> dict[str, Any]:
    """Return the manifest that ``prepare`` wrote beside an index; empty for a folder made elsewhere.

    Raises:
        DataError: If the manifest is damaged, or a file is no longer the one that was prepared.
    """
    path = index.with_name("manifest.json")
    if not path.exists():
        return {}
    manifest = read_manifest(path, corpus=str, synthetic=bool, files=dict, fingerprint=str)
    check_name(manifest["corpus"], f"{path}: corpus")
    for name, digest in manifest["files"].items():
        file = path.with_name(check_name(name, f"{path}: files"))
        if not file.is_file() or sha256_file(file) != digest:
            raise DataError(f"{file} is not what was prepared: delete {path.parent} and prepare the corpus again")
    return manifest


def recipe_of(index: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the store, beside the folder of an index, that arrays were taken from; empty for none."""
    settings = manifest.get("settings")
    for name, fingerprint in settings.items() if isinstance(settings, dict) else ():
        path = index.absolute().parent.with_name(f"prepared-{name}") / "manifest.json"
        if path.is_file():
            found = read_manifest(path, settings=dict, fingerprint=str)
            if found["fingerprint"] == fingerprint:
                return dict(found["settings"])
    return {}


def fingerprint_of(index: Path, sources: Mapping[str, str], files: FeatureFiles | MMSAFile) -> str:
    """Return the SHA-256 over an index and the feature files of its clips, where no preparation has one.

    Args:
        index: The file.
        sources: Where each modality lies, see `FeatureFiles`; of a pickle, the field.
        files: Those of the features.
    """
    digest = hashlib.sha256(sha256_file(index).encode())
    for modality, source in sorted(sources.items()):
        if isinstance(files, MMSAFile):
            digest.update(f"{modality} {source}\n".encode())
            continue
        for path in files.paths(modality).values():  # in the order of the index
            digest.update(f"{modality} {source.partition(':')[2]} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def features_reading(
    shapes: Mapping[str, list[int]],
    sources: Mapping[str, str],
    bytes: Sequence[str],
    views: Collection[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return how features of a clip are read, as plain values (`EmotionDataModule.reading`).

    Args:
        shapes: Of a clip's array by modality; 0 steps where their number is its own.
        sources: Where each modality lies, see `FeatureFiles`.
        bytes: Modalities that are stored as bytes.
        views: Names of the arrays that a recipe makes.
        **more: Further attributes of `FeatureKinds`.
    """
    arrays = {name: source.partition(":")[2] or name for name, source in sources.items()}
    nothing = {"columns": {}, "confidence": 0.0, "steps": {}, "time_last": [], "sequences": [], "statistics": {}}
    options = {"modalities": list(sources), "sources": dict(sources), "arrays": arrays, "sizes": dict(shapes)}
    return {
        "data": "PrecomputedTensorDataModule",
        "options": {**nothing, **options, "bytes": list(bytes), **more},
        "arrays": [array for array in arrays.values() if array in views],
    }
