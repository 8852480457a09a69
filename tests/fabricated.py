"""A small project with made-up cells: what the tests of tables, reports and `reproduce` stand on."""

import csv
import json
import textwrap
from pathlib import Path

import numpy as np

from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_json, write_json, write_result
from experiments.results.needs import request_hash

CLASSES = ["calm", "happy", "sad", "angry"]
SPEAKERS = 4  # per fold
CLIPS = 20  # per speaker
SKILLS = {"video": 0.5, "audio": 0.45, "pair": 0.8}  # of the rows

TABLE = """
title: Toy
source: somebody, somewhere
corpus: toy
folds: [0, 1, 2]
seeds: {paper: [1, 2], honest: [1]}
protocols: [paper, honest]
rows:
  - {name: video, label: Video alone, experiment: video, published: {accuracy: 60.5, provenance: secondary}}
  - {name: audio, label: Audio alone, experiment: audio}
  - name: pair
    label: "Pair_50 %"
    experiment: pair
    overrides: {model.init_args.width: 64}
    needs: {video: video, audio: audio}
    published: {accuracy: 75.76, parameters: 26.30e+6, provenance: reported, note: best epoch}
synthetic:
  synth: {clips: 8}
  prepare: {size: 32}
  folds: [0, 1]
  seeds: [1]
"""

# Does what `cli.py fit` promises, without training: continues or starts a cell, and writes its files at the end.
FAKE_CLI = """
import json, os, sys, time
from pathlib import Path
import fabricated
from experiments.results.request import parse_command, request_from_command

command, *arguments = sys.argv[1:]
if command in ("synth", "prepare"):
    print(f"fake {command}", *arguments)
    if command == "prepare":
        fabricated.make_store(Path("data/synthetic/toy"), synthetic=True)
    sys.exit(0)
configs, options = parse_command(arguments)
cell = Path(options["trainer.default_root_dir"])
name = f"{cell.parent.name}/{cell.name}"
resumed = (cell / "checkpoints" / "last.ckpt").exists()
with open("starts.txt", "a") as file:
    file.write(f"{name} {'resumed' if resumed else 'fresh'} {os.getpid()}\\n")
print("epoch 1")
for path in (options.get("model.init_args.init_from") or {}).values():
    assert Path(path).exists(), path
(cell / "checkpoints").mkdir(parents=True, exist_ok=True)
(cell / "checkpoints" / "last.ckpt").write_text("")
time.sleep(float(os.environ.get("FAKE_SECONDS", 0)))
if name == os.environ.get("FAKE_FAILURE"):
    sys.exit("error: the loss is not finite in clip 17")
(cell / "checkpoints" / "best.ckpt").write_text("")
request = request_from_command(arguments, corpus="toy", project=Path())
fabricated.make_cell(cell, request, row=cell.parent.name, synthetic="synthetic" in cell.parts)
"""


def make_project(folder: Path) -> Path:
    """Writes a project with one table of three rows, its experiments, split file, data and a fake cli.py."""
    experiments = folder / "experiments"
    write(experiments / "_trainer.yaml", "seed_everything: 0\ntrainer: {accelerator: auto, callbacks: [History]}\n")
    for name in ("video", "audio", "pair"):
        write(
            experiments / f"{name}.yaml",
            f"""
            trainer: {{max_epochs: 70}}
            model: {{class_path: {name.title()}, init_args: {{lr: 1e-3, width: 32}}}}
            data: {{class_path: Toy, init_args: {{root: data/toy, batch_size: 16}}}}
            """,
        )
        write(experiments / "synthetic" / f"{name}.yaml", "data: {init_args: {root: data/synthetic/toy}}\n")
    write(experiments / "tables" / "toy.yaml", TABLE)
    write(folder / "datamodules" / "splits" / "toy.csv", "clip,speaker,fold\n")
    write(folder / "cli.py", FAKE_CLI)
    make_store(folder / "data" / "toy", synthetic=False)
    return folder


