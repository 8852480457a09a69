"""Profiles of speakers and topics as indices: vocabularies fitted on train, 0 = unknown everywhere."""

from collections.abc import Mapping, Sequence

from datamodules.catalogues.avamerg.manifest import ATTRIBUTES
from datamodules.vocabularies import vocabulary

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

    Returns:
        Values by field; speaker and listener share the list of an attribute, so that they may share an embedding.
    """
    shared = {
        name: vocabulary((row[f"{who}_{name}"] for row in rows for who in PEOPLE), ORDER.get(name, []))
        for name in ATTRIBUTES
    }
    shared["topic"] = vocabulary(row["topic"] for row in rows)
    return {field: shared[field.rpartition("_")[2]] for field in fields}
