"""One test per pitfall of projects like this one, numbered as in docs/pitfalls.md, as far as this one could fall in."""

import json
import re
import subprocess
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from test_callbacks import fit
from tiny import TinyData, TinyTask, trainer

import cli
from callbacks.layer_lr import DiscriminativeLR
from callbacks.unfreezing import GradualUnfreezing
from callbacks.warmup import Warmup
from datamodules.errors import DataError
from experiments.results import cell as results
from experiments.results import request
from experiments.results.needs import request_hash
from lightning_modules.nn.metrics import PredictionTable, classification_metrics

ROOT = Path(__file__).resolve().parents[1]
AUDIO = ["fit", "--config", "experiments/ravdess_audio.yaml", "--trainer.max_epochs", "1"]


def audio(ravdess, folder, *more):
    return [*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(folder), *more]


@pytest.fixture(scope="module")
def run(ravdess, tmp_path_factory):
    """A finished run of the audio network."""
    folder = tmp_path_factory.mktemp("run")
    assert cli.main(audio(ravdess, folder, "--seed_everything", "5", "--model.head_dropout", "0.25")) == 0
    return folder


def test_p01_every_parameter_is_registered_with_ddp_before_any_is_frozen(tmp_path):
    """Freezing in setup() hides parameters from DDP; replicas.py shows the replicas equal, this the order."""

    class Order(pl.Callback):
        def setup(self, trainer, pl_module, stage):
            self.before_wrap = all(p.requires_grad for p in pl_module.parameters())

        def on_fit_start(self, trainer, pl_module):
            self.after_wrap = all(p.requires_grad for p in pl_module.parameters())

    order = Order()
    fit(tmp_path, epochs=1, callbacks=[GradualUnfreezing(1, 0), order])
    assert order.before_wrap
    assert not order.after_wrap


def test_p02_unfreezing_lives_with_a_scheduler_that_holds_one_rate_per_group(tmp_path):
    def scheduler(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda n: 0.9**n] * len(optimizer.param_groups))

    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.1), scheduler=scheduler)
    fit(tmp_path, task, callbacks=[GradualUnfreezing(1, 1)])
    assert [group["lr"] for group in task.optimizers().param_groups] == pytest.approx([0.1 * 0.9**4] * 3)


def test_p03_equal_valued_parameters_are_each_in_one_group():
    class Twins(TinyTask):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.LayerNorm(4), torch.nn.LayerNorm(4)

        def stages(self):
            return {**super().stages(), "one": [self.one], "two": [self.two]}

    task = Twins()
    held = [p for group in task.configure_optimizers().param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(task.parameters()))


def test_p04_frozen_batchnorm_and_dropout_are_inactive(tmp_path):
    task = TinyTask()
    statistics = task.bottom[1].running_mean.clone()
    fit(tmp_path, task, epochs=2, callbacks=[GradualUnfreezing(1, 0)])
    assert torch.equal(task.bottom[1].running_mean, statistics)
    assert task.bottom[1].track_running_stats
    assert not task.bottom[3].training


def test_p05_resume_finds_the_group_layout_of_the_checkpoint(tmp_path):
    fit(tmp_path / "a", epochs=3, callbacks=[GradualUnfreezing(1, 1), Warmup(3), DiscriminativeLR()])
    groups = []
    for epoch in range(3):
        state = torch.load(tmp_path / "a" / "checkpoints" / f"epoch={epoch}.ckpt", weights_only=True)
        groups.append([group["name"] for group in state["optimizer_states"][0]["param_groups"]])
    assert groups == [["bottom", "middle", "head"]] * 3