def make_store(root: Path, *, synthetic: bool) -> None:
    """Writes what `reproduce` reads of a prepared corpus."""
    write(root / "prepared" / "manifest.json", json.dumps({"fingerprint": "f" * 64, "synthetic": synthetic}))
    write(root / "prepared" / "COMPLETE", "")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def make_cell(directory: Path, request: dict, *, row: str, synthetic: bool = False, skill: float = 0.6) -> None:
    """Writes a finished cell whose predictions are right with a probability of about `skill`."""
    fold, seed, protocol = (request[name] for name in ("fold", "seed", "protocol"))
    rng = np.random.default_rng([fold, seed, protocol == "honest", *row.encode()])
    write_json(directory / "request.json", request)
    selections = {}
    for selection in ("best", "last") if protocol == "paper" else ("selected",):
        bonus = 0.1 if selection == "best" else 0.0
        share = write_predictions(directory / f"predictions-{selection}.csv", fold, skill + bonus, rng)
        selections[selection] = {"epoch": 2, "accuracy": share, "uar": share, "f1": share}
    curve = "".join(f"{epoch},{epoch * 5},{1 / (epoch + 1):.4f},0.9,{0.2 + epoch / 10:.1f}\n" for epoch in range(4))
    write(directory / "metrics.csv", "epoch,step,train_loss,val_loss,val_accuracy\n" + curve)
    write_result(
        directory,
        {
            "experiment": row,
            "row": row,
            "fold": fold,
            "seed": seed,
            "protocol": protocol,
            "synthetic": synthetic,
            "corpus": "toy",
            "class_names": CLASSES,
            "group_name": "speakers",
            "selections": selections,
            "n_train": 160 if protocol == "paper" else 80,
            "n_val": 0 if protocol == "paper" else 80,
            "n_test": SPEAKERS * CLIPS,
            "parameters": {"total": 25_882_056, "trainable": 25_882_056, "stages": {"stem": 65_856}},
            "flops": 113.15e9,
            "latency_ms": 12.5,
            "peak_memory_mb": None,
            "seconds": 75.0,
            "device": "CPU",
            "versions": {"torch": "2.11.0"},
            "commit": None,
            "data_fingerprint": "f" * 64,
            "request_hash": request_hash(request),
        },
    )


def write_predictions(path: Path, fold: int, skill: float, rng: np.random.Generator) -> float:
    """Writes predictions for the clips of a fold; returns their accuracy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    right = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", "target", *(f"p_{name}" for name in CLASSES)])
        for speaker in range(fold * SPEAKERS, (fold + 1) * SPEAKERS):
            for clip in range(CLIPS):
                target = (clip * clip) % 3 if clip < 15 else 3
                guess = target if rng.random() < skill else int(rng.integers(len(CLASSES)))
                share = rng.dirichlet(np.ones(len(CLASSES)))
                share[[guess, share.argmax()]] = share[[share.argmax(), guess]]
                right.append(int(share.argmax()) == target)
                writer.writerow([f"{speaker:02d}-{clip:02d}", f"{speaker:02d}", target, *share])
    return float(np.mean(right))


def fill(*, synthetic: bool = False, **selection: list) -> Planner:
    """Makes the selected cells of the toy table of the working folder."""
    table = read_table("toy", synthetic=synthetic, project=Path())
    planner = Planner(table, Path("runs"), Path())
    for job in planner.jobs(Selection(**selection)):
        row = job.directory.parent.name
        make_cell(job.directory, job.request, row=row, synthetic=synthetic, skill=SKILLS[row])
    return planner


def alter(row: str, **changes: object) -> None:
    """Changes fields of the results of a row of the toy table."""
    for path in Path("runs/toy", row).rglob("result.json"):
        write_json(path, {**read_json(path), **changes})


def column(text: str, name: str) -> dict[str, str]:
    """A column of a Markdown table by what its rows begin with."""
    header, _, *rows = [line.strip("| ").split(" | ") for line in text.split("\n") if line.startswith("|")]
    place = next(index for index, title in enumerate(header) if title.startswith(name))
    return {row[0]: row[place] for row in rows}
