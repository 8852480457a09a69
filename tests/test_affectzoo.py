"""affectzoo as it is used from Python: its examples, and the blocks of the README, run as they stand."""

import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import stand_in

import affectzoo
import cli
from datamodules.base import EmotionDataModule
from datamodules.shapes.divided import DividedDataModule
from experiments.errors import UsageError
from experiments.train.pairing import subclasses
from lightning_modules.cfnsr import CFNSR
from lightning_modules.nn.backbones import MFCCNet

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "runs/synthetic/cfnsr/cfnsr/paper-fold0-seed1"
CLIP = "data/synthetic/ravdess/Actor_01/01-01-05-02-01-01-01.mp4"
DOCUMENTED = ["affectzoo", "experiments.predict.loaded.answer", "experiments.predict.loaded.model"]


def python_of(text: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def blocks() -> dict[str, str]:
    """Those of the README, by what they are about."""
    return {"train" if "Trainer" in block else "ask": block for block in python_of(README)}


def run(block: str, **names: object) -> dict[str, object]:
    exec(compile(block, "page.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the README's blocks are typed over, and what its training leaves; the model also as a run."""
    folder = tmp_path_factory.mktemp("place")
    stand_in(folder / "data" / "synthetic" / "ravdess", "ravdess", "--views.video.size", "32", clips=48)
    shutil.copy(folder / CLIP, folder / "clip.mp4")
    (folder / "landmarks").mkdir()
    shutil.copy((folder / CLIP).parents[1] / "landmarks" / f"{Path(CLIP).stem}.csv", folder / "landmarks" / "clip.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = run(blocks()["train"])
    for name in ("runs/cfnsr", "runs/cfnsr/paper-fold3-seed0", DEMO):
        (folder / name / "checkpoints").mkdir(parents=True)
        (folder / name / "checkpoints" / "best.ckpt").hardlink_to(folder / "mine.ckpt")
    return folder, names


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place[0])
    return place[0]


def test_what_the_readme_trains_from_python_is_asked_about_a_clip(place, here, capsys):
    _, names = place
    lines = [line for line in blocks()["train"].splitlines() if line and "import" not in line]
    assert len(lines) <= 10
    trained, loaded = names["model"], affectzoo.load("mine.ckpt")
    assert isinstance(trained, CFNSR)
    for name, of in trained.state_dict().items():
        assert torch.equal(of, loaded.task.state_dict()[name])
    data = names["data"]
    test = data.dataset("test")
    batch = data.on_after_batch_transfer(test.__getitems__([test.ids.index(Path(CLIP).stem)]), 0)
    with torch.inference_mode():
        expected = trained.eval()(batch)["logits"].softmax(1)[0]
    answer = loaded(CLIP)
    assert [answer.probabilities[name] for name in data.class_names] == pytest.approx(expected.tolist(), abs=1e-6)
    assert isinstance(CFNSR.load_from_checkpoint("mine.ckpt"), CFNSR)  # as Lightning reads it


def test_what_the_readme_asks_is_answered(here, capsys):
    run(blocks()["ask"])
    assert "surprised" in capsys.readouterr().out
    assert (here / "answer.png").stat().st_size > 5000


def test_what_the_demo_says_at_its_end_can_be_typed(here, capsys):
    section = README[README.index("## Ask it about a clip") :]
    (line,) = re.findall(r"^python cli\.py (predict .*)$", section[: section.index("\n## ")], re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    (demo,) = re.findall(r"^DEMO := (.*)$", makefile, re.MULTILINE)
    assert f"$(CLI) {line}".removesuffix(" --plots") in makefile.replace("$(DEMO)", demo)
    assert cli.main(shlex.split(line)) == 0
    assert "pictures: answers/plots" in capsys.readouterr().out
    assert len(list(here.glob("answers/plots/*.png"))) == len(list((here / CLIP).parent.glob("*.mp4")))


def test_what_the_page_of_answers_types_can_be_typed(here):
    (block,) = python_of((ROOT / "docs" / "predict.md").read_text(encoding="utf-8"))
    for name in ("a", "b", "talk"):
        shutil.copy(here / "clip.mp4", here / f"{name}.mp4")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (75, 48, 64, 3), dtype=np.uint8)
    names = run(block, frames=frames, wave=rng.uniform(-0.5, 0.5, 48000))
    assert [bool(answer.problem) for answer in names["answers"]] == [False, False]
    assert names["answer"].seconds == 3


def test_a_part_that_was_handed_over_as_an_object_is_named(place, here, tmp_path):
    _, names = place
    data, trainer = names["data"], names["trainer"]
    model = CFNSR(data.num_classes, data.input_shapes, audio=MFCCNet(), class_names=data.class_names)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "parts.ckpt")
    with pytest.raises(UsageError, match=r"how its audio was built.*cli\.py fit"):
        affectzoo.load(tmp_path / "parts.ckpt")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_examples_of_the_documentation_run(name, here):
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module, name) if test.examples]
    runner, told = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), []
    for test in tests:
        runner.run(test, out=told.append)
    assert not told, "".join(told)
    assert runner.summarize(verbose=False).attempted >= 4
    assert "+SKIP" not in Path(module.__file__).read_text()


