"""The finished cells of a table."""

from collections.abc import Iterable
from pathlib import Path

from experiments.reproduce.tables.table import CellKey, Table
from experiments.results.cell import Cell, read_cell, run_directory


def planned_cells(table: Table) -> Iterable[CellKey]:
    """Return every cell a table asks for."""
    for row in table.rows:
        for protocol, seeds in table.seeds.items():
            for fold in table.folds:
                for seed in seeds:
                    yield row.name, protocol, fold, seed


def failures(table: Table, runs: Path) -> dict[str, str]:
    """Return why rows have no finished cell although one was begun, by name: the last error of a log."""
    found: dict[str, str] = {}
    finished = set()
    for row, protocol, fold, seed in planned_cells(table):
        folder = run_directory(table.name, protocol, fold, seed, row=row, synthetic=table.synthetic, runs=runs)
        log = folder / "log.txt"
        if (folder / "result.json").exists():
            finished.add(row)
        elif log.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            if told := [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]:
                found[row] = told[-1]
    return {row: reason for row, reason in found.items() if row not in finished}


def read_cells(table: Table, runs: Path) -> dict[CellKey, Cell]:
    """Read the finished cells of a table.

    Args:
        table: The table.
        runs: Folder of all runs.

    Returns:
        Cells by row, protocol, fold and seed.

    Raises:
        DataError: If a file of a finished cell is missing or damaged.
    """
    cells = {}
    for key in planned_cells(table):
        row, protocol, fold, seed = key
        folder = run_directory(table.name, protocol, fold, seed, row=row, synthetic=table.synthetic, runs=runs)
        if (folder / "result.json").exists():
            cells[key] = read_cell(folder)
    return cells
