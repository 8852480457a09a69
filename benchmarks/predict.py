"""What an answer costs: windows of a long file beside decoding them alone, for trained models and those of real size.

    python benchmarks/predict.py --clip FILE [--ckpt_path X ...] [--real NAME=ROOT ...] [--windows 8] [--out FILE.json]

``--ckpt_path`` names trained models; what their first answer takes is told too, after what it takes to load them, and
what the next ones do. ``--real cfnsr=data/ravdess`` names experiments at the size of their paper, with random weights;
ROOT is the corpus, or its stand-in, prepared, and says by what recipe a file becomes input.

Windows are as long as the recipe says and follow each other. "hop" is the smallest one, in seconds, that keeps up with
real time on one core: every window costs its views (faces, spectrograms) and the model, whatever the hop, and every
second of the file is decoded once. Of models of frames, or of windows of them, faces are found once too. Times are CPU
seconds of one thread.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import yaml
from timing import cpu_seconds

from datamodules.asked import Reader
from datamodules.media.films.one_pass import ClipStream
from datamodules.media.grid_frames import GridStream
from datamodules.media.part import Part
from datamodules.views.base import Want
from experiments.errors import UsageError
from experiments.predict.loaded.clips import Row, entry_of
from experiments.predict.loaded.model import Model
from experiments.predict.loaded.windows import usual_window, windows_of
from experiments.settings.config import PROJECT
from experiments.train.command import build

TEXT = "I got the job that I told you about, and I start on Monday already!"  # for models that read one


class Untrained(Model):
    """A model with random weights, of an experiment and the data that it would be trained on."""

    def __init__(self, name: str, root: str) -> None:
        path = PROJECT / "experiments" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        alone = ["--model.init_from", "{}"] if "init_from" in content["model"].get("init_args", {}) else []
        place = ["--data.roots", f"[{root}]"] if "roots" in content["data"]["init_args"] else ["--data.root", root]
        alone += ["--data.require", "null"] if "require" in content["data"]["init_args"] else []
        built: Any = build(["fit", "--config", str(path), *place, *alone])
        described = built.datamodule.state_dict()
        self.reader, self.device, self.task = Reader(described), torch.device("cpu"), built.model
        self.task.describe_input(described["facts"])
        self.task.setup("predict")
        self.task.eval()
        self.classes, self.outputs = list(self.task.class_names), described["outputs"]
        self.modalities, self.fields = self.reader.modalities, self.reader.fields
        self.about, self.temperature, self.digest = {"synthetic": True, "calibration": {}}, None, ""


def seconds(run: Callable[[], object]) -> float:
    """Return CPU seconds of a call."""
    start = cpu_seconds()
    run()
    return cpu_seconds() - start


def decode(reader: Reader, rows: Sequence[Row]) -> None:
    """Decode what the views of a model want of windows, and do nothing with it."""
    entry, _ = entry_of(rows[0], "0", reader)
    wants = [want for view in reader.media.values() if (want := view.wants(entry)) and want.medium in entry.media]
    parts, path = [Part(row["start"], row["end"]) for row in rows], Path(rows[0]["file"])
    for fps in {want.fps for want in wants if want.fps}:
        grid = GridStream(path, fps, parts)
        for part in parts:
            for _ in grid.read(part):
                pass
    if of_clips := [want for want in wants if not want.fps and not want.still]:
        clips = ClipStream(path, parts, _times(of_clips), sorted({rate for want in of_clips for rate in want.rates}))
        for part in parts:
            clips.read(part)


def _times(wants: Sequence[Want]) -> Callable[[float], np.ndarray] | None:
    selects = [want.times for want in wants if want.times]
    return (lambda length: np.concatenate([select(length) for select in selects])) if selects else None


def measure(model: Model, clip: Path, count: int) -> dict[str, float]:
    """Return CPU seconds a window, by what they are spent on, and the smallest hop that keeps up."""
    steps = hasattr(model.reader.shape, "step_kinds")
    window = model.reader.options.get("window", 1.0) if steps else usual_window(model.reader)
    rows = windows_of({"file": str(clip), "start": 0.0, "end": count * window}, model.reader)
    if len(rows) == 1:
        rows = [{"file": str(clip), "start": place * window, "end": (place + 1) * window} for place in range(count)]
    if "text" in model.modalities:
        rows = [{**row, "text": TEXT} for row in rows]
    next(iter(model.of_parts(rows[:1])))  # warms up
    found = {"window": window, "decode": seconds(lambda: decode(model.reader, rows)) / len(rows)}
    entries = [entry_of(row, str(place), model.reader)[0] for place, row in enumerate(rows)]
    prepare = seconds(lambda: list(model.reader.prepare(entries))) / len(rows)
    answers: list[Any] = []
    whole = seconds(lambda: answers.extend(model.of_parts(rows))) / len(rows)
    if problems := [answer.problem or str(answer.missing) for answer in answers if answer.problem or answer.missing]:
        print(f"  not all of it is there: {problems[0]}")
    found |= {"views": max(0.0, prepare - found["decode"]), "model": max(0.0, whole - prepare), "whole": whole}
    # Models of windows or frames of a grid see the steps of every second once, whatever the hop.
    pieces = sum(max(1, len(answer.over_time)) for answer in answers) / len(rows)
    once = found["decode"] + (found["views"] if steps else 0.0)
    found["hop"] = (whole - once) / pieces / (1 - once / window) if once < window else float("inf")
    return {**found, "times_real_time": window / whole}


def latencies(path: Path, clip: Path) -> dict[str, float]:
    """Return CPU seconds of loading a model, of its first answer and of the next ones, about a window of a clip."""
    loaded: list[Model] = []
    found = {"load": seconds(lambda: loaded.append(Model(path)))}
    model = loaded[0]
    length = usual_window(model.reader)
    row = {"file": str(clip), "start": 0.0, "end": length}
    found["first"] = seconds(lambda: model(row))
    later = [{**row, "start": place * length, "end": (place + 1) * length} for place in range(1, 6)]
    found["next"] = statistics.median(seconds(lambda asked=asked: model(asked)) for asked in later)  # type: ignore[misc]
    parts = {"decode": [], "decode_and_view": []}  # type: dict[str, list[float]]
    for asked in later:
        entry = entry_of(asked, "0", model.reader)[0]
        parts["decode"].append(seconds(lambda asked=asked: decode(model.reader, [asked])))  # type: ignore[misc]
        parts["decode_and_view"].append(seconds(lambda entry=entry: list(model.reader.prepare([entry]))))  # type: ignore[misc]
    return found | {name: statistics.median(times) for name, times in parts.items()}


def main() -> None:
    """Measure the models and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="a film with sound, long enough for all windows")
    parser.add_argument("--ckpt_path", nargs="*", type=Path, default=[])
    parser.add_argument("--real", nargs="*", default=[], metavar="NAME=ROOT")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    for path in args.ckpt_path:
        told = figures[f"{path}, latencies"] = latencies(path, args.clip)
        print(f"{path}: " + ", ".join(f"{name} {value:.3f} s" for name, value in told.items()), flush=True)
    print("model: window s | decode, views, model: s a window | times real time | smallest hop s")
    for name in (*args.ckpt_path, *args.real):
        try:
            model = Model(name) if isinstance(name, Path) else Untrained(*name.split("=", 1))
            told = figures[str(name)] = measure(model, args.clip, args.windows)
        except (UsageError, OSError, RuntimeError, ValueError) as error:
            print(f"{name}: not measured: {str(error).splitlines()[0]}")
            continue
        costs = ", ".join(f"{told[part]:.2f}" for part in ("decode", "views", "model"))
        print(f"{name}: {told['window']:g} | {costs} | {told['times_real_time']:.1f} | {told['hop']:.2f}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
