"""Fixtures shared by the whole suite."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch  # noqa: F401  before any test captures stderr: its log handler keeps the stream it finds
import numpy as np
import pytest
import yaml

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks; two threads on shared cores wait for each other
os.environ["WANDB_MODE"] = "disabled"

ROOT = Path(__file__).resolve().parents[1]
FRAMES, SIZE, MFCC = 8, 16, (13, 212)
SMALLER = "smaller.yaml"  # in the root of a stand-in smaller still than its overlay is for: options by modality


@pytest.fixture(autouse=True)
def _no_open_wandb_run():
    """A run of W&B that one test leaves open would be the next test's."""
    yield
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()


def leave_blank(figure: Any, path: Path, *stamps: bool, **stamp: bool) -> None:
    """Stands in for `callbacks.plots.save`: an empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has pictures drawn and not rendered, which takes a third of a short run; where it is not used they are."""
    monkeypatch.setattr("callbacks.plots.save", leave_blank)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder with real samples; tests that use it skip where there is none."""
    folder = os.environ.get("AFFECTZOO_REALDATA")
    if not folder:
        pytest.skip("AFFECTZOO_REALDATA is not set: no real samples on this machine")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny prepared RAVDESS: 24 speakers x 4 clips, brightness and pitch follow the emotion."""
    from datamodules.store.writer import StoreWriter

    root = tmp_path_factory.mktemp("ravdess")
    rng = np.random.default_rng(0)
    writer = StoreWriter(root / "prepared", {"video": "u8", "wave": "i16", "mfcc": "f32"}, {"size": SIZE}, True)
    for actor in range(1, 25):
        for emotion in (1, 3, 5, 8):
            video = rng.normal(25 * emotion, 10, (FRAMES, SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
            mfcc = rng.normal(0, 1, MFCC).astype(np.float32)
            mfcc[emotion] += 3
            arrays = {"video": video, "wave": rng.integers(-99, 99, 4410).astype(np.int16), "mfcc": mfcc}
            clip = f"01-01-{emotion:02d}-01-01-01-{actor:02d}"
            writer.add(clip, f"{actor:02d}", emotion - 1, arrays, source_sha256=clip)
    writer.finish()
    (root / SMALLER).write_text("video: {frames: 4, image_size: 16}\n")
    return root


@pytest.fixture(scope="session")
def ravdess_features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of the RAVDESS features: 24 speakers x 4 trials."""
    from argparse import Namespace

    from datamodules.prepare import ravdess_features as prepare
    from datamodules.standins import ravdess_features as synth

    root = tmp_path_factory.mktemp("ravdess_features")
    synth.run(Namespace(out=root, clips=96, seed=0, workers=1))
    prepare.run(Namespace(source=root, out=root, workers=1))
    return root


@pytest.fixture(scope="session")
def ravdess_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of the RAVDESS features with their sound: 24 speakers x 4 trials."""
    return stand_in(tmp_path_factory.mktemp("data") / "ravdess_voice", "ravdess_voice", clips=96)


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the stand-in of features computed elsewhere: 6 speakers x 6 clips."""
    import cli

    root = tmp_path_factory.mktemp("data") / "features"
    assert cli.main(["synth", "features", "--out", str(root), "--clips", "36"]) == 0
    return root


def stand_in(root: Path, corpus: str, *options: str, clips: int) -> Path:
    """Makes and prepares a small stand-in through the command line."""
    import cli

    assert cli.main(["synth", corpus, "--out", str(root), "--clips", str(clips), "--workers", "1"]) == 0
    prepare = ["prepare", corpus, "--source", str(root), "--out", str(root), "--workers", "1"]
    assert cli.main([*prepare, *options]) == 0
    return root


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of the emotion corpora."""
    return stand_in(tmp_path_factory.mktemp("data") / "faces", "faces", "--views.face.size", "32", clips=120)


@pytest.fixture(scope="session")
def daisee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of DAiSEE."""
    return stand_in(tmp_path_factory.mktemp("data") / "daisee", "daisee", "--views.people.face_size", "32", clips=9)


@pytest.fixture(scope="session")
def noxi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of NoXi."""
    return stand_in(tmp_path_factory.mktemp("data") / "noxi", "noxi", "--views.people.face_size", "32", clips=6)


@pytest.fixture(scope="session")
def vgaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of VGAF."""
    return stand_in(tmp_path_factory.mktemp("data") / "vgaf", "vgaf", clips=27)


@pytest.fixture(scope="session")
def empathetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of EmpatheticDialogues: three utterances a conversation, read by their prompts."""
    return stand_in(tmp_path_factory.mktemp("data") / "empathetic", "empathetic", clips=160)


@pytest.fixture(scope="session")
def avamerg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of AvaMERG."""
    return stand_in(tmp_path_factory.mktemp("data") / "avamerg", "avamerg", clips=40)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the prepared stand-in of clips of one's own, by the recipe of CFN-SR: 24 speakers x 2 clips."""
    options = ["--recipe", "cfnsr", "--views.video.size", "32"]
    return stand_in(tmp_path_factory.mktemp("data") / "clips", "clips", *options, clips=48)


def read_experiment(name: str, overlay: bool = False) -> dict[str, Any]:
    """Content of an experiment's YAML, or of its overlay."""
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / "experiments" / ("synthetic" if overlay else "") / f"{name}.yaml").read_text()
    )
    return content


