"""``cli.py predict --ckpt_path X --clips PATH...``: what a trained model says of raw files; no settings, no corpus."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from atomic_files import write_atomic
from callbacks import plots
from datamodules.cores import usable_cores
from datamodules.errors import DataError
from datamodules.media.people_in_picture import PERSON
from datamodules.reading.tables import table_text
from datamodules.views.face import Face
from error_texts import first_names
from experiments.predict.legend import legend
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.clips import Row, check_row, check_tells_people_apart, rows_of
from experiments.predict.loaded.everybody import people_of
from experiments.predict.loaded.model import BATCH, Model
from experiments.predict.loaded.windows import windows_of
from experiments.predict.record import Record, question
from experiments.settings import class_paths
from experiments.settings.messages import quiet
from option_parser import Parser

ALL = "all"


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
        epilog=f"{class_paths.OPTION} PACKAGE: {class_paths.HELP}. With --config, in place of --clips, the clips of "
        "a run are scored.",
    )
    parser.add_argument("--ckpt_path", type=Path, required=True, metavar="X", help="a checkpoint, a "
                        "run's folder, or an exported folder")  # fmt: skip
    parser.add_argument("--clips", nargs="+", required=True, metavar="PATH", help="files, folders, patterns, or a CSV "
                        "with columns file, text, start, end and what else the model reads")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("answers"), metavar="DIR", help="folder of predictions.csv "
                        "and .json (default: answers)")  # fmt: skip
    parser.add_argument("--plots", action="store_true", help="a picture of every answer, in DIR/plots: what "
                        "the model looked at, its gates, curves over time")  # fmt: skip
    parser.add_argument("--batch_size", type=int, default=BATCH, metavar="N", help=f"clips at once (default: {BATCH})")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (default: cpu)")
    workers = usable_cores()
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help="processes that decode (default: "
                        "the cores of this job)")  # fmt: skip
    parser.add_argument("--window", type=float, metavar="SECONDS", help="cut longer files into windows (default: "
                        "as long as what the model hears of a clip, of files three times as long)")  # fmt: skip
    parser.add_argument(
        "--hop", type=float, metavar="SECONDS", help="from one window to the next (default: its length)"
    )
    parser.add_argument("--person", metavar="WHO", help="whom to follow where there are several: largest, central, a "
                        "number from the left, a place as 0.3,0.5, or all (default: as in training)")  # fmt: skip
    allowed, arguments = class_paths.split(arguments)
    args = parser.parse_args(list(arguments))
    for option in ("batch_size", "workers"):
        if getattr(args, option) < 1:
            raise DataError(f"--{option} {getattr(args, option)}: at least 1")
    quiet()
    model = Model(args.ckpt_path, args.device, allowed)
    rows = rows_of(args.clips, model.reader)
    known = {"file", "audio", "start", "end", "text", *model.reader.takes, *model.fields}
    known |= {PERSON} if model.reader.person else set()
    rows = [{name: value for name, value in row.items() if name in known} for row in rows]
    if args.person and args.person != ALL:
        rows = [{PERSON: args.person, **row} for row in rows]
    for row in rows:
        check_row(row, model.reader)
    if args.person == ALL:
        check_tells_people_apart(model.reader, ALL)
        stills = any(isinstance(view, Face) for view in model.reader.media.values())
        rows = [one for row in rows for one in _everybody(row, stills)]
    answers = _answered(model, rows, args)
    _write(args.out, model, rows, answers, args.window)
    without = [answer.file for answer in answers if answer.problem]
    if without:
        print(f"{len(without)} of {len(answers)} clips have no answer: {first_names(without)}")
    print("\n".join(legend(model, args.window)))
    print(f"answers: {args.out / 'predictions.csv'}, {args.out / 'predictions.json'}")
    if args.plots:
        print(f"pictures: {args.out / 'plots'}")
    return 1 if len(without) == len(answers) else 0


def _everybody(row: dict[str, Any], stills: bool) -> list[dict[str, Any]]:
    """Return a clip once for each of several people, by number; as it is where it says whom, or there is one."""
    people = 0 if PERSON in row else people_of(row, stills)
    if people < 2:
        return [row]
    return [{**row, PERSON: str(number)} for number in range(1, people + 1)]


def _answered(model: Model, rows: list[dict[str, Any]], args: Any) -> list[Answer]:
    """Print and draw the answers, those of an earlier run that was killed among them, of a long file by window."""
    clips = [windows_of(row, model.reader, args.window, args.hop) for row in rows]
    parts = [part for own in clips for part in own]
    with Record(args.out, model.digest) as record:
        pictures = [drawing(args.out, row) if args.plots else None for row in rows]
        known = [of for own in zip(clips, pictures, strict=True) for of in _known(record, *own)]
        left = [part for part, answer in zip(parts, known, strict=True) if answer is None]
        unit = "clip" if len(parts) == len(rows) else "window"
        if len(left) < len(parts):
            print(f"{len(parts) - len(left)} of {len(parts)} {unit}s were answered before")
        fresh = iter(model.of_parts(left, args.batch_size, args.workers))
        before, answers = iter(known), []
        with tqdm(total=len(parts), initial=len(parts) - len(left), unit=unit, disable=None) as bar:
            for row, own in zip(rows, clips, strict=True):
                said = []
                for part in own:
                    if (answer := next(before)) is None:
                        answer = next(fresh)
                        record.add(part, answer)
                        bar.update()
                    said.append(answer if len(own) == 1 else answer.lean())
                answer = model.joined(row, own, said)
                bar.write(_line(row, answer))
                _draw(answer, row, args)
                answers.append(answer.lean())
        return answers


def _line(row: Row, answer: Answer) -> str:
    """Return an answer in one line, which names the part of the file that was asked about, if it was one."""
    start, end = row.get("start"), row.get("end")
    if start is None and end is None:
        return str(answer)
    part = f"from {start or 0:g} s" + (f" to {end:g} s" if end is not None else "")
    return f"{answer.file} {part}{str(answer).removeprefix(answer.file)}"


def drawing(out: Path, row: Row, folder: str = "plots", ending: str = "png") -> Path:
    """Return the file of the picture of an answer, named after the clip and what is asked about it."""
    person = f"-person{row[PERSON]}" if str(row.get(PERSON, "")).isdecimal() else ""
    name = f"{Path(str(row.get('file') or 'text')).stem[:60]}{person}"
    return out / folder / f"{name}-{sha256(question(row).encode()).hexdigest()[:8]}.{ending}"


def _draw(answer: Answer, row: Row, args: Any) -> None:
    """Write the course of an answer as a table, and its picture if that is asked for."""
    if answer.over_time:
        write_atomic(drawing(args.out, row, "curves", "csv"), _curve(answer))
    if args.plots and not answer.problem and (answer.over_time or not drawing(args.out, row).exists()):
        plots.save(answer.plot(), drawing(args.out, row), synthetic=False)  # it has its stamp


def _known(record: Record, parts: Sequence[Row], picture: Path | None) -> list[Answer | None]:
    """Return the answers that are there; none of a clip without its picture, as what was looked at is in no record."""
    found = [record.find(part) for part in parts]
    lacks = picture is not None and len(parts) == 1 and found[0] and not found[0].problem and not picture.exists()
    return [None] if lacks else found


def _curve(answer: Answer) -> str:
    """Return what is said of every window or frame: start, end, probabilities, values, weights, face."""
    kinds = {"p": "probabilities", "pred": "values", "gate": "weights"}
    first = answer.over_time[0]
    columns = ["start", "end", *(f"{short}_{name}" for short, kind in kinds.items() for name in first[kind]), "face"]
    table = []
    for one in answer.over_time:
        numbers = [one["start"], one["end"], *(value for kind in kinds.values() for value in one[kind].values())]
        table.append([_cell(value) for value in [*numbers, one["face"]]])
    return table_text(columns, table)


def _write(out: Path, model: Model, rows: list[dict[str, Any]], answers: list[Answer], window: float | None) -> None:
    """Write ``predictions.csv``, a row a clip, and ``predictions.json``, with what every number means."""
    gates = model.task.gate_names()
    values = [name for name, of in model.outputs.items() if of.get("kind") == "value"]
    table = []
    for row, answer in zip(rows, answers, strict=True):
        cells = [answer.file, str(row.get("start", "")), str(row.get("end", "")), answer.person, answer.label]
        cells += [_cell(answer.confidence), str(answer.unsure).lower() if answer.confidence is not None else ""]
        cells += [_cell(answer.probabilities.get(name)) for name in model.classes]
        cells += [_cell(answer.values.get(name)) for name in values]
        cells += [_cell(answer.weights.get(name)) for name in gates]
        cells += [_cell(answer.face), f"{answer.seconds:.3f}"]
        cells += ["; ".join(f"{name}: {why}" for name, why in answer.missing.items()), answer.problem]
        table.append([*cells, str(answer.synthetic).lower()])
    columns = [
        "file",
        "start",
        "end",
        "person",
        "label",
        "confidence",
        "unsure",
        *(f"p_{name}" for name in model.classes),
    ]
    columns += [*(f"pred_{name}" for name in values), *(f"gate_{name}" for name in gates)]
    columns += ["face", "seconds", "missing", "problem", "synthetic"]
    write_atomic(out / "predictions.csv", table_text(columns, table))
    content = {
        "legend": legend(model, window),
        "model": model.about,
        "outputs": model.outputs,
        "answers": [{**row, **answer.to_dict()} for row, answer in zip(rows, answers, strict=True)],
    }
    write_atomic(out / "predictions.json", json.dumps(content, indent=1, default=str) + "\n")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
