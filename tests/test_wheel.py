"""The wheel: it carries what the commands read besides code, and works in an empty folder."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = shutil.ignore_patterns(".*", "data", "runs", "tests", "docs", "benchmarks", "wandb", "build", "*.egg-info",
                                 "__pycache__")  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=OUTSIDE)
    build = "import setuptools.build_meta as backend, sys; print(backend.build_wheel(sys.argv[1]))"
    run = [sys.executable, "-c", build, str(folder)]
    made = subprocess.run(run, cwd=folder / "source", capture_output=True, text=True, check=True)
    return folder / made.stdout.splitlines()[-1]


def test_it_holds_the_code_and_every_file_that_the_commands_read(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    packages = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").is_file() and folder.name != "tests"]
    assert len(packages) >= 4
    for folder in packages:
        read = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert {path.relative_to(ROOT).as_posix() for path in read} <= held
    assert {path.name for path in ROOT.glob("*.py")} <= held
    (scripts,) = [name for name in held if name.endswith("entry_points.txt")]
    assert "affectzoo = cli:main" in zipfile.ZipFile(wheel).read(scripts).decode()


@pytest.mark.slow
def test_it_works_in_an_empty_folder(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*words):
        code = "import sys, cli; sys.exit(cli.main())"
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=empty, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "48 clips" in run("synth", "ravdess", "--clips", "48")
    assert "48 clips used" in run("prepare", "ravdess", "--source", "data/synthetic/ravdess")
    configs = [f"experiments/{folder}ravdess_audio.yaml" for folder in ("", "synthetic/")]
    run("fit", *(word for path in configs for word in ("--config", path)), "--trainer.max_epochs", "1")
    assert (empty / "runs/synthetic/ravdess_audio/paper-fold0-seed0/result.json").is_file()
    run("report")
    assert (empty / "runs/report/index.html").is_file()
    assert {path.name for path in empty.iterdir()} == {"data", "runs"}


@pytest.mark.parametrize("name", ["callbacks", "experiments"])
def test_another_package_of_one_of_our_names_is_one_clear_line(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("print('imported')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    code = "import sys, cli; sys.exit(cli.main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"the package `{name}` is another one here" in done.stderr
    assert "imported" not in done.stdout


def test_the_commit_of_a_copy_in_somebody_elses_repository_is_not_theirs(tmp_path):
    target = tmp_path / "site" / "provenance.py"
    target.parent.mkdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@y"]
    (tmp_path / ".gitignore").write_text("site\n")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "theirs"], check=True)
    shutil.copy(ROOT / "experiments" / "results" / "provenance.py", target)
    spec = importlib.util.spec_from_file_location("copied_provenance", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.commit() is None
