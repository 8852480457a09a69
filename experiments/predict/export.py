"""A trained model as a folder that anyone can load: weights, class and arguments, how its input is made, a card.

``model.safetensors``, ``config.json``, ``preprocessing.json`` and ``README.md``; nothing in it is a pickle.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from experiments.predict import onnx
from experiments.predict.card import card
from experiments.predict.loaded.checkpoint import CONFIG, OF_TRAINING, PREPROCESSING, WEIGHTS, open_checkpoint
from experiments.predict.loaded.model import Model
from experiments.settings import class_paths
from experiments.settings.messages import quiet
from option_parser import Parser
from tensor_files import save_safetensors

SCHEMA = 1


def run(arguments: Sequence[str]) -> int:
    """Export a model; return the exit code.

    Args:
        arguments: Command line after ``export``.

    Raises:
        DataError: The folder is there.
        UsageError: The checkpoint cannot be used.
    """
    parser = Parser(
        prog="cli.py export",
        description="a trained model as a folder that affectzoo.load reads",
        epilog=f"{class_paths.OPTION} PACKAGE: {class_paths.HELP}",
    )
    parser.add_argument("--ckpt_path", type=Path, required=True, metavar="X", help="a checkpoint, or a run's folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--format", choices=["safetensors", "onnx"], default="safetensors", help="onnx: the model as "
                        "an ONNX file too (default: safetensors)")  # fmt: skip
    allowed, arguments = class_paths.split(arguments)
    args = parser.parse_args(list(arguments))
    quiet()
    export(args.ckpt_path, args.out, allowed, args.format)
    print(f"exported: {args.out}, {sum(path.stat().st_size for path in args.out.iterdir()) / 1e6:.1f} MB")
    print(f"ask it: python cli.py predict --ckpt_path {args.out} --clips PATH")
    return 0


def export(path: Path, out: Path, allowed: Sequence[str] = (), form: str = "safetensors") -> None:
    """Write the folder of a checkpoint's model, after it was built once.

    Args:
        path: A checkpoint, or a run's folder.
        out: The new folder.
        allowed: The user's own packages, whose classes it may name.
        form: ``onnx`` for an ONNX file too.

    Raises:
        DataError: The folder is there and not empty.
        UsageError: The checkpoint cannot be used, or its model not be exported.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"--out {out}: it is there already; name a new folder")
    checkpoint = open_checkpoint(path)
    model = Model(path, allowed=allowed)
    out.mkdir(parents=True, exist_ok=True)
    told = {"onnx": onnx.write(model.task, checkpoint.arguments, out / onnx.NAME)} if form == "onnx" else {}
    save_safetensors(checkpoint.weights, out / WEIGHTS)
    preprocessing = {"schema": SCHEMA, **checkpoint.described}
    write_atomic(out / PREPROCESSING, json.dumps(preprocessing, indent=1) + "\n")
    arguments = {name: of for name, of in checkpoint.arguments.items() if name not in OF_TRAINING}
    config = {
        "schema": SCHEMA,
        "class": arguments.pop("_class_path"),
        "arguments": arguments,
        "trained": {**model.about, "checkpoint": checkpoint.path.name},
        **told,
        "sha256": {name: sha256_file(out / name) for name in (WEIGHTS, PREPROCESSING, *[onnx.NAME] * bool(told))},
    }
    write_atomic(out / "README.md", card(model, checkpoint))
    write_atomic(out / CONFIG, json.dumps(config, indent=1) + "\n")
