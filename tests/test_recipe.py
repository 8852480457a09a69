"""Recipes, views and catalogues: what the files of these folders must be, whichever there are."""

import contextlib
import io
import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from test_imports import imports

import cli
from datamodules import recipe
from datamodules.errors import DataError
from datamodules.recipe import catalogue_class, class_of, defaults, load, names, read
from datamodules.renamed import RENAMED, successor
from datamodules.views.base import View
from experiments.reproduce.tables.table_file import read_table

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "datamodules"
CATALOGUES, VIEWS, RECIPES = names("catalogues"), names("views"), names("recipes")


def help_of(corpus: str, *more: str) -> set[str]:
    """Return the options that ``--help`` tells."""
    with contextlib.redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit):
        cli.main(["prepare", corpus, *more, "--help"])
    return set(re.findall(r"--[\w.-]+", said.getvalue()))


def test_the_folders_are_read():
    assert {"ravdess"} <= set(CATALOGUES)
    assert {"faces", "wave", "mfcc"} <= set(VIEWS)
    assert {"cfnsr", "all"} <= set(RECIPES)
    assert not {"base", "__init__"} & {*CATALOGUES, *VIEWS, *RECIPES}


@pytest.mark.parametrize("synthetic", [False, True])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_views_and_options_that_there_are(name, synthetic):
    content = read(name)
    assert content.keys() <= {"views", "sink", "synthetic", "corpus", "elsewhere", "optional"}
    assert ("corpus" in content) == ("elsewhere" in content)
    assert content.get("corpus", CATALOGUES[0]) in CATALOGUES
    assert set(content.get("elsewhere", {})) <= {*content["views"], "optional"}
    assert set(content.get("synthetic", {})) <= {*content["views"], "sink"}
    built = load(name, synthetic=synthetic)
    assert list(built.views) == list(content["views"])
    for view, options in content["views"].items():
        assert options["view"] in VIEWS
        built.views[view].check(f"--views.{view}")
        json.dumps(built.views[view].settings())


def test_no_array_of_a_recipe_has_the_name_of_another():
    for name in RECIPES:
        views = load(name).views.items()
        arrays = [array for view_name, view in views for array in view.arrays(view_name)]
        assert len(arrays) == len(set(arrays)), name
        assert all(array.isidentifier() for array in arrays), name


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_a_frozen_dataclass_that_tells_its_options(name):
    found = class_of("views", name, View)
    for one in fields(found):
        assert re.search(rf"^ +{one.name}: \S", found.__doc__, re.MULTILINE), one.name
        assert set(found.limits) <= {field.name for field in fields(found)}
    with pytest.raises((FrozenInstanceError, TypeError)):
        found().anything = 1


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_has_a_name_and_a_recipe_that_there_is(name):
    found = catalogue_class(name)
    assert found.name == name
    assert found.recipe in RECIPES
    assert "--source" in help_of(name)


@pytest.mark.parametrize(("folder", "unknown"), [
    ("catalogues", ("datamodules.catalogues.", "datamodules.views.")),
    ("views", ("datamodules.catalogues.",)),
])  # fmt: skip
def test_catalogues_and_views_know_nothing_of_each_other(folder, unknown):
    for path in sorted((FOLDER / folder).rglob("*.py")):
        own = f"datamodules.{folder}.{path.relative_to(FOLDER / folder).with_suffix('').parts[0]}"
        seen = {name for name in imports(path) if name.startswith(unknown)}
        assert not {name for name in seen if not f"{name}.".startswith(f"{own}.")}, path


def test_catalogues_views_and_sinks_import_no_torch():
    modules = [f"datamodules.catalogues.{name}" for name in CATALOGUES] + [
        f"datamodules.views.{name}" for name in VIEWS
    ]
    code = (
        "import importlib, sys\n"
        "from datamodules.recipe import catalogue_class, defaults, names\n"
        "for name in names('catalogues'): catalogue_class(name)\n"
        "for name in names('recipes'): defaults(name, synthetic=False)\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "sys.exit(', '.join({'torch', 'lightning', 'transformers'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code, *modules], cwd=ROOT, check=True)


@pytest.mark.parametrize("corpus", sorted(set(RENAMED) & set(CATALOGUES)))
def test_the_successor_of_an_old_option_is_one(corpus):
    known = help_of(corpus)
    for old, new in RENAMED[corpus].items():
        assert old not in known
        assert new in known
        assert successor(corpus, ["--source", "x", f"{old}=3"]).startswith(f"{old} is called {new} now")
    assert successor(corpus, ["--source", "x", "--out"]) == ""


@pytest.mark.parametrize("table", sorted(path.stem for path in (ROOT / "experiments/tables").glob("*.yaml")))
def test_what_a_table_gives_prepare_is_an_option(table):
    read_from = read_table(table, synthetic=True)
    options = read_from.make["prepare"]
    several = any(isinstance(value, dict) for value in options.values())
    for corpus, given in options.items() if several else [(read_from.corpus, options)]:
        assert {f"--{name}" for name in given} <= help_of(corpus)


@pytest.mark.parametrize(("content", "message"), [
    ("views: {video: {view: faces, colour: 3}}", "--views.video.colour, and Faces has no such option"),
    ("views: {video: {view: noses}}", "'noses' is none of the views: "),
    ("views: {video: {view: faces}}\nsynthetic: {video: {colour: 3}}", "--views.video.colour"),
])  # fmt: skip
def test_a_recipe_that_is_wrong_is_told(tmp_path, monkeypatch, capsys, content, message):
    (tmp_path / "soup.yaml").write_text(content)
    (tmp_path / "SYNTHETIC").write_text("seed 0\n")
    monkeypatch.setattr(recipe, "RECIPES", tmp_path)
    monkeypatch.setattr(recipe, "names", lambda folder: ["soup"] if folder == "recipes" else names(folder))
    assert cli.main(["prepare", "ravdess", "--source", str(tmp_path), "--recipe", "soup"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_recipe_is_loaded_with_changes():
    assert load("cfnsr", {"video": {"size": 64}}).views["video"].size == 64
    assert load("cfnsr").views["video"].size == 224
    for changes, message in (
        ({"nose": {}}, "it has no view 'nose'; its views are video"),
        ({"video": {"x": 1}}, "'x'"),
    ):
        with pytest.raises(DataError, match=message):
            load("cfnsr", changes)
    with pytest.raises(DataError, match="--recipe soup: the recipes are "):
        load("soup")


def test_less_is_kept_of_a_stand_in_where_a_recipe_says_so(tmp_path, monkeypatch):
    content = {"views": {"video": {"view": "faces", "margin": 0.1}}, "synthetic": {"video": {"size": 32}}}
    monkeypatch.setattr(recipe, "read", lambda name: content)
    for synthetic, size in ((False, 224), (True, 32)):
        video = load("any", synthetic=synthetic).views["video"]
        assert (video.size, video.margin) == (size, 0.1)
        assert defaults("any", synthetic=synthetic).views["video"][1].get("size", 224) == size
