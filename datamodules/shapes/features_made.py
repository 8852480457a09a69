"""What made the features of an index, as far as a manifest beside it tells: files, and a recipe of some."""

from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
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
