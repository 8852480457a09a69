"""What a run needs: checkpoints of other cells that it starts from, known by the requests recorded beside them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import read_object
from experiments.settings.class_paths import shorten_class_paths
from experiments.settings.config import Config
from experiments.settings.redaction import drop
from tensor_archives import archive_digest

SELECTED = ("best.ckpt", "last.ckpt")  # of a run's checkpoints, that which is taken first
EXPORTED = "config.json"  # of an exported folder; it holds the digests of the others
AGAIN = "delete its folder and run the cell again"


def resolve_checkpoints(sources: Mapping[str, str], *, fold: int, seed: int, protocol: str) -> dict[str, str]:
    """Return the checkpoints that a run starts from; ``{cell}`` in a path becomes its own protocol, fold and seed."""
    return {part: path.replace("{cell}", cell_name(protocol, fold, seed)) for part, path in sources.items()}


def cell_name(protocol: str, fold: int, seed: int) -> str:
    """Return the name of the folder of a cell."""
    return f"{protocol}-fold{fold}-seed{seed}"


def request_hash(request: Config) -> str:
    """Return the SHA-256 of a request in canonical form."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def recorded_request(directory: Path) -> Config:
    """Return the request a cell was made under; empty where none was recorded.

    Earlier versions recorded the classes of this project with the modules that they had: they come by name alone.

    Raises:
        DataError: If the file is damaged.
    """
    path = directory / "request.json"
    recorded: Config = read_object(path, AGAIN) if path.exists() else {}
    data = settings.get("data", {}) if isinstance(settings := recorded.get("settings", {}), dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("init_args", {}), dict):
        raise DataError(f"{path} is damaged (its settings are none); {AGAIN}")
    return {**recorded, "settings": shorten_class_paths(settings)} if settings else recorded


def checkpoint_hash(path: Path) -> str:
    """Return the hash of a checkpoint: its cell's request for the selected epoch, and more for another one."""
    if path.name in ("best.ckpt", "last.ckpt") and (cell := recorded_request(path.parent.parent)):
        return request_hash(cell) + ("-last" if path.name == "last.ckpt" else "")
    found: str = sha256_file(path) if path.exists() else drop(str(path), mark=True)
    return found


def source_needs(config: Mapping[str, Any], **cell: Any) -> dict[str, str]:
    """Return the digest of what a run starts from as a whole, ``init_from``; nothing where it starts afresh."""
    if not (given := config.get("init_from")):
        return {}
    path = source_file(Path(resolve_checkpoints({"": str(given)}, **cell)[""]))
    if not path.is_file():
        return {"init_from": drop(str(path), mark=True)}
    members = archive_digest(path)  # of an archive's directory: hundreds of megabytes need not be read
    return {"init_from": hashlib.sha256(members.encode()).hexdigest() if members else sha256_file(path)}


def source_file(path: Path) -> Path:
    """Return the file that tells the weights of an exported folder, a run's folder or a checkpoint from others."""
    files = (path / EXPORTED, *(path / "checkpoints" / name for name in SELECTED))
    return next((file for file in files if file.is_file()), path)


def resumed(request: Config, checkpoint: Path) -> Config:
    """Return the request of a run that resumes: unchanged from its own checkpoint, else with that checkpoint in it."""
    cell = recorded_request(checkpoint.parent.parent)
    needs = {name: need for name, need in cell.get("needs", {}).items() if name != "ckpt_path"}
    if {**cell, "needs": needs} == request:
        return cell
    return {**request, "needs": {**request["needs"], "ckpt_path": checkpoint_hash(checkpoint)}}
