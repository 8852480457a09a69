"""``cli.py report``: tables and single runs as Markdown, LaTeX and self-contained HTML, from result files alone."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from atomic_files import write_atomic
from datamodules.errors import DataError
from experiments.report.heat_maps import heat_maps
from experiments.report.markup import one_line
from experiments.report.plots import figures, run_pictures
from experiments.report.readme import has_block, update_readme
from experiments.report.renderings import (
    html,
    index_html,
    markdown,
    readme_block,
    run_html,
    run_markdown,
    whole_latex,
    whole_markdown,
)
from experiments.report.tables import run_tables
from experiments.report.tables.against_tables import OPTION, against
from experiments.report.tables.report_tables import report_of
from experiments.report.tables.text_table import Picture, Report
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.committed import read_committed, write_committed
from experiments.reproduce.tables.finished_cells import failures, read_cells
from experiments.reproduce.tables.table import table_names
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import pictures_in
from experiments.results.run import Run, read_runs
from experiments.scores.table_scores import Summary, summarise
from experiments.settings.config import PROJECT

RESULTS = Path("docs", "results")
RUNS = Path("runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``report``."""
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="file stem or path of a table; default: all")
    parser.add_argument(
        "--run",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="report on single runs, no tables: folders of folds and seeds of one experiment, or a folder of these",
    )
    parser.add_argument(
        OPTION,
        type=Path,
        nargs="+",
        metavar="FILE",
        help="compare with published class probabilities: CSV of clip ids and a column per class",
    )
    parser.add_argument("--data", choices=("real", "synthetic"), default="real", help="synthetic: the stand-in's runs")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="folder of all runs")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help=f"read result files in DIR instead of runs; default for a table without runs: {RESULTS}",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report; default "
                        "RUNS/[synthetic/]report, with --run the run's")  # fmt: skip
    parser.add_argument("--commit", action="store_true", help=f"write compact result files into {RESULTS}")
    parser.add_argument("--readme", type=Path, nargs="?", const=Path("README.md"), metavar="FILE",
                        help="renew the tables between the markers of a Markdown file")  # fmt: skip


def run(args: argparse.Namespace, project: Path = PROJECT) -> int:
    """Report on tables, or on single runs.

    Args:
        args: Options of `add_arguments`.
        project: Folder that holds ``experiments/``.

    Returns:
        The exit code.

    Raises:
        DataError: If a table or a result file cannot be read, a file, folder or marker is missing, or the report cannot
            be written.
    """
    if args.run:
        others = {"TABLE": args.tables, "--results": args.results, "--commit": args.commit, "--readme": args.readme}
        if given := [name for name, value in others.items() if value]:
            raise DataError(f"--run reports on single runs, {given[0]} is about tables; leave one of them out")
        for line in report_runs(args.run, args.out, args.against or []):
            print(line)
        return 0
    synthetic = args.data == "synthetic"
    if synthetic and args.results:
        raise DataError("--results holds results on real data; leave --data synthetic out")
    for option, folder in (("--runs", args.runs if args.runs != RUNS else None), ("--results", args.results)):
        if folder and not folder.is_dir():
            raise DataError(f"{option} {folder}: no such folder")
    if args.readme and not args.readme.is_file():
        raise DataError(f"--readme {args.readme}: no such file")
    names = args.tables or table_names(project)
    if not names:
        raise DataError("no tables in experiments/tables")
    if args.against and (len(names) != 1 or args.readme):
        raise DataError(f"{OPTION} {args.against[0]}: name one table, or --run DIR, and no --readme")
    tables = [read_table(name, synthetic=synthetic, project=project) for name in names]
    planners = [Planner(table, args.runs, project) for table in tables]
    if args.commit:
        for planner in planners:
            here = read_cells(planner.table, args.runs)
            ran = {key[0] for key in here}  # of these, cells that were run elsewhere stay
            known = {key: cell for key, cell in read_committed(planner.table, RESULTS).items() if key[0] in ran}
            for path in write_committed(planner.table, known | here, RESULTS):
                print(f"wrote {path}")
    reports = [report_of(summary_of(planner, args.results or _where_no_runs_are(planner))) for planner in planners]
    if args.against:
        summary = reports[0].summary
        for apart in sorted({row.transductive for row in summary.rows}):  # none counts for the other's correction
            own = [row for row in summary.rows if row.transductive == apart]
            rows = {row.row.label: (row.class_names, row.runs(summary.headline)) for row in own}
            reports[0].against.extend(against(args.against, rows, summary.group_name))
    for report in reports if args.readme else ():
        if args.tables or has_block(args.readme, report.summary.table.name):
            update_readme(args.readme, report.summary.table.name, readme_block(report))
    out = args.out or report_folder(planners[0])
    try:
        lines = write_report(reports, out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}; name another folder with --out") from error
    for line in lines:
        print(line)
    return 0


