"""``cli.py predict --ckpt_path X --clips PATH...``: what a trained model says of raw files; no settings, no corpus."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from atomic_files import write_atomic
from callbacks.plots import save
from datamodules.errors import DataError
from datamodules.reading.tables import table_text
from error_texts import first_names
from experiments.predict.legend import legend
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.clips import check_row, rows_of
from experiments.predict.loaded.model import BATCH, Model
from experiments.predict.record import Record
from experiments.settings import class_paths
from experiments.settings.messages import quiet
from option_parser import Parser


def run(arguments: Sequence[str]) -> int:
    """Answer about clips; return the exit code: 1 where there is no answer about any.

    Args:
        arguments: Command line after ``predict``.

    Raises:
        DataError: A clip is not there, or an option is wrong.
        UsageError: The checkpoint cannot be used.
    """
    parser = Parser(
        prog="cli.py predict",
        description="what a trained model says of raw files",
        epilog=f"{class_paths.OPTION} PACKAGE: {class_paths.HELP}",
    )
    parser.add_argument("--ckpt_path", type=Path, required=True, metavar="X", help="a checkpoint, or a run's folder")
    parser.add_argument("--clips", nargs="+", required=True, metavar="PATH", help="files, folders, patterns, or a CSV "
                        "with columns file, text, start, end and what else the model reads")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("answers"), metavar="DIR", help="folder of predictions.csv "
                        "and .json (default: answers)")  # fmt: skip
    parser.add_argument("--plots", action="store_true", help="a picture of every answer, in DIR/plots")
    parser.add_argument("--batch_size", type=int, default=BATCH, metavar="N", help=f"clips at once (default: {BATCH})")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (default: cpu)")
    workers = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help="processes that decode (default: "
                        "all cores)")  # fmt: skip
    allowed, arguments = class_paths.split(arguments)
    args = parser.parse_args(list(arguments))
    for option in ("batch_size", "workers"):
        if getattr(args, option) < 1:
            raise DataError(f"--{option} {getattr(args, option)}: at least 1")
    quiet()
    model = Model(args.ckpt_path, args.device, allowed)
    rows = rows_of(args.clips, model.reader)
    known = {"file", "audio", "start", "end", "text", *model.reader.takes, *model.fields}
    rows = [{name: value for name, value in row.items() if name in known} for row in rows]
    for row in rows:
        check_row(row, model.reader)
    answers = _answered(model, rows, args)
    _write(args.out, model, rows, answers)
    without = [answer.file for answer in answers if answer.problem]
    if without:
        print(f"{len(without)} of {len(answers)} clips have no answer: {first_names(without)}")
    print("\n".join(legend(model)))
    print(f"answers: {args.out / 'predictions.csv'}, {args.out / 'predictions.json'}")
    return 1 if len(without) == len(answers) else 0


def _answered(model: Model, rows: list[dict[str, Any]], args: Any) -> list[Answer]:
    """Return the answers, those of an earlier run that was killed among them; print each."""
    with Record(args.out, model.digest) as record:
        known = [record.find(row) for row in rows]
        left = [row for row, answer in zip(rows, known, strict=True) if answer is None]
        if len(left) < len(rows):
            print(f"{len(rows) - len(left)} of {len(rows)} clips were answered before")
        fresh = _shown(model.answers(left, args.batch_size, args.workers), left, record, args)
        answers = []
        for answer in known:
            if answer is not None:
                print(answer)
            answers.append(answer or next(fresh))
        return answers


def _shown(answers: Iterator[Answer], rows: list[dict[str, Any]], record: Record, args: Any) -> Iterator[Answer]:
    with tqdm(total=len(rows), unit="clip", disable=None) as bar:
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            record.add(row, answer)
            bar.write(f"{answer}")
            if args.plots and not answer.problem:
                save(answer.plot(), args.out / "plots" / f"{place:04d}-{Path(answer.file).stem[:60]}.png",
                     answer.synthetic)  # fmt: skip
            bar.update()
            yield answer


def _write(out: Path, model: Model, rows: list[dict[str, Any]], answers: list[Answer]) -> None:
    """Write ``predictions.csv``, a row a clip, and ``predictions.json``, with what every number means."""
    gates = model.task.gate_names()
    values = [name for name, of in model.outputs.items() if of.get("kind") == "value"]
    table = []
    for row, answer in zip(rows, answers, strict=True):
        cells = [answer.file, str(row.get("start", "")), str(row.get("end", "")), answer.label]
        cells += [_cell(answer.confidence), str(answer.unsure).lower() if answer.confidence is not None else ""]
        cells += [_cell(answer.probabilities.get(name)) for name in model.classes]
        cells += [_cell(answer.values.get(name)) for name in values]
        cells += [_cell(answer.weights.get(name)) for name in gates]
        cells += [_cell(answer.face), f"{answer.seconds:.3f}"]
        cells += ["; ".join(f"{name}: {why}" for name, why in answer.missing.items()), answer.problem]
        table.append([*cells, str(answer.synthetic).lower()])
    columns = ["file", "start", "end", "label", "confidence", "unsure", *(f"p_{name}" for name in model.classes)]
    columns += [*(f"pred_{name}" for name in values), *(f"gate_{name}" for name in gates)]
    columns += ["face", "seconds", "missing", "problem", "synthetic"]
    write_atomic(out / "predictions.csv", table_text(columns, table))
    content = {
        "legend": legend(model),
        "model": model.about,
        "outputs": model.outputs,
        "answers": [{**row, **answer.to_dict()} for row, answer in zip(rows, answers, strict=True)],
    }
    write_atomic(out / "predictions.json", json.dumps(content, indent=1, default=str) + "\n")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
