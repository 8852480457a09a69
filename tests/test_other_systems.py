"""Where Python has no `fcntl` and no `resource`, as on Windows, every command still does its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LACKING = ("fcntl", "resource")
START = f"import sys\nsys.modules.update(dict.fromkeys({LACKING!r}))\nimport cli\nsys.exit(cli.main(sys.argv[1:]))"


def run(folder: Path, *arguments: object) -> str:
    """What a command prints; those modules are for nobody, libraries included."""
    command = [sys.executable, "-W", "ignore", "-c", START, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["report", "--help"], ["reproduce", "cfnsr", "--dry-run"], ["report", "cfnsr", "--out", "out"]],
    ids=" ".join,
)
def test_light_commands_run_without_them(arguments, tmp_path):
    if "cfnsr" in arguments:
        arguments = [*arguments, *(["--results", ROOT / "docs" / "results"] if "report" in arguments else [])]
    assert run(tmp_path, *arguments)


def test_a_corpus_is_made_and_prepared_without_them(tmp_path):
    run(tmp_path, "synth", "empathetic", "--out", "raw", "--clips", 96, "--workers", 1)
    run(tmp_path, "prepare", "empathetic", "--source", "raw", "--out", "corpus", "--workers", 1)
    assert {path.name for path in (tmp_path / "corpus" / "prepared").iterdir()} == {
        "COMPLETE", "checksums.json", "index.csv", "manifest.json", "skipped.csv", "text.i32",
        "text.tokenizer.json", "text.tokenizer_config.json"
    }  # fmt: skip


@pytest.mark.slow
def test_a_model_is_trained_without_them(ravdess, tmp_path):
    options = [
        "--trainer.max_epochs",
        1,
        "--trainer.accelerator",
        "cpu",
        "--trainer.default_root_dir",
        tmp_path / "run",
    ]
    run(tmp_path, "fit", "--config", ROOT / "experiments" / "ravdess_audio.yaml", "--data.root", ravdess, *options)
    assert (tmp_path / "run" / "result.json").is_file()
