"""``cli.py reproduce``: run the missing cells of tables, then report on the tables.

A cell is one row, fold, seed and protocol. A finished cell costs nothing and is never redone; a half-done one is
continued or redone, never counted; one whose settings, split or data changed is refused with what changed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from datamodules.cores import usable_cores
from datamodules.errors import DataError
from experiments.errors import Interrupted
from experiments.reproduce.across import check_classes, evaluate_across, pending_across
from experiments.reproduce.estimate import Estimate
from experiments.reproduce.evaluations import evaluate_all
from experiments.reproduce.missing import evaluate_missing, pending
from experiments.reproduce.plan import Job, Planner, Selection, option
from experiments.reproduce.runner import Outcome, call, interruptible, run_jobs, typed
from experiments.reproduce.tables.table import PROTOCOLS, Table
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import State, read_result, state
from experiments.results.needs import recorded_request
from experiments.results.request import data_manifest, difference
from experiments.settings import class_paths
from experiments.settings.config import PROJECT

Report = Callable[[Sequence[Planner]], Iterable[str]]  # writes a report on tables and returns lines to print


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``reproduce``."""
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="file stem or path of a table")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows and those they need")
    parser.add_argument("--folds", nargs="+", type=int, metavar="K", help="only these test folds, counted from 0")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="S", help="only these seeds")
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, help="only these protocols")
    parser.add_argument("--data", choices=("real", "synthetic"), default="real", help="synthetic: the stand-in corpus")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="cells that run at a time")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")
    parser.add_argument(
        class_paths.OPTION, action="append", default=[], metavar="PACKAGE", help=f"{class_paths.HELP}; for every cell"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs")


def run(args: argparse.Namespace, project: Path = PROJECT, report: Report | None = None) -> int:
    """Run the missing cells of tables and report on the tables.

    Args:
        args: Options of `add_arguments`.
        project: Folder that holds ``cli.py`` and ``experiments/``.
        report: What reports on them; none where it is left out.

    Returns:
        0 if every cell is done; 1 if data are missing or a cell failed or was refused; 128 plus the signal's number
        if interrupted.

    Raises:
        DataError: If a table, an experiment or an option is wrong.
    """
    if args.workers < 1:
        raise DataError(f"--workers {args.workers}: at least 1")
    synthetic = args.data == "synthetic"
    tables = [read_table(name, synthetic=synthetic, project=project) for name in args.tables]
    alone = [table for table in tables if table.real_features or table.own]
    for table in alone if synthetic and len(tables) > max(1, len(alone)) else ():
        kind = "own clips" if table.own else "real features"
        print(f"{table.name}: left out, a table of {kind}; its stand-in runs where it is asked for alone")
        tables.remove(table)
    selection = Selection(args.rows, args.folds, args.seeds, args.protocol)
    allowed = [class_paths.package(name) for name in args.allow_import]
    planners = [Planner(table, args.runs, project, allowed) for table in tables]
    for planner in planners:
        planner.jobs(selection)  # a wrong option is found before anything is made
    program = Path(os.path.relpath(project / "cli.py"))
    try:
        with interruptible():
            return _reproduce(planners, selection, program, report, workers=args.workers, dry=args.dry_run)
    except Interrupted as interrupted:
        print("\ninterrupted; the same command carries on", file=sys.stderr)
        return 128 + interrupted.signal


def _reproduce(
    planners: Sequence[Planner], selection: Selection, program: Path, report: Report | None, *, workers: int, dry: bool
) -> int:
    ready, problems = [], []
    for planner in planners:
        stores = ["prepared", *(f"prepared-{recipe}" for recipe in planner.table.recipes)]
        lacking = [
            root for root in planner.roots(selection) if any(data_manifest(root, store) is None for store in stores)
        ]
        if lacking and planner.table.synthetic:
            problem = _make_stand_in(planner.table, lacking, program, dry=dry)
        else:
            problem = f"not run: no data at {lacking[0]}, see {_page(planner.table)}" if lacking else ""
        if problem:
            problems.append(f"{planner.table.name}: {problem}")
        if dry or not problem:
            ready.append(planner)
            problems += [
                f"{planner.table.name}/{row}: not run: {reason}"
                for row, reason in ({} if problem else planner.obstacles(selection)).items()
            ]
    for planner in ready:
        check_classes(planner.table)
    jobs = [job for planner in ready for job in planner.jobs(selection)]
    states = {job.directory: state(job.directory, job.request) for job in jobs}
    if dry:
        print("\n".join(problems), end="\n" if problems else "")
        _print_plan(jobs, states, program, workers)
        _print_evaluations(ready, selection, states)
        return 0
    outcome = Outcome(done={path for path, found in states.items() if found == "done"})
    outcome.failed = _refusals(jobs, states)
    left = [job for job in jobs if states[job.directory] in ("missing", "partial")]
    if workers > 1:  # known to the processes that cells run in, whose libraries read it once
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))
    estimate = _estimate(jobs, states)
    if program.resolve().parent == PROJECT and (unknown := estimate.unknown(left)):
        print(f"timing a few batches of {len(unknown)} rows, to tell how long all take", file=sys.stderr, flush=True)
        estimate.time_rows(unknown, workers)
    print(
        f"{len(jobs)} cells: {len(outcome.done)} done, {len(left)} to run{estimate.told(left, workers)}",
        file=sys.stderr,
    )
    if left:
        run_jobs(left, program=program, workers=workers, outcome=outcome, estimate=estimate)
    crossed = [found for one in ready for found in pending_across(one.table, one.jobs(selection), outcome.done)]
    if crossed:
        outcome.failed |= evaluate_all(crossed, workers, evaluate_across, "on other corpora")
    lost = [found for planner in ready for found in pending(planner.table, planner.jobs(selection), outcome.done)]
    if lost:
        outcome.failed |= evaluate_all(lost, workers, evaluate_missing, "under missing modalities")
    for line in report(planners) if report else ():
        print(line)
    for name, reason in outcome.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if outcome.failed or problems else 0


