"""A finished run by itself, outside any table: its result, and the predictions of all its tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.errors import DataError
from experiments.results.cell import predictions_of, read_result, values_of
from experiments.results.needs import recorded_request
from experiments.results.predictions import Predictions, Values
from experiments.settings.config import Config

# Of runs that are reported as one.
_ALIKE = ("experiment", "row", "protocol", "corpus", "class_names", "synthetic", "transductive")


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        folder: Its folder.
        result: Content of ``result.json``.
        settings: What it was asked to be, without what only says where.
        classes: Predicted classes by selection; none where no test clip has a class.
        values: Predicted values by selection and task, of the tasks for which test clips have labels.
    """

    folder: Path
    result: Config
    settings: Config
    classes: dict[str, Predictions]
    values: dict[str, dict[str, Values]]

    @property
    def key(self) -> tuple[int, int]:
        """Fold and seed."""
        return self.result["fold"], self.result["seed"]


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read finished runs, at least one, that differ in fold and seed alone, in their order.

    Args:
        folders: Folders of runs, or folders that hold such folders.

    Raises:
        DataError: There is none, or two of them are no folds or seeds of one experiment, or a file is damaged.
    """
    named = {path.resolve(): path for folder in folders for path in _finished(folder)}
    runs = [read_run(folder) for folder in named.values()]
    for run in runs:
        for name in _ALIKE:
            if run.result[name] != runs[0].result[name]:
                raise DataError(
                    f"--run {run.folder}: its {name} is {run.result[name]}, that of {runs[0].folder} is "
                    f"{runs[0].result[name]};\n"
                    "one report is of folds and seeds of one experiment: report them one by one"
                )
    if twice := {run.key for run in runs if sum(run.key == other.key for other in runs) > 1}:
        fold, seed = min(twice)
        raise DataError(f"--run: two runs of fold {fold} and seed {seed}; leave one of them out")
    return sorted(runs, key=lambda run: run.key)


def _finished(folder: Path) -> list[Path]:
    if (folder / "result.json").is_file():
        return [folder]
    if found := sorted(path.parent for path in folder.glob("*/result.json")):
        return found
    if not folder.is_dir():
        raise DataError(f"--run {folder}: no such folder; fit prints that of its run")
    begun = (folder / "request.json").is_file()
    ended = (
        "the run has not ended: type its fit again, which carries on" if begun else "fit prints the folder of its run"
    )
    raise DataError(f"--run {folder}: no result.json there; {ended}")


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        DataError: If a file is missing, damaged, or contradicts the result.
    """
    result = read_result(folder)
    classes = {}
    for selection, metrics in result["selections"].items():
        path = folder / f"predictions-{selection}.csv"
        if "accuracy" in metrics:
            classes[selection] = predictions_of(path, result)
    values = values_of(folder, result)
    return Run(folder, result, recorded_request(folder).get("settings", {}), classes, values)
