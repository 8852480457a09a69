"""The part ``across`` of a table's file: corpora, and which class of two of them is which."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from experiments.reproduce.tables.table import Across, Row
from experiments.results.label_map import LabelMap


def read_across(
    corpora: Sequence[str], pairs: Sequence[tuple[list[str], Mapping[Any, Any]]], rows: Sequence[Row], path: Path, *,
    synthetic: bool,
) -> tuple[Across, list[Row]]:  # fmt: skip
    """Return the part ``across`` of a table, and its rows once per corpus, ``<row>-<corpus>``.

    Args:
        corpora: Their names.
        pairs: Two of them, and which class is which, of every map.
        rows: Rows of the table.
        path: The table.
        synthetic: Whether the stand-ins are read.

    Raises:
        DataError: Two corpora have no map, or something is none.
    """
    where = f"{path}: across"
    if len(set(corpora)) < max(2, len(corpora)):
        raise DataError(f"{where}: corpora: expected two or more, each once, found {corpora!r}")
    maps = {}
    for number, (between, classes) in enumerate(pairs, start=1):
        if len(set(between)) != 2 or not set(between) <= set(corpora):
            raise DataError(f"{where}: map {number}: between: expected two of {', '.join(corpora)}")
        texts = {str(own): None if other is None else str(other) for own, other in classes.items()}
        if not any(texts.values()):
            raise DataError(f"{where}: map {number}: classes: no class has a counterpart")
        told = f"{where}: map between {' and '.join(between)}"
        maps[frozenset(between)] = LabelMap((between[0], between[1]), texts, told)
    for place, first in enumerate(corpora):
        for second in corpora[place + 1 :]:
            if frozenset((first, second)) not in maps:
                raise DataError(
                    f"{where}: no map of classes between {first} and {second}; add one under maps: every class of "
                    f"{first} and its counterpart in {second}, null where it has none"
                )
    models = {row.name: row.label for row in rows}
    if needy := [row.name for row in rows if row.needs]:
        raise DataError(f"{where}: row {needy[0]} needs other rows, which stand once per corpus here; leave it out")

    def on(row: Row, corpus: str) -> Row:
        root = Path("data", *(["synthetic"] if synthetic else []), corpus)
        overrides = {**row.overrides, "data.init_args.root": str(root)}
        label = f"{row.label}, trained on {corpus}"
        return replace(row, name=f"{row.name}-{corpus}", label=label, overrides=overrides, corpus=corpus)

    # Rows of one corpus together: they are compared with the row above.
    return Across(tuple(corpora), models, maps), [on(row, corpus) for corpus in corpora for row in rows]
