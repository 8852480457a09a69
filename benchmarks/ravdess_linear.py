"""Logistic regression beside the networks of the features table: the same clips, the same honest folds.

    python benchmarks/ravdess_linear.py [--root data/ravdess_features] [--write]

It sees what the networks see, the 35 action units and the 13 MFCCs of ``prepare ravdess_features``, the latter as ten
functionals over time of each coefficient: `FUNCTIONALS`, chosen before any figure was looked at. In every fold features
are standardised on the training speakers, the penalty is the one of `PENALTIES` that is best on the validation speakers
(of equal ones the stronger), and the test speakers are scored once: training on fewer clips than the paper's protocol,
as the column "Honest" does. ``--write`` keeps the per-clip predictions in `RESULT` and renews the paragraph of the
README that is made from them.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.stats import kurtosis, skew
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from atomic_files import write_atomic
from datamodules.reading.feature_index import CLASSES
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from experiments.report.command import RESULTS, summary_of
from experiments.report.readme import update_readme
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.table_file import read_table
from experiments.results.quantities import percent
from experiments.scores.metrics import statistics
from experiments.scores.table_scores import Summary
from experiments.settings.config import PROJECT

FUNCTIONALS = (
    "mean", "standard deviation", "least", "greatest", "quarter", "median", "three quarters", "range", "skewness",
    "kurtosis",
)  # fmt: skip
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's C: the smaller, the stronger
RESULT = PROJECT / "docs" / "linear" / "ravdess_features.json"
BLOCK = "ravdess_linear"  # name of the README's markers
TABLE = "ravdess_features"


def functionals(values: np.ndarray) -> np.ndarray:
    """Return the `FUNCTIONALS` over time of every coefficient: ``(N, C, T)`` -> ``(N, 10 C)``."""
    low, quarter, middle, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1], axis=2)
    found = [
        values.mean(2), values.std(2), low, high, quarter, middle, third, high - low, skew(values, 2),
        kurtosis(values, 2),
    ]  # fmt: skip
    return np.stack(found, 2).reshape(len(values), -1)


def measure(root: Path) -> dict[str, Any]:
    """Train and score in every fold.

    Args:
        root: Folder of ``prepare ravdess_features``.

    Returns:
        What `RESULT` holds: per clip id, speaker, fold, target and predicted class; per fold the penalty and how many
        clips.
    """
    kept: dict[str, Any] = {"ids": [], "groups": [], "folds": [], "targets": [], "predicted": []}
    folds = []
    for fold in range(6):
        data = PrecomputedTensorDataModule(
            str(root),
            {"video": "prepared/features.npz:au", "audio": "prepared/features.npz:mfcc"},
            "prepared/index.csv",
            fold=fold,
            protocol="honest",
        )
        tables = {name: np.asarray(values, np.float64) for name, values in data.tables.items()}
        seen = np.concatenate([tables["video"], functionals(tables["audio"])], axis=1)
        targets, rows = data.clip_index.targets[CLASSES], data.rows
        fitted = []
        for penalty in PENALTIES:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000))
            fitted.append(model.fit(seen[rows["train"]], targets[rows["train"]]))
        best = int(np.argmax([model.score(seen[rows["val"]], targets[rows["val"]]) for model in fitted]))
        kept["ids"] += [data.ids[row] for row in rows["test"]]
        kept["groups"] += [data.groups[row] for row in rows["test"]]
        kept["folds"] += [fold] * len(rows["test"])
        kept["targets"] += targets[rows["test"]].tolist()
        kept["predicted"] += fitted[best].predict(seen[rows["test"]]).tolist()
        folds.append({"penalty": PENALTIES[best], **{f"n_{name}": len(of) for name, of in sorted(rows.items())}})
    return {"data_fingerprint": data.fingerprint, "folds": folds, "clips": kept}


def paragraph(result: dict[str, Any], summary: Summary) -> str:
    """Return the README's words on a result, with the rows of the table that it stands beside.

    Args:
        result: Content of `RESULT`.
        summary: The features table.
    """
    clips = {name: np.array(values) for name, values in result["clips"].items()}
    right = clips["targets"] == clips["predicted"]
    by_fold = [right[clips["folds"] == fold].mean() for fold in range(len(result["folds"]))]
    classes = int(clips["targets"].max()) + 1
    matrices = np.stack(
        [
            statistics.confusion_matrix(clips["targets"][own], clips["predicted"][own], classes)
            for own in (clips["groups"] == name for name in dict.fromkeys(clips["groups"].tolist()))
        ]
    )
    low, high = statistics.bootstrap_interval(matrices[None])
    (sizes,) = {(of["n_train"], of["n_test"]) for of in result["folds"]}
    honest = {row.row.name: (row.row.label, row.scores["honest"].mean) for row in summary.rows}
    best, figure = max(honest.values(), key=lambda of: of[1])
    ours, theirs = float(np.mean(by_fold)), honest["cfnsr"][1]
    spread = float(np.std(by_fold, ddof=1))
    return (
        f"**Logistic regression** over the same action units and ten functionals of the same MFCCs reaches "
        f"{percent(ours)} \N{PLUS-MINUS SIGN} {percent(spread)} under the honest protocol (95 % interval "
        f"{percent(low)} to {percent(high)}, UAR {percent(float(statistics.uar(matrices.sum(0))))}, n train / test "
        f"{sizes[0]} / {sizes[1]}). The best row below has {percent(figure)} ({best}), CFN-SR {percent(theirs)}. "
        f"The functionals, over time: {', '.join(FUNCTIONALS)}; the penalty is chosen on the validation speakers, from "
        f"{len(PENALTIES)}. `python benchmarks/ravdess_linear.py` measures it; its per-clip predictions are in "
        f"`{RESULT.relative_to(PROJECT)}`."
    )


def table_summary() -> Summary:
    """Return the features table, from the committed results."""
    return summary_of(Planner(read_table(TABLE, project=PROJECT), Path("runs"), PROJECT), PROJECT / RESULTS)


def main() -> None:
    """Measure and print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data", TABLE), help="folder of prepare ravdess_features")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(PROJECT)} and the README")
    args = parser.parse_args()
    result = measure(args.root)
    text = paragraph(result, table_summary())
    for fold, of in enumerate(result["folds"]):
        print(f"fold {fold}: {of}")
    print(text)
    if args.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(RESULT, json.dumps(result, separators=(",", ":")) + "\n")
        update_readme(PROJECT / "README.md", BLOCK, text)


if __name__ == "__main__":
    main()
