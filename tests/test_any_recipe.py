"""One experiment per recipe over a small stand-in of every corpus: it runs, or says in one line why it cannot.

What is expected is derived from what catalogues, views and models declare.
"""

import csv
import functools
import sys
from pathlib import Path

import pytest
from conftest import read_experiment
from sources import make

import cli
from datamodules import recipe as recipes
from datamodules.entries import Series
from datamodules.errors import DataError, MediaError
from datamodules.shapes.divided import DividedDataModule
from datamodules.shapes.division import COMMITTED
from datamodules.store.plan import plan
from datamodules.store.reader import Store
from datamodules.views.base import MediaView
from experiments.results.request import read_command
from experiments.settings import class_paths
from experiments.train.command import import_all
from experiments.train.pairing import class_of, subclasses

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = {
    "all": "ravdess_msaf",
    "cfnsr": "cfnsr",
    "emotiw": "emotiw_fusion",
    "engagement": "engagement_face",
    "gated_fusion": "gated_fusion",
    "sound": "ravdess_audio",
    "static_emotion": "static_emotion",
    "text": "empathetic_text",
}
ANY_MODEL = {
    "face_mesh",
    "face_speech",
    "functionals",
    "voice",
}  # vectors, for `FeatureFusion`, which takes any and so declares nothing
CORPORA = recipes.names("catalogues")
QUICK = {
    ("cfnsr", "clips"), ("emotiw", "clips"), ("engagement", "ravdess"), ("gated_fusion", "clips"), ("sound", "savee"),
    ("cfnsr", "daisee"),
}  # fmt: skip
PAIRS = [
    pytest.param(recipe, corpus, marks=() if (recipe, corpus) in QUICK else pytest.mark.slow)
    for recipe in EXPERIMENTS
    for corpus in CORPORA
]


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """The raw folder of a corpus, made once."""
    folder = tmp_path_factory.mktemp("sources")

    @functools.cache
    def of(corpus: str) -> Path:
        return make(corpus, folder / corpus, of)

    return of


def test_every_recipe_has_an_experiment():
    assert EXPERIMENTS.keys() | ANY_MODEL == set(recipes.names("recipes"))
    assert {recipe for recipe, _ in QUICK} < set(EXPERIMENTS)
    assert len(QUICK) == 6


def planned(corpus: str, recipe: str, folder: Path, out: Path):
    """What a preparation will hold: the plan, or None where it is refused."""
    catalogue = recipes.catalogue_class(corpus)
    try:
        return plan(catalogue(), recipes.load(recipe, synthetic=True, catalogue=catalogue), folder, out)
    except DataError:
        return None


def has(view, todo) -> bool:
    """Whether some entry has the medium that a view is made of."""
    if not isinstance(view, MediaView):
        return True
    for piece in (one for entry in todo.scan.usable for one in entry.pieces(view.of_parts)):
        try:
            want = view.wants(piece)
        except MediaError:
            continue
        if want is not None and want.medium in piece.media:
            return True
    return False


def own_data(corpus: str, experiment: str, out: Path) -> list[str]:
    """Options by which an experiment's own DataModule reads a corpus; none where it is of another."""
    data = read_experiment(experiment, overlay=True)["data"]["init_args"]
    if corpus in {Path(root).name for root in data.get("roots", ())}:
        return ["--data.roots", f"[{out}]"]
    return ["--data.root", str(out)] if Path(data.get("root", "")).name == corpus else []


