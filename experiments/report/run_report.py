"""``cli.py report --run``: single runs as Markdown and one self-contained HTML page."""

import os
from collections.abc import Sequence
from pathlib import Path

from atomic_files import write_atomic
from datamodules.errors import DataError
from experiments.report.against_tables import against
from experiments.report.renderings import run_html, run_markdown
from experiments.report.run_tables import SELECTIONS, classes_of, report_of, selections_of
from experiments.report.text_table import Picture
from experiments.results.cell import pictures_in
from experiments.results.run import Run, read_runs


def report_runs(folders: Sequence[Path], out: Path | None, others: Sequence[Path] = ()) -> list[str]:
    """Write ``report.md`` and ``report.html`` on the folds and seeds of one experiment.

    Args:
        folders: Folders of runs, or that hold such folders.
        out: Where the files go; the run's folder where not given, of several runs the one that holds them.
        others: Published class probabilities to compare with.

    Returns:
        Lines to print: the report, and the path of the page to open.

    Raises:
        DataError: If there is no finished run, or what is there is no whole one.
    """
    runs = read_runs(folders)
    place = out or runs[0].folder
    if not out and len(runs) > 1:
        place = Path(os.path.relpath(os.path.commonpath([run.folder.resolve() for run in runs])))
    report = report_of(runs)
    if others:
        first = runs[0].result
        rows = {SELECTIONS[name]: (first["class_names"], classes_of(runs, name)) for name in selections_of(runs)}
        report.tables[2:2] = against(others, rows, first["group_name"])
    text = run_markdown(report)
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "report.md", text)
        write_atomic(place / "report.html", run_html(report, pictures(runs)))
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror}; name another folder with --out") from error
    return [text.rstrip("\n"), "", f"report: {place / 'report.html'}"]


def pictures(runs: Sequence[Run]) -> list[Picture]:
    """Return the pictures that runs left, with captions."""
    found: list[Picture] = []
    for run in runs:
        of = f"fold {run.key[0]}, seed {run.key[1]}: " if len(runs) > 1 else ""
        found += [(f"{of}{path.stem}", path.read_bytes()) for path in pictures_in(run.folder)]
    return found
