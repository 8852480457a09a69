"""A trained model as a folder that anyone can load: weights, class and arguments, how its input is made, a card.

``model.safetensors``, ``config.json``, ``preprocessing.json`` and ``README.md``; nothing in it is a pickle.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomic_files import write_atomic
from datamodules.reading.files import sha256_file
from experiments.predict import onnx
from experiments.predict.card import card, pictures_of
from experiments.predict.hub import check_hub, push
from experiments.predict.loaded.checkpoint import OF_TRAINING
from experiments.predict.loaded.model import Model
from experiments.predict.out_folder import check_new, make_folder
from experiments.results.opened.checkpoint import CONFIG, PREPROCESSING, SCHEMA, WEIGHTS, open_checkpoint
from experiments.results.opened.strangers import without_places
from experiments.settings import class_paths
from experiments.settings.messages import quiet
from option_parser import Parser
from tensor_files import save_safetensors


def run(arguments: Sequence[str]) -> int:
    """Export a model; return the exit code.

    Args:
        arguments: Command line after ``export``.

    Raises:
        DataError: The folder is there.
        UsageError: The checkpoint cannot be used, or nothing can be pushed.
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
    parser.add_argument("--faces", action="store_true", help="copy the pictures of the run into it too, which may show "
                        "faces of its clips")  # fmt: skip
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the folder to the Hugging Face hub, as a private "
                        "repository where there is none of that name")  # fmt: skip
    allowed, arguments = class_paths.split(arguments)
    args = parser.parse_args(list(arguments))
    if args.push:
        check_hub(args.push)
    quiet()
    export(args.ckpt_path, args.out, allowed, args.format, faces=args.faces)
    print(f"exported: {args.out}, {sum(path.stat().st_size for path in args.out.iterdir()) / 1e6:.1f} MB")
    print(f"ask it: python cli.py predict --ckpt_path {args.out} --clips PATH")
    if args.push:
        print(f"pushed: {push(args.out, args.push)}")
    return 0


def export(
    path: Path, out: Path, allowed: Sequence[str] = (), form: str = "safetensors", *, faces: bool = False
) -> None:
    """Write the folder of a checkpoint's model, after it was built once.

    Args:
        path: A checkpoint, or a run's folder.
        out: The new folder.
        allowed: The user's own packages, whose classes it may name.
        form: ``onnx`` for an ONNX file too.
        faces: Copy the pictures of its run too.

    Raises:
        DataError: The folder is there and not empty.
        UsageError: The checkpoint cannot be used, or its model not be exported.
    """
    check_new(out)
    checkpoint = open_checkpoint(path)
    model = Model(path, allowed=allowed)
    pictures = pictures_of(checkpoint) if faces else []
    make_folder(out)
    told = {"onnx": onnx.write(model.task, checkpoint.arguments, out / onnx.NAME)} if form == "onnx" else {}
    save_safetensors(checkpoint.weights, out / WEIGHTS)
    preprocessing = {"schema": SCHEMA, **checkpoint.described}
    write_atomic(out / PREPROCESSING, json.dumps(preprocessing, indent=1) + "\n")
    arguments = _whole(checkpoint.arguments, model.task)
    config = {
        "schema": SCHEMA,
        "class": arguments.pop("_class_path"),
        "arguments": arguments,
        "trained": {**model.about, "checkpoint": checkpoint.path.name},
        **told,
        "sha256": {name: sha256_file(out / name) for name in (WEIGHTS, PREPROCESSING, *[onnx.NAME] * bool(told))},
    }
    for picture in pictures:
        shutil.copyfile(picture, out / picture.name)
    write_atomic(out / "README.md", card(model, checkpoint, [picture.name for picture in pictures]))
    write_atomic(out / CONFIG, json.dumps(config, indent=1) + "\n")


def _whole(arguments: dict[str, Any], task: Any) -> dict[str, Any]:
    """Return the arguments of a model without those of its training, and whole without the files they came from."""
    whole = {name: of for name, of in arguments.items() if name not in OF_TRAINING}
    for name, of in whole.items():
        if isinstance(of, dict) and (resolved := getattr(getattr(task, name, None), "resolved", None)):
            whole[name] = {**of, "init_args": {**(of.get("init_args") or {}), **resolved}}
    return dict(without_places(whole))