def test_p06_model_options_beside_a_checkpoint_are_refused_and_data_options_count(run, ravdess, tmp_path, capsys):
    base = ["test", *AUDIO[1:3], "--data.root", str(ravdess), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    base += ["--trainer.default_root_dir", str(tmp_path)]
    assert cli.main([*base, "--model.head_dropout", "0.9"]) == 2
    assert "--model.head_dropout has no effect" in capsys.readouterr().err
    assert cli.main(base) == 0
    present = (tmp_path / "predictions-test.csv").read_text()
    assert cli.main([*base, "--data.missing", "{audio: 1.0}"]) == 0
    assert (tmp_path / "predictions-test-audio-missing-1.csv").read_text() != present


def test_p07_linked_arguments_are_in_the_checkpoint(run):
    from lightning_modules.ravdess_rivals import AudioOnly

    task = AudioOnly.load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu")
    assert task.num_classes == 8
    assert task.input_shapes == {"audio": [13, 212]}
    assert task.head_dropout.p == 0.25


def test_p08_config_goes_to_the_run_folder_and_a_second_run_is_not_stopped_by_it(ravdess, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before = set(ROOT.iterdir())
    logger = ["--trainer.logger+={class_path: ResilientWandbLogger, init_args: {save_dir: " + str(tmp_path) + "}}"]
    for seed in ("1", "2"):
        assert cli.main(audio(ravdess, tmp_path / seed, "--seed_everything", seed, *logger)) == 0
        assert yaml.safe_load((tmp_path / seed / "config.yaml").read_text())["seed_everything"] == int(seed)
    assert set(ROOT.iterdir()) - before <= {ROOT / ".pytest_cache"}


def test_p09_a_clip_that_the_sampler_repeats_counts_once():
    part = PredictionTable(["a", "b"], ["1", "1"], torch.eye(2), torch.tensor([0, 0]))
    padding = PredictionTable(["c", "a"], ["1", "1"], torch.eye(2), torch.tensor([0, 0]))
    table = PredictionTable.concatenate([part, padding])
    assert table.ids == ["a", "b", "c"]
    assert table.logits.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert classification_metrics(table.logits, table.labels)["accuracy"] == pytest.approx(2 / 3)


def test_p10_p11_every_cell_has_its_own_folder():
    cells = {
        results.run_directory("t", protocol, fold, seed, row=row, synthetic=synthetic)
        for protocol in ("paper", "honest")
        for fold in range(3)
        for seed in range(3)
        for row in ("a", "b")
        for synthetic in (False, True)
    }
    assert len(cells) == 2 * 3 * 3 * 2 * 2


def test_p12_standard_deviation_is_that_of_a_sample():
    from experiments.scores.column_score import Score

    score = Score({0: 0.5, 1: 0.7}, float("nan"), 2, 2, 1, {}, {}, (0.0, 1.0))
    assert score.spread == pytest.approx(np.std([0.5, 0.7], ddof=1)) == pytest.approx(0.2 / 2**0.5)


def test_p13_the_recorded_seed_is_the_one_that_was_used(run, ravdess, tmp_path):
    assert yaml.safe_load((run / "config.yaml").read_text())["seed_everything"] == 5
    assert json.loads((run / "result.json").read_text())["seed"] == 5
    curves = []
    for name, seed in (("same", "5"), ("other", "6")):
        more = ["--seed_everything", seed, "--model.head_dropout", "0.25"]
        assert cli.main(audio(ravdess, tmp_path / name, *more)) == 0
        curves.append(results.read_curves(tmp_path / name / "metrics.csv")["train_loss"])
    assert curves[0] == results.read_curves(run / "metrics.csv")["train_loss"]
    assert curves[1] != curves[0]


@pytest.mark.parametrize(
    ("option", "same"),
    [
        (["--trainer.enable_progress_bar", "false"], True),
        (["--data.num_workers", "3"], True),
        (["--trainer.default_root_dir", "elsewhere"], True),
        (["--trainer.logger+=ResilientWandbLogger"], True),
        (["--model.optimizer.init_args.lr", "0.002"], False),
        (["--data.batch_size", "8"], False),
        (["--data.fold", "1"], False),
        (["--trainer.max_epochs", "2"], False),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_p14_the_request_changes_with_what_matters_and_with_nothing_else(option, same):
    def ask(*more):
        return request_hash(request.request_from_command([*AUDIO[1:], *more], corpus="ravdess", data="x"))

    assert (ask() == ask(*option)) is same


def test_p15_a_parameter_that_no_stage_names_is_an_error():
    class Forgetful(TinyTask):
        def stages(self):
            return {"bottom": [self.bottom], "head": [self.head]}

    with pytest.raises(TypeError, match="misses scale"):
        Forgetful().configure_optimizers()


def test_p16_honest_selection_never_sees_the_test_speakers(ravdess):
    from datamodules.ravdess import RAVDESSDataModule

    for fold in range(6):
        data = RAVDESSDataModule(str(ravdess), fold=fold, protocol="honest")
        speakers = {
            split: {group for batch in loader for group in batch["group"]}
            for split, loader in (
                ("train", data.train_dataloader()),
                ("val", data.val_dataloader()),
                ("test", data.test_dataloader()),
            )
        }
        assert not speakers["val"] & speakers["test"]
        assert not speakers["train"] & (speakers["val"] | speakers["test"])
        assert data.selections == ["selected"]


def test_p17_a_speaker_in_two_splits_is_refused(ravdess, tmp_path):
    from datamodules.ravdess import SPLITS, RAVDESSDataModule

    leaky = tmp_path / "leaky.csv"
    rows = SPLITS.read_text().splitlines()
    leaky.write_text("\n".join(row[:-1] + "5" if row.startswith("01-03") and ",03," in row else row for row in rows))
    with pytest.raises(DataError, match=r"leaky.csv: speakers 03 are in both"):
        _ = RAVDESSDataModule(str(ravdess), splits=str(leaky)).rows


def test_p18_a_batch_of_one_works_everywhere(tmp_path):
    run = trainer(tmp_path, 1)
    task = TinyTask()
    task.bottom[1] = task.middle[1] = torch.nn.Identity()  # BatchNorm over one row cannot train in any library
    run.fit(task, datamodule=TinyData(batch_size=1))
    run.test(task, datamodule=TinyData(batch_size=1), verbose=False)
    assert len(task.predictions.ids) == 8


def test_p19_warm_up_counts_steps(tmp_path):
    rates = []

    class Spy(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *rest):
            rates.append(pl_module.effective_rates["head"])

    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    fit(tmp_path, task, epochs=1, callbacks=[Warmup(4, 0.0), Spy()])
    assert rates == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_p20_a_clip_that_cannot_be_used_fails_the_preparation(tmp_path, capsys):
    source = tmp_path / "raw" / "Actor_01"
    source.mkdir(parents=True)
    (source / "03-01-01-01-01-01-01.wav").write_bytes(b"not audio")
    code = cli.main(["prepare", "ravdess", "--source", str(source.parent), "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert code == 1
    assert "skipped.csv" in out + err
    assert "03-01-01-01-01-01-01" in (tmp_path / "out" / "prepared" / "skipped.csv").read_text()
    assert not (tmp_path / "out" / "prepared" / "COMPLETE").exists()


def test_p21_p22_no_code_reads_the_configuration_of_wandb():
    for path in (
        p for package in ("callbacks", "experiments", "lightning_modules") for p in (ROOT / package).rglob("*.py")
    ):
        assert "wandb.config" not in path.read_text(), path
        assert "wandb.init" not in path.read_text(), path


def test_p23_classes_absent_from_a_small_fold_do_not_pull_the_averages_down():
    from sklearn.metrics import balanced_accuracy_score

    logits, target = torch.eye(3)[[0, 0, 2, 1]], torch.tensor([0, 0, 0, 1])
    expected = balanced_accuracy_score(target, logits.argmax(1))
    assert classification_metrics(logits, target)["uar"] == pytest.approx(expected) == pytest.approx(5 / 6)


def delivered(folder):
    """What a copy without git holds, apart from what running it leaves."""
    left = {".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", "data", "runs", "wandb"}
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [
        path.as_posix() for path in paths if not left & set(path.parts) and "egg-info" not in str(path) and path.suffix
    ]


def test_p24_no_absolute_path_in_a_tracked_file():
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    listed = git.stdout.split() if git.returncode == 0 else delivered(ROOT)
    assert {"cli.py", "README.md", "experiments/cfnsr.yaml"} <= set(listed)
    pattern = re.compile(r"""(?:^|[\s"'=(])/(?:home|root|work|tmp|Users|mnt|data)/\w""")
    for name in listed:
        if (
            Path(name).suffix in {".py", ".yaml", ".toml", ".md", ".txt", ".csv", ""}
            and name != "tests/test_regressions.py"
        ):
            found = pattern.search((ROOT / name).read_text(errors="ignore"))
            assert found is None, f"{name}: {found and found[0]}"


def test_p25_ties_in_accuracy_go_to_the_lower_loss(tmp_path):
    task = TinyTask()
    logged = {}
    task.log_dict = lambda values, **_: logged.update(values)
    scores = []
    for margin in (1.0, 3.0):  # the same decisions, the second time more certain
        task._parts = [PredictionTable(["a", "b"], ["1", "2"], margin * torch.eye(3)[:2], torch.tensor([0, 1]))]
        task._log_evaluation("val")
        scores.append((logged["val_accuracy"], logged["val_score"]))
    assert scores[0][0] == scores[1][0] == 1.0
    assert scores[0][1] < scores[1][1] < 1 + 0.5  # never more than one clip's worth
