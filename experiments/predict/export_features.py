"""Arrays of a prepared store, and embeddings of frozen encoders, as features that anyone can train on.

``index.csv``, a folder per array with ``<id>.npy``, and ``features.json``: what ``PrecomputedTensorDataModule`` reads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from option_parser import Parser

if TYPE_CHECKING:
    from experiments.predict.feature_folder import Exported


def run(arguments: Sequence[str]) -> int:
    """Export features; return the exit code.

    Args:
        arguments: Command line after ``export-features``.

    Raises:
        DataError: There is no such array, or it is none of features.
    """
    parser = Parser(prog="cli.py export-features", description="arrays or embeddings of a prepared corpus as features "
                    "of PrecomputedTensorDataModule")  # fmt: skip
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of a corpus, data/ravdess")
    parser.add_argument("--store", metavar="NAME", help="which of its stores (default: prepared, or the only one)")
    parser.add_argument("--splits", metavar="CSV", help="folds or splits, where the store knows none")
    parser.add_argument("--arrays", nargs="+", default=[], metavar="NAME", help="arrays of the store")
    parser.add_argument("--embeddings", nargs="+", default=[], type=Path, metavar="DIR", help="folders in "
                        "<corpus>/embeddings, which a run with a frozen encoder has filled")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    args = parser.parse_args(list(arguments))
    from experiments.predict.feature_folder import export_features

    found: Exported = export_features(
        args.root, args.out, args.arrays, args.embeddings, store=args.store, splits=args.splits
    )
    print("\n".join(found.told))
    classes = f" --data.class_names '[{', '.join(found.classes)}]'" if found.classes else ""
    named = f"'[{', '.join(found.time_last)}]'"
    last = f" --data.time_last {named} --model.time_last {named}" if found.time_last else ""
    print(f"train on them: python cli.py fit --config experiments/features.yaml --data.root {args.out}{classes}{last}")
    return 0