def test_lists_mappings_and_arrays_are_answered_alike(here):
    model = affectzoo.load(DEMO)
    clip = here / "clip.mp4"
    one, same, part = model([str(clip), {"file": clip}, {"file": clip, "start": 0.2, "end": 2.9}])
    assert one == same != part
    rng = np.random.default_rng(0)
    frames, wave = rng.integers(0, 256, (75, 48, 64, 3), dtype=np.uint8), rng.uniform(-0.5, 0.5, 48000)
    both = model([{"frames": frames, "fps": 25, "wave": wave, "rate": 16000}, {"wave": wave, "rate": 16000}])
    assert [answer.seconds for answer in both] == [3, 3]
    assert all("video" in answer.missing for answer in both)  # noise has no landmarks
    kinds = [EmotionDataModule]
    for kind in kinds:
        kinds += kind.__subclasses__()
    named = {kind for kind in kinds if kind.__name__ == "ClipsDataModule"}
    assert len(named) == 1  # else the option --data ClipsDataModule could mean any of them
    assert not [kind for kind in subclasses(DividedDataModule) if kind.__module__ == "datamodules.asked"]


@pytest.mark.slow
def test_a_users_lines_pass_strict_mypy(tmp_path):
    lines = """
import affectzoo
import numpy as np

model: affectzoo.Model = affectzoo.load("x.ckpt", device="cpu")
answer: affectzoo.Answer = model("clip.mp4", text="so glad", age="young")
answers: list[affectzoo.Answer] = model(["a.mp4", {"file": "b.mp4", "start": 1.0}])
heard = model(wave=np.zeros(16000, np.float32), rate=16000)
reveal_type(answer.label)
reveal_type(heard.probabilities)
reveal_type([one.attention for one in answers])
answer.plot().savefig("x.png")
answer.lable
"""
    (tmp_path / "snippet.py").write_text(lines)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--config-file", "",
            "--cache-dir", ".mypy_cache/snippet", "--follow-imports", "silent"]  # fmt: skip
    told = subprocess.run([*mypy, str(tmp_path / "snippet.py")], cwd=ROOT, capture_output=True, text=True).stdout
    assert 'Revealed type is "str"' in told
    assert 'Revealed type is "dict[str, float]"' in told
    assert "ndarray[" in told
    errors = [line for line in told.splitlines() if ": error: " in line]
    assert len(errors) == 1, told
    assert '"Answer" has no attribute "lable"' in errors[0]
    for package in ("affectzoo", "experiments", "lightning_modules", "datamodules"):  # what an installed one shows
        assert (ROOT / package / "py.typed").is_file()


def test_tables_that_were_mostly_not_run_are_folded():
    """What a reader sees first was measured."""
    shown = re.sub(r"<details>.*?</details>", "", README, flags=re.DOTALL)
    tables = re.findall(r"<!-- table:(\w+) -->(.*?)<!-- /table", shown, re.DOTALL)
    assert tables
    for name, table in tables:
        rows = [line for line in table.splitlines() if line.startswith("| ")]
        absent = [row for row in rows if "not run" in row and "\N{PLUS-MINUS SIGN}" not in row]
        assert len(absent) <= len(rows) / 2, name
    assert README.index("## Ask it about a clip") < README.index("## Train it from Python") < README.index("## Tables")
    assert ".venv/bin/activate" in README[: README.index("## Ask")]
