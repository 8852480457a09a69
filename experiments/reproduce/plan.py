"""The plan of a table: its cells, the request of each, and the command that runs it."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from datamodules.errors import DataError
from experiments.reproduce.tables.own_clips import obstacle, store_name
from experiments.reproduce.tables.table import CellKey, Cells, Row, Table
from experiments.results.cell import run_directory
from experiments.results.needs import request_hash
from experiments.results.request import (
    data_fingerprint,
    data_manifest,
    data_roots,
    make_request,
    read_config,
    split_hash,
)
from experiments.settings import class_paths
from experiments.settings.config import PROJECT, Config

Name = TypeVar("Name", int, str)


@dataclass(frozen=True)
class Job:
    """One cell to run.

    Attributes:
        name: Where it stands, for messages.
        row: Table and row, for estimates of the time left.
        directory: Folder of the cell.
        command: What follows ``cli.py``.
        request: What the cell is asked to be.
        needs: Folders of the cells whose checkpoints it starts from.
    """

    name: str
    row: str
    directory: Path
    command: list[str]
    request: Config
    needs: tuple[Path, ...]


@dataclass(frozen=True)
class Selection:
    """The selected cells of a table; None stands for all.

    Attributes:
        rows: Names of rows; the rows they need come along.
        folds: Test folds.
        seeds: Seeds.
        protocols: Protocols.
    """

    rows: Sequence[str] | None = None
    folds: Sequence[int] | None = None
    seeds: Sequence[int] | None = None
    protocols: Sequence[str] | None = None


class Planner:
    """Plan the cells of one table.

    Args:
        table: The table.
        runs: Folder of all runs.
        project: Folder that holds ``experiments/`` and ``datamodules/``.
        allowed: The user's own packages, whose classes an experiment may name.

    Raises:
        DataError: If an experiment of the table is missing or not readable.
    """

    def __init__(self, table: Table, runs: Path, project: Path = PROJECT, allowed: Sequence[str] = ()) -> None:
        self.table = table
        self.allowed = allowed
        self.runs = runs
        self.project = project
        self._config = {row.name: read_config(self._files(row), row.overrides) for row in table.rows}
        self._split = {
            row.name: split_hash(self._config[row.name], row.corpus or table.corpus, project) for row in table.rows
        }

    def roots(self, selection: Selection) -> list[Path]:
        """Return the corpus folders that the selected rows read."""
        rows = self._rows(selection)
        return list(dict.fromkeys(root for row in rows for root in data_roots(self._config[row.name], self.table.data)))

    def obstacles(self, selection: Selection | None = None) -> dict[str, str]:
        """Return why rows cannot run, by name, of a table over anybody's clips: their stores lack what is read."""
        found: dict[str, str] = {}
        there = self.table.own and data_manifest(self.table.data) is not None
        for row in self._rows(selection or Selection()) if there else ():
            reason = obstacle(self.table, row, self._config[row.name])
            if lacking := [name for name in row.needs.values() if name in found]:
                reason = reason or f"it needs {lacking[0]}, which cannot run"
            if reason:
                found[row.name] = reason
        return found

    def jobs(self, selection: Selection) -> list[Job]:
        """Return every selected cell and every cell that one of them needs.

        Args:
            selection: Which cells are wanted.

        Returns:
            The cells, each after those it needs; one seed and protocol after the other, so that the table fills
            evenly.

        Raises:
            DataError: If the selection names what the table does not have, or a store is of the other kind.
        """
        rows = self._rows(selection)
        folds = _chosen("--folds", selection.folds, self.table.folds)
        protocols = _chosen("--protocol", selection.protocols, self.table.protocols)
        every = dict.fromkeys(seed for protocol in protocols for seed in self.table.seeds[protocol])
        seeds = _chosen("--seeds", selection.seeds, tuple(every))
        barred = self.obstacles(selection)
        rows = [row for row in rows if row.name not in barred]
        prints = {row.name: self._fingerprint(row) for row in rows}
        return [
            self._job(row, protocol, fold, seed, prints)
            for seed in seeds
            for protocol in protocols
            if seed in self.table.seeds[protocol]
            for fold in folds
            for row in rows
            if row.runs_under(protocol)
        ]

    def request(self, row: Row, protocol: str, fold: int, seed: int, data: Mapping[str, str | None]) -> Config:
        """Return the request of a cell.

        Args:
            row: The row.
            protocol: ``paper`` or ``honest``.
            fold: Test fold.
            seed: Seed.
            data: Fingerprint of the prepared data by row.

        Returns:
            The request.
        """
        needs = {
            module: request_hash(self.request(self.table.row(name), protocol, fold, seed, data))
            for module, name in row.needs.items()
        }
        return make_request(
            self._config[row.name],
            fold=fold,
            seed=seed,
            protocol=protocol,
            data=data[row.name],
            split=self._split[row.name],
            needs=needs,
        )

    def outdated(self, cells: Cells) -> list[CellKey]:
        """Return the cells whose settings are no longer those of the YAML files; the data are taken as they were."""
        found = []
        for key, cell in cells.items():
            name, protocol, fold, seed = key
            data: dict[str, str | None] = {}
            for row in self._config:  # a row that this one needs may be of another corpus
                of = cells.get((row, protocol, fold, seed), cell)
                data[row] = of.result["data_fingerprint"]
            request = self.request(self.table.row(name), protocol, fold, seed, data)
            if request_hash(request) != cell.result["request_hash"]:
                found.append(key)
        return found

    def _job(self, row: Row, protocol: str, fold: int, seed: int, data: Mapping[str, str | None]) -> Job:
        def folder(name: str) -> Path:
            return run_directory(
                self.table.name, protocol, fold, seed, row=name, synthetic=self.table.synthetic, runs=self.runs
            )

        directory = folder(row.name)
        needs = {module: folder(name) for module, name in row.needs.items()}
        options = {
            "data.fold": fold,
            "data.protocol": protocol,
            "seed_everything": seed,
            "trainer.default_root_dir": str(directory),
            **row.overrides,
        }
        if needs:
            options["model.init_args.init_from"] = {
                module: str(path / "checkpoints" / "best.ckpt") for module, path in needs.items()
            }
        command = ["fit", *(word for name in self.allowed for word in (class_paths.OPTION, name))]
        for path in self._files(row)[1:]:
            command += ["--config", os.path.relpath(path)]
        for name, value in options.items():
            command += option(name, value if isinstance(value, str) else json.dumps(value))
        return Job(
            name=f"{self.table.name}/{row.name}/{directory.name}",
            row=f"{self.table.name}/{row.name}",
            directory=directory,
            command=command,
            request=self.request(row, protocol, fold, seed, data),
            needs=tuple(needs.values()),
        )

    def _files(self, row: Row) -> list[Path]:
        folder = self.project / "experiments"
        files = [folder / "_trainer.yaml", folder / f"{row.experiment}.yaml"]
        return [*files, folder / "synthetic" / f"{row.experiment}.yaml"] if self.table.synthetic else files

    def _rows(self, selection: Selection) -> list[Row]:
        wanted: dict[str, Row] = {}

        def add(row: Row) -> None:
            for name in row.needs.values():
                add(self.table.row(name))
            wanted.setdefault(row.name, row)

        names = selection.rows if selection.rows is not None else [row.name for row in self.table.rows]
        for name in names:
            add(self.table.row(name))
        return list(wanted.values())

    def _fingerprint(self, row: Row) -> str | None:
        roots, store = data_roots(self._config[row.name], self.table.data), store_name(self._config[row.name])
        for root in roots:
            manifest = data_manifest(root, store)
            if manifest is not None and manifest["synthetic"] != self.table.synthetic:
                kind, other = ("a stand-in", "the stand-in") if manifest["synthetic"] else ("real data", "real data")
                raise DataError(
                    f"{root} holds {kind}: {other} cannot fill table {self.table.name}; prepare it elsewhere"
                )
        return data_fingerprint(roots, store)


def _chosen(option: str, wanted: Collection[Name] | None, known: Sequence[Name]) -> list[Name]:
    if wanted is None:
        return list(known)
    if unknown := [str(value) for value in wanted if value not in known]:
        raise DataError(f"{option} {' '.join(unknown)}: the table has {', '.join(map(str, known))}")
    return [value for value in known if value in wanted]


def option(name: str, value: str) -> list[str]:
    """Return the words of an option; a value that begins like an option would be read as one."""
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
