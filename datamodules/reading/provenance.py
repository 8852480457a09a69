"""Where features come from, as ``features.json`` beside them tells: it is shown and kept, and nothing of it is run."""

from pathlib import Path
from typing import Any

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
