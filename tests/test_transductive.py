"""``--data.normalize speaker``: every speaker by all of their own clips, no label read, and stamped wherever shown."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import alter, fill, make_project
from test_clips_data import SPEAKERS
from test_clips_data import write as write_store
from test_precomputed import IDS, PER_SPEAKER, every, make, message, rows, values, write_folder, write_index
from test_report import HERE, options

import cli
from datamodules.errors import DataError
from datamodules.shapes.clips import ClipsDataModule
from experiments.report import command as report
from experiments.report import renderings
from experiments.report.command import summary_of
from experiments.report.tables import report_tables
from experiments.results import cell as results

STAMP = "TRANSDUCTIVE"
# What a report shows of a row: its label without the stamp right before it.
UNSTAMPED = re.compile(r"(?<!TRANSDUCTIVE: )Audio alone")


@pytest.fixture
def root(tmp_path):
    write_index(tmp_path)
    write_folder(tmp_path / "face", values((3,)))
    return tmp_path


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_every_speaker_is_standardised_by_all_clips_of_their_own(root, protocol):
    content = values((3,))
    content = {clip: array * (1 + int(clip[1])) + 50 * int(clip[1]) for clip, array in content.items()}
    write_folder(root / "face", content)
    data = make(root, normalize="speaker", protocol=protocol)
    for split in data.rows:
        batch = every(data, split)
        for place, clip in enumerate(batch["id"]):
            own = np.stack([content[of] for of in IDS if of[:2] == clip[:2]]).astype(np.float64)
            wanted = (content[clip] - own.mean(0)) / own.std(0)
            np.testing.assert_allclose(batch["face"][place], wanted, rtol=1e-4, atol=1e-5)
    assert data.transductive
    assert not make(root).transductive


def test_no_label_is_read_and_clips_without_one_count(root):
    before = make(root, normalize="speaker").tables["face"]
    write_index(root, [{**row, "target": str((place * 7) % 3)} for place, row in enumerate(rows())])
    torch.testing.assert_close(make(root, normalize="speaker").tables["face"], before, rtol=0, atol=0)
    write_index(root, [{**row, "value_joy": "" if place % 2 else "0.5"} for place, row in enumerate(rows())])
    torch.testing.assert_close(make(root, normalize="speaker").tables["face"], before, rtol=0, atol=0)


def test_sequences_are_standardised_feature_by_feature_and_training_statistics_follow(root):
    rng = np.random.default_rng(3)
    content = {clip: rng.normal(int(clip[1]) * 9, 2, (4 + place % 3, 2)) for place, clip in enumerate(IDS)}
    write_folder(root / "face", {clip: array.astype(np.float32) for clip, array in content.items()})
    data = make(root, normalize="speaker")
    steps = np.concatenate([data.tables["face"].items[row] for row in range(PER_SPEAKER)])
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(steps.std(0), 1, rtol=1e-5)
    scaled = make(root, normalize="speaker", standardize="all")
    first, again = (of.tables["face"].items[0] for of in (data, scaled))
    torch.testing.assert_close(first, again, rtol=1e-4, atol=1e-5)  # the training clips are at 0 and 1 already


@pytest.mark.parametrize("kind", ["bytes", "alone"])
def test_what_cannot_be_standardised_by_speakers_is_refused_in_one_line(root, kind):
    if kind == "bytes":
        write_folder(root / "face", {clip: array.astype(np.uint8) for clip, array in values((3,)).items()})
        wanted = "--data.normalize speaker: face is bytes, as pictures are"
    else:
        write_index(root, [{**row, "group": "x" if place == 3 else row["group"]} for place, row in enumerate(rows())])
        wanted = "--data.normalize speaker: at least two clips of everyone are needed, and there is one of x"
    told = message(lambda: make(root, normalize="speaker").tables)
    assert wanted in told
    assert "\n" not in told


def test_arrays_of_a_store_are_standardised_and_what_holds_nothing_stays_zero(tmp_path):
    def change(clip, arrays):
        mfcc = arrays["mfcc"] * (1 + clip // 4) + 30 * (clip // 4)
        mfcc[:, 20 - clip % 3 :] = 0  # short clips end in zeros
        return {**arrays, "mfcc": mfcc} if mfcc.size else arrays

    path = write_store(
        tmp_path, ("mfcc", "spec_5"), change=change, lacking=lambda clip, name: (clip, name) == (1, "mfcc")
    )
    reads = {"modalities": ["audio", "spec"], "arrays": {"spec": "spec_5"}}
    plain, data = (ClipsDataModule(path, normalize=how, **reads) for how in ("none", "speaker"))
    found: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in reads["modalities"]}
    for split in data.rows:
        before, batch = every(plain, split), every(data, split)
        for name, pooled in found.items():
            torch.testing.assert_close(batch[name] == 0, before[name] == 0)
            torch.testing.assert_close(batch["mask"][name], before["mask"][name])
            for place, speaker in enumerate(batch["group"]):
                values = batch[name][place].numpy()
                steps = values.T if name == "audio" else np.moveaxis(values, 2, -1).reshape(-1, values.shape[2])
                pooled.setdefault(speaker, []).append(steps[steps.any(1)])
    for pooled in found.values():
        assert len(pooled) == SPEAKERS
        for steps in map(np.concatenate, pooled.values()):
            np.testing.assert_allclose(steps.mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(steps.std(0), 1, rtol=1e-4)


@pytest.mark.parametrize(("arrays", "modality", "what"), [
    (("video", "mfcc"), "video", "faces"), (("text", "mfcc"), "text", "tokens"), (("wave", "mfcc"), "wave", "wave"),
])  # fmt: skip
def test_pictures_tokens_and_waves_of_a_store_are_refused(tmp_path, arrays, modality, what):
    path = write_store(tmp_path, arrays)
    data = ClipsDataModule(path, normalize="speaker", modalities=[modality, "audio"])
    with pytest.raises(DataError, match=rf"^--data.normalize speaker: {modality} is {what}, no features; [^\n]*$"):
        _ = data.input_shapes


@pytest.mark.usefixtures("unrendered")
def test_a_run_says_so_and_so_does_its_checkpoint(features, tmp_path, capfd):
    run = tmp_path / "run"
    fit = ["fit", "--config", "experiments/features.yaml", "--data.root", str(features), "--trainer.max_epochs", "1"]
    fit += ["--data.protocol", "honest"]
    assert cli.main([*fit, "--data.normalize", "speaker", "--trainer.default_root_dir", str(run)]) == 0
    assert f"{STAMP}: selected" in capfd.readouterr().out
    assert results.read_result(run)["transductive"] is True
    best = ["--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert stored["PrecomputedTensorDataModule"]["normalize"] == "speaker"
    test = ["test", *fit[1:5], "--data.protocol", "honest", *best]
    assert cli.main([*test, "--data.normalize", "speaker"]) == 0
    assert STAMP in capfd.readouterr().out
    assert (run / "predictions-test-transductive.csv").read_text() == (run / "predictions-selected.csv").read_text()
    assert cli.main(test) == 2
    error = capfd.readouterr().err
    assert "was trained with speaker; evaluate it with --data.normalize speaker, on at least two clips of each" in error
    clip = features.parent / "clip.wav"
    clip.touch()
    assert cli.main(["predict", *best, "--clips", str(clip)]) == 2
    assert "predict --config with --data.normalize speaker, on at least two clips of each" in capfd.readouterr().err
    assert cli.main(["report", "--run", str(run)]) == 0
    for text in ((run / "report.md").read_text(), (run / "report.html").read_text(), capfd.readouterr().out):
        assert f"{STAMP}: features on " in text
        assert f"{STAMP}: every speaker was standardised" in text
    plain = tmp_path / "plain"
    assert cli.main([*fit, "--trainer.default_root_dir", str(plain)]) == 0
    assert STAMP not in capfd.readouterr().out
    assert cli.main(["report", "--run", str(run), str(plain), "--out", str(tmp_path)]) == 2
    assert "its transductive is" in capfd.readouterr().err


def test_transductive_rows_stand_apart_in_every_table_and_are_compared_with_each_other_alone(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(make_project(tmp_path))
    planner = fill()
    before = summary_of(planner)
    assert STAMP not in renderings.whole_markdown(report_tables.report_of(before))
    alter("audio", transductive=True)
    summary = summary_of(planner)
    assert [row.transductive for row in summary.rows] == [False, False, True]
    assert [row.row.name for row in summary.rows] == ["video", "pair", "audio"]
    video, pair, audio = summary.rows
    assert np.isfinite(pair.p)  # against video, which is now the one above
    assert np.isnan(audio.p)
    assert np.isnan(video.p)
    alter("video", transductive=True)
    both = summary_of(planner)
    assert [row.row.name for row in both.rows] == ["pair", "video", "audio"]
    assert np.isnan(both.rows[0].p)
    assert np.isfinite(both.rows[2].p)
    alter("video", transductive=False)
    assert report.run(options("toy"), HERE) == 0
    printed = capsys.readouterr().out
    for text in (printed, *((Path("runs/report") / f"toy.{ending}").read_text() for ending in ("md", "tex", "html"))):
        assert STAMP in text
        assert not UNSTAMPED.search(text)
    names = [cells[0] for cells in report_tables.main_table(summary).rows]
    heading = f"{STAMP}, no comparison with the rows above: speakers standardised by their own clips"
    assert names == ["Video alone", "Pair_50 %", "Majority class", heading, f"{STAMP}: Audio alone"]
    assert f"| {heading} |  |" in printed.replace("| |", "|  |")
    for table in report_tables.report_of(summary).tables:
        first = [cells[0] for cells in table.rows]
        if any(name.startswith(f"{STAMP}: ") for name in first):
            assert len(table.rows[first.index(f"{STAMP}: Audio alone") - 1]) == 1


def test_a_result_of_before_the_stamp_is_not_transductive(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    fill(rows=["audio"])
    path = next(Path("runs/toy/audio").rglob("result.json"))
    results.write_json(path, {name: of for name, of in results.read_json(path).items() if name != "transductive"})
    assert results.read_cell(path.parent).result["transductive"] is False
