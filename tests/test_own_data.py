"""Every command of docs/own-data.md is typed, in the order of the page, over small clips under free names."""

import csv
import itertools
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hostile_media import int16, tone, wav
from test_docs import FENCE

import cli
from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.errors import MediaError
from datamodules.media.clip import read_clip
from datamodules.media.faces import detect_boxes
from datamodules.store.reader import Store
from experiments.reproduce.tables.committed import read_committed
from experiments.reproduce.tables.table_file import read_table

PROJECT = Path(cli.__file__).parent
PAGE = PROJECT / "docs/own-data.md"
LABELS = ("joy", "rage")


def moments(seconds: float) -> np.ndarray:
    """Fifteen times of a film."""
    return np.linspace(0, 0.95 * seconds, 15)


def commands() -> list[list[str]]:
    blocks = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("python cli.py ")]
    return [shlex.split(line)[2:] for line in lines]


def small(words: list[str]) -> list[str]:
    """A command of the page with the small network of its experiment and one epoch, or small views."""
    if words[0] == "prepare":
        recipe = words[words.index("--recipe") + 1] if "--recipe" in words else "all"
        content = yaml.safe_load((PROJECT / f"datamodules/recipes/{recipe}.yaml").read_text(encoding="utf-8"))
        smaller = content.get("synthetic", {}).items()
        options = [(f"--views.{view}.{name}", str(value)) for view, of in smaller for name, value in of.items()]
        return [*words, "--workers", "1", *itertools.chain(*options)]
    if words[0] == "reproduce":  # real networks; tests/test_clips_table.py runs cells
        return words if "--dry-run" in words else [*words, "--dry-run"]
    if words[0] != "fit":
        return words
    experiment = Path(words[words.index("--config") + 1])
    overlay = str(experiment.parent / "synthetic" / experiment.name)
    place = words.index("--config") + 2
    added = [] if overlay in words else ["--config", overlay]
    added += [] if "--data.root" in words else ["--data.root", "data/clips"]  # not that of the stand-in
    return [*words[:place], *added, *words[place:], "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]


def table(folder: Path, names: list[str], *, text: bool = False) -> None:
    """Two takes a speaker, one of each class."""
    rows = [["file", "label", "speaker", *["text"] * text]]
    for place, name in enumerate(names):
        rows.append([name, LABELS[place % 2], f"Zoë {place // 2}", *[f"so {LABELS[place % 2]} again"] * text])
    (folder / "labels.csv").write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")


def has_face(path: Path) -> bool:
    try:
        detect_boxes(path, read_clip(path, moments).frames)
    except MediaError:
        return False
    return True


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Folders `clips`, `sounds` and `stills` of drawn faces and made voices, four speakers of two takes each."""
    root = tmp_path_factory.mktemp("own")
    for corpus, count in (("ravdess", "24"), ("empathetic", "96")):
        assert cli.main(["synth", corpus, "--out", str(root / corpus), "--clips", count, "--workers", "1"]) == 0
    drawn = (path for path in sorted(root.glob("ravdess/Actor_*/01-*.mp4")) if has_face(path))
    names: dict[str, list[str]] = {"clips": [], "sounds": [], "stills": []}
    for place, film in enumerate(itertools.islice(drawn, 8)):
        picture = read_clip(film, moments).frames[7].to_ndarray(format="bgr24")
        of_kind = {
            "clips": (".mp4", film.read_bytes()),
            "sounds": (".wav", wav(int16(tone(3.5, hz=200 + 40 * place)))),
            "stills": (".png", cv2.imencode(".png", picture)[1].tobytes()),
        }
        for kind, (ending, content) in of_kind.items():
            names[kind].append(f"Tag {place % 3}/müde {place}{ending}")
            path = root / kind / names[kind][-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for kind, own_names in names.items():
        table(root / kind, own_names, text=kind == "clips")
    shutil.copytree(root / "empathetic/tokenizer", root / "clips/tokenizer")
    return root


def publish(words: list[str]) -> None:
    """Make what a command of the page names and others made: a training; what they said of our clips, sure, right."""
    if "--init_from" in words:
        begin, run = words.index("--init_from"), words[words.index("--init_from") + 1]
        assert cli.main([*small(words[:begin]), "--trainer.default_root_dir", run]) == 0
    if "--against" not in words:
        return
    if "--run" in words:
        run = next(Path("runs/cfnsr").rglob("predictions-*.csv"))
        with run.open(newline="", encoding="utf-8") as file:
            true = {row["id"]: row["target"] for row in csv.DictReader(file)}
        names = LABELS
    else:
        Path("docs").mkdir(exist_ok=True)
        Path("docs/results").symlink_to(PROJECT / "docs/results")
        cells = read_committed(read_table("ravdess_features"), PROJECT / "docs/results").values()
        found = [next(iter(cell.predictions.values())) for cell in cells]
        true = {clip: str(label) for of in found for clip, label in zip(of.ids, of.targets.tolist(), strict=True)}
        names = EMOTIONS
    for name in words[words.index("--against") + 1 :]:
        lines = [
            ["id", *names],
            *([clip, *np.eye(len(names), dtype=int)[int(at)].astype(str)] for clip, at in true.items()),
        ]
        Path(name).write_text("\n".join(map(",".join, lines)) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_page_can_be_typed_from_top_to_bottom(own, monkeypatch, capsys):
    monkeypatch.chdir(own)
    for words in commands():
        publish(words)
        code = cli.main(small(words))
        said = capsys.readouterr()
        assert code == 0, f"{shlex.join(words)}: {said.err}"
        if words[0] == "fit":
            assert "report: python cli.py report --run runs/" in said.out
    assert {len(Store(own / "data" / store)) for store in ("clips/prepared", "sounds/prepared", "stills/prepared")} == {
        8
    }
    assert all((own / name).is_file() for name in ("sheet.png", "stills.png", "runs/cfnsr/report.html"))


def test_the_page_names_what_there_is():
    found = commands()
    assert [words[0] for words in found].count("fit") >= 5
    assert {"prepare", "fit", "report", "reproduce"} == {words[0] for words in found}
    for name in re.findall(r"^\| ((?:`\w+`(?:, )?)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        for experiment in re.findall(r"`(\w+)`", name):
            assert (PROJECT / f"experiments/{experiment}.yaml").is_file(), experiment