@pytest.mark.parametrize(("recipe", "corpus"), PAIRS)
def test_a_recipe_over_a_corpus(recipe, corpus, source, tmp_path, capsys, record_property):
    import_all()
    folder, out, name = source(corpus), tmp_path / corpus, EXPERIMENTS[recipe]
    todo = planned(corpus, recipe, folder, out)
    command = ["prepare", corpus, "--source", str(folder), "--out", str(out), "--recipe", recipe, "--workers", "1"]
    capsys.readouterr()
    code = cli.main([*command, "--max-skipped", "99"])
    if todo is None:
        assert code == 2
        return record_property("outcome", one_line(capsys.readouterr().err, "recipe", "views", "source"))
    assert code == 0, capsys.readouterr().err

    reads = declared(name)
    classes = {kind: of for of in subclasses(DividedDataModule) for kind in of.views_of_kinds}
    views = {type(view).__module__.rpartition(".")[2] for view in todo.recipe.views.values() if has(view, todo)}
    given = {kind for kind, of in classes.items() if of.views_of_kinds[kind] in views} | {"facts"}
    words = ["--config", f"experiments/{name}.yaml", "--config", f"experiments/synthetic/{name}.yaml"]
    words += ["--trainer.fast_dev_run", "true", "--model.init_from", "null"]
    if options := own_data(corpus, name, out):
        words += options
        words += ["--data.store", f"prepared-{recipe}"] if recipe != recipes.catalogue_class(corpus).recipe else []
    else:
        words += ["--data", classes[next(iter(reads.values()))].__name__, "--data.root", str(out)]
        words += ["--data.window", "1"] if recipe == "engagement" else []
        words += division(out, corpus, tmp_path)
        chosen = [modality for modality, kind in reads.items() if kind in given and modality != "meta"]
        if recipe == "gated_fusion" and chosen:
            words += ["--model.modalities", str(chosen)]
            reads = {modality: reads[modality] for modality in chosen}
    lacking = [modality for modality, kind in reads.items() if kind not in given]
    labelled = any(entry.label >= 0 or has_series(entry, todo) for entry in todo.scan.usable)
    capsys.readouterr()
    code = cli.main(["fit", *words])
    said = capsys.readouterr().err
    if lacking:
        assert code == 2, said
        return record_property("outcome", one_line(said, f" reads {lacking[0]} ("))
    if not labelled:
        assert code == 2, said
        return record_property("outcome", one_line(said, "no clip has a label"))
    assert code == 0, said
    return record_property("outcome", "runs")


def declared(name: str) -> dict[str, str]:
    """What the model of an experiment reads, kind by modality."""
    files = (f"experiments/{name}.yaml", f"experiments/synthetic/{name}.yaml")
    model = full_paths(read_command([word for file in files for word in ("--config", file)])["model"])
    return class_of(model["class_path"]).reads(**model["init_args"])


def full_paths(value):
    """Settings with the full paths of classes of this project, as the parser has them."""
    if not isinstance(value, dict):
        return value
    found = {key: full_paths(item) for key, item in value.items()}
    name = found.get("class_path", "").rpartition(".")[2]
    own = [vars(sys.modules[module]).get(name) for module in class_paths.modules(ROOT)]
    paths = {f"{of.__module__}.{name}" for of in own if isinstance(of, type)}
    return {**found, "class_path": paths.pop()} if paths else found


def has_series(entry, todo) -> bool:
    """Whether a label over time becomes one of the entry."""
    series = any(type(view).__name__ == "LabelSeries" for view in todo.recipe.views.values())
    return series and any(isinstance(label, Series) for label in entry.labels.values())


def division(out: Path, corpus: str, folder: Path) -> list[str]:
    """A file of folds where the store has none: one a speaker."""
    (store,) = (Store(path) for path in out.glob("prepared*"))
    if {"fold", "split", "part"} & store.rows[0].keys() or (COMMITTED / f"{corpus}.csv").is_file():
        return []
    speakers = sorted(set(store.groups))
    with (folder / "folds.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("clip", "speaker", "fold"),
             *((clip, who, speakers.index(who)) for clip, who in zip(store.ids, store.groups, strict=True))]
        )  # fmt: skip
    return ["--data.splits", str(folder / "folds.csv")]


def one_line(said: str, *words: str) -> str:
    """The one line of a refusal, which is named so."""
    (line,) = (line for line in said.splitlines() if not line.startswith("warning:"))
    assert line.startswith("error: "), said
    assert any(word in line for word in words), said
    return line