def _estimate(jobs: Sequence[Job], states: Mapping[Path, State]) -> Estimate:
    """Return how long cells take by those that are done."""
    found = Estimate()
    for job in jobs:
        if states[job.directory] == "done":
            found.measured.setdefault(job.row, []).append(read_result(job.directory)["seconds"])
    return found


def _print_evaluations(planners: Sequence[Planner], selection: Selection, states: dict[Path, State]) -> None:
    """Print how many evaluations are to come, those of cells that are yet to run included."""
    will_be = [path for path, found in states.items() if found != "changed"]
    left = [found for planner in planners for found in pending(planner.table, planner.jobs(selection), will_be)]
    if left:
        print(f"{sum(len(found.losses) for found in left)} evaluations under missing modalities of {len(left)} cells")
    if crossed := [
        of for planner in planners for of in pending_across(planner.table, planner.jobs(selection), will_be)
    ]:
        print(f"{len(crossed)} evaluations on other corpora")


def _make_stand_in(table: Table, roots: Sequence[Path], program: Path, *, dry: bool) -> str:
    """Make and prepare the stand-in corpora; return what went wrong, if anything."""
    for root in roots:
        if root.parent != table.data.parent:
            return f"not run: no data at {root}; stand-ins are made in {table.data.parent} alone"
        prepare = ["prepare", root.name, "--source", str(root), "--out", str(root)]
        commands = [
            ["synth", root.name, "--out", str(root), *_options(table, "synth", root.name)],
            [*prepare, *_options(table, "prepare", root.name)],
            *([*prepare, "--recipe", recipe] for recipe in table.recipes),
        ]
        for command in commands:
            print(f"no stand-in at {root}: {typed(program, command)}", flush=True)
            if not dry and (code := call([sys.executable, str(program), *command])):
                return f"not run: cli.py {command[0]} {root.name} ended with exit code {code}"
    return ""


def _page(table: Table) -> str:
    return "docs/own-data.md" if table.own else "docs/data.md"


def _options(table: Table, command: str, corpus: str) -> list[str]:
    """Return the options of a corpus: under its name where a table makes several."""
    options = table.make[command]
    if any(isinstance(value, dict) for value in options.values()):
        options = options.get(corpus, {})
    return [word for name, value in options.items() for word in option(name, str(value))]


def _refusals(jobs: Sequence[Job], states: dict[Path, State]) -> dict[str, str]:
    """Return why cells made under another request are not used; each change is listed once, with all its cells."""
    reasons: dict[str, str] = {}
    told: dict[str, str] = {}
    for job in jobs:
        if states[job.directory] != "changed":
            continue
        change = difference(recorded_request(job.directory), job.request)
        reasons[job.name] = f"refused as {told[change]} is" if change in told else _refusal(job, change)
        told.setdefault(change, job.name)
    return reasons


def _refusal(job: Job, change: str) -> str:
    lines = [f"    {line}" for line in (change or "no request was recorded").split("\n")]
    head = f"refused: it was run with other settings; undo the change, or delete {job.directory} to run it again"
    return "\n".join([head, *lines])


def _print_plan(jobs: Sequence[Job], states: dict[Path, State], program: Path, workers: int) -> None:
    words = {"done": "done", "missing": "run", "partial": "continue", "changed": "refuse"}
    for job in jobs:
        found = states[job.directory]
        print(f"{words[found]:8}  {job.name}")
        if found in ("missing", "partial"):
            print(f"          {typed(program, job.command)}")
        elif found == "changed":
            print("\n".join(f"          {line}" for line in _refusals([job], states)[job.name].split("\n")))
    counts = {word: sum(words[found] == word for found in states.values()) for word in words.values()}
    left = [job for job in jobs if states[job.directory] in ("missing", "partial")]
    told = _estimate(jobs, states).told(left, workers)
    print(f"{len(jobs)} cells: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count) + told)