def _where_no_runs_are(planner: Planner) -> Path | None:
    """Return the committed results, where a table has some and this machine has no run of it."""
    table = planner.table
    if table.synthetic or not (RESULTS / table.name).is_dir():
        return None
    if here := len(read_cells(table, planner.runs)):
        more = len(read_committed(table, RESULTS)) - here
        if more > 0:
            print(f"{table.name}: on the {here} cells run here; with --results {RESULTS} on {more} more")
        return None
    print(f"{table.name}: not run here; the report is on the committed results in {RESULTS / table.name}")
    return RESULTS


def summary_of(planner: Planner, results: Path | None = None) -> Summary:
    """Return the numbers of a table as its files have them now.

    Args:
        planner: Planner of the table.
        results: Folder of committed results to read instead of the runs.

    Returns:
        The summary; a note says which cells were run with other settings than the YAML files now have.
    """
    table = planner.table
    cells = read_committed(table, results) if results else read_cells(table, planner.runs)
    summary = summarise(table, cells)
    for row in dict.fromkeys(key[0] for key in planner.outdated(cells)):
        summary.notes.append(f"{table.row(row).label}: cells were run with other settings than {row} has now.")
    for row, reason in (planner.obstacles() | failures(table, planner.runs)).items() if table.own else ():
        summary.notes.append(f"{table.row(row).label}: not run: {reason}.")
    return summary


def report_folder(planner: Planner) -> Path:
    """Return the folder of the report on a table's runs."""
    return planner.runs.joinpath(*(["synthetic"] if planner.table.synthetic else []), "report")


def report_on(planners: Sequence[Planner]) -> list[str]:
    """Write the report on tables as their runs are now and return lines to print."""
    return write_report([report_of(summary_of(planner)) for planner in planners], report_folder(planners[0]))


def write_report(reports: Sequence[Report], folder: Path) -> list[str]:
    """Write the report files of some tables.

    Args:
        reports: On the tables.
        folder: Where the files go: ``<table>.md``, ``.tex`` and ``.html``, across corpora ``.png``, and ``index.html``
            for several tables.

    Returns:
        Lines to print: the main tables and the path of the page to open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines, page = [], folder / "index.html"
    for report in reports:
        name = report.summary.table.name
        write_atomic(folder / f"{name}.md", whole_markdown(report))
        write_atomic(folder / f"{name}.tex", whole_latex(report))
        maps = heat_maps(report.summary)
        for _, png in maps:
            write_atomic(folder / f"{name}.png", png)
        pictures = [*maps, *figures(report.summary), *run_pictures(report.summary)]
        write_atomic(folder / f"{name}.html", html(report, pictures))
        for table in (report.main, *report.against):
            lines += [one_line(table.title), "", markdown(table), ""]
    if len(reports) > 1:
        write_atomic(page, index_html(reports))
    else:
        page = folder / f"{reports[0].summary.table.name}.html"
    return [*lines, f"report: {page}"]


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
    report = run_tables.report_of(runs)
    if others:
        first, selections = runs[0].result, run_tables.selections_of(runs)
        rows = {
            run_tables.SELECTIONS[name]: (first["class_names"], run_tables.classes_of(runs, name))
            for name in selections
        }
        report.tables[2:2] = against(others, rows, first["group_name"])
    text = run_markdown(report)
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "report.md", text)
        write_atomic(place / "report.html", run_html(report, _pictures(runs)))
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror}; name another folder with --out") from error
    return [text.rstrip("\n"), "", f"report: {place / 'report.html'}"]


def _pictures(runs: Sequence[Run]) -> list[Picture]:
    """Return the pictures that runs left, with captions."""
    found: list[Picture] = []
    for run in runs:
        of = f"fold {run.key[0]}, seed {run.key[1]}: " if len(runs) > 1 else ""
        found += [(f"{of}{path.stem}", path.read_bytes()) for path in pictures_in(run.folder)]
    return found
