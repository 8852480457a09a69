"""Where features come from, as ``features.json`` beside them tells: it is shown and kept, and nothing of it is run."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from datamodules.errors import DataError
from datamodules.reading.plain_json import read_object

NAME = "features.json"
LARGEST = 1 << 20  # bytes
FIELDS: dict[str, type] = {"tool": str, "version": str, "settings": dict, "unit": str, "columns": list}
_REMEDY = "docs/data/own_features.md tells what it holds"


def read_provenance(path: Path, modalities: list[str]) -> dict[str, dict[str, Any]]:
    """Read what made the features.

    Args:
        path: JSON: by modality ``tool`` and, where known, ``version``, ``settings``, ``unit``, and ``columns``, the
            names of the values in order.
        modalities: Which are wanted.

    Returns:
        The same, of those; empty where there is no such file.

    Raises:
        DataError: If it is damaged, too large, or something in it is of another kind.
    """
    if not path.exists():
        return {}
    if path.is_file() and path.stat().st_size > LARGEST:
        raise DataError(f"{path}: larger than {LARGEST >> 20} MB; {_REMEDY}")
    content = read_object(path, _REMEDY)
    for modality, of in content.items():
        if not isinstance(of, dict) or not of.get("tool"):
            raise DataError(f"{path}: {modality[:60]!r} needs the name of a tool; {_REMEDY}")
        for field, value in of.items():
            if field not in FIELDS:
                raise DataError(f"{path}: {modality[:60]!r} has a field {field[:60]!r}; it takes {', '.join(FIELDS)}")
            if not isinstance(value, FIELDS[field]):
                raise DataError(f"{path}: {field} of {modality[:60]!r} is a {type(value).__name__}; {_REMEDY}")
        columns = of.get("columns", [])
        if not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
            raise DataError(f"{path}: columns of {modality[:60]!r} are names that differ from each other; {_REMEDY}")
    return {modality: content[modality] for modality in modalities if modality in content}


def told_of(path: Path, modalities: list[str], config: dict[str, Any], *, ask: bool) -> dict[str, dict[str, Any]]:
    """Return what is told of modalities, by `read_provenance`, or else by the pickle that MMSA-FET wrote.

    Args:
        path: Of ``features.json``.
        modalities: Which are wanted.
        config: What a pickle says of itself.
        ask: Ask for the file in a warning where it does not tell of a modality.
    """
    found = read_provenance(path, modalities)
    if not found and config:
        try:
            settings = json.loads(json.dumps(config, allow_nan=False))
        except (TypeError, ValueError):
            settings = {}  # something that no report could show
        found = {modality: {"tool": "MMSA-FET", "settings": settings} for modality in modalities}
    if ask and (untold := [name for name in modalities if name not in found]):
        rank_zero_warn(
            f"{path} does not tell what made {', '.join(untold)}: name tool, version and settings there, so that "
            "reports and checkpoints can say so (docs/data/own_features.md)"
        )
    return found


def check_columns(path: Path, modality: str, provenance: dict[str, dict[str, Any]], width: int) -> None:
    """Refuse names that are not as many as the values of a step."""
    columns = provenance.get(modality, {}).get("columns", [])
    if columns and len(columns) != width:
        raise DataError(
            f"{path}: columns names {len(columns)} values of {modality}, the features have {width}; correct it"
        )
