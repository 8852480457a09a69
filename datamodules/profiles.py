"""Profiles of speakers and topics as indices: vocabularies fitted on train, 0 = unknown everywhere."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from datamodules.catalogues.avamerg.manifest import ATTRIBUTES

PEOPLE = ("speaker", "listener")
PROFILE = ("age", "gender", "timbre")
FIELDS = (*(f"{who}_{name}" for who in PEOPLE for name in PROFILE), "topic")
IDS = tuple(f"{who}_id" for who in PEOPLE)
ORDER = {
    "age": ["child", "young", "middle-aged", "elderly"],
    "gender": ["male", "female"],
    "timbre": ["high", "mid", "low"],
}

Rows = Sequence[Mapping[str, str]]


def fit_vocabularies(rows: Rows, fields: Sequence[str]) -> dict[str, list[str]]:
    """Return the known values of each field.

    Args:
        rows: Rows of the index that train.
        fields: Of `FIELDS` and `IDS`.

    Returns:
        Values by field; speaker and listener share the list of an attribute, so that they may share an embedding.
    """
    shared = {
        name: _ordered({row[f"{who}_{name}"] for row in rows for who in PEOPLE}, ORDER.get(name, []))
        for name in ATTRIBUTES
    }
    shared["topic"] = _ordered({row["topic"] for row in rows}, [])
    return {field: shared[field.rpartition("_")[2]] for field in fields}


def indices(rows: Rows, vocabularies: Mapping[str, Sequence[str]]) -> Tensor:
    """Return the index of every value, int64 ``(N, F)``; what is empty, or was not in train, is 0."""
    places = {field: {value: place for place, value in enumerate(of, 1)} for field, of in vocabularies.items()}
    return torch.tensor([[of.get(row[field], 0) for field, of in places.items()] for row in rows])


def _ordered(found: set[str], known: Sequence[str]) -> list[str]:
    rest = found - {""}
    return [*(value for value in known if value in rest), *sorted(rest - set(known))]