def folded(name: str) -> bool:
    """Whether some table runs an experiment on a third fold; a corpus with an official test has one alone."""
    tables = [yaml.safe_load(path.read_text()) for path in (ROOT / "experiments" / "tables").glob("*.yaml")]
    return any(2 in of.get("folds", []) for of in tables if name in {row["experiment"] for row in of["rows"]})


def official(name: str) -> bool:
    """Whether the corpus of an experiment has official splits, and so one protocol and no folds."""
    return "protocol" in read_experiment(name)["data"]["init_args"]


def roots_of(request: pytest.FixtureRequest, **instead: str) -> Callable[[str], list[str]]:
    """Options that have an experiment read stand-ins: a fixture by the name of each corpus, or another one instead."""

    def root(place: str) -> str:
        name = Path(place).name
        return str(request.getfixturevalue(instead.get(name, name)))

    def of(name: str) -> list[str]:
        data = read_experiment(name, overlay=True)["data"]["init_args"]
        if "roots" in data:
            return ["--data.roots", str([root(place) for place in data["roots"]])]
        return ["--data.root", root(data["root"])]

    return of


@pytest.fixture(scope="session")
def stand_in_root(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Options that have an experiment read the stand-ins above."""
    return roots_of(request)


def options_of(root_of: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The command line of an experiment on its stand-in, without the command."""

    def of(name: str) -> list[str]:
        data = read_experiment(name)["data"]
        modalities = data["init_args"].get("modalities", ["video", "audio"])
        words = ["--config", f"experiments/{name}.yaml", "--config", f"experiments/synthetic/{name}.yaml"]
        words += (root := root_of(name))
        path = Path(root[1], SMALLER)
        for modality, smaller in (yaml.safe_load(path.read_text()) if path.is_file() else {}).items():
            if modality in modalities:
                words += [word for key, value in smaller.items() for word in (f"--data.{key}", str(value))]
        return [*words, "--data.fold", "2"] if folded(name) else words

    return of


@pytest.fixture(scope="session")
def options(stand_in_root: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The command line of an experiment on its stand-in, without the command."""
    return options_of(stand_in_root)


def parts(name: str) -> dict[str, str]:
    """What an experiment starts from: experiment by part."""
    sources = read_experiment(name)["model"].get("init_args", {}).get("init_from", {})
    found = {part: Path(path).parts for part, path in sources.items()}
    assert all(path[0] == "runs" and path[2:] == ("{cell}", "checkpoints", "best.ckpt") for path in found.values())
    return {part: path[1] for part, path in found.items()}


@pytest.fixture(scope="session")
def trained(options: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The checkpoint of an experiment that another one starts from; each is trained once.

    Its ``options`` are those that name the checkpoints an experiment starts from.
    """
    return trainer_of(options, tmp_path_factory.mktemp("trained"))


def trainer_of(options: Callable[[str], list[str]], folder: Path) -> Any:
    """What trains an experiment once by protocol, in a folder, and returns its checkpoint."""
    import cli

    def checkpoint(name: str, protocol: str) -> str:
        run = folder / name / protocol
        if not run.exists():
            trains = read_experiment(name).get("trainer", {}).get("max_epochs", 2) > 0
            epochs = ["--trainer.max_epochs", "2"] if trains else []
            command = ["fit", *options(name), *started(name, protocol), *epochs]
            place = ["--trainer.default_root_dir", str(run), "--data.protocol", protocol]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("callbacks.plots.save", leave_blank)
                assert cli.main([*command, *place]) == 0
        return str(run / "checkpoints" / "best.ckpt")

    def started(name: str, protocol: str) -> list[str]:
        return [
            word
            for part, source in parts(name).items()
            for word in (f"--model.init_from.{part}", checkpoint(source, protocol))
        ]

    given: Any = checkpoint
    given.options = started
    return given
