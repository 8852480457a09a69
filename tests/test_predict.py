"""Raw files asked about: what a checkpoint says of them is what its own run said of the same clips."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import leave_blank, stand_in
from matplotlib import image

import affectzoo
import cli
from datamodules.errors import DataError
from datamodules.media.clip import read_clip
from datamodules.media.frames import to_rgb
from experiments.errors import UsageError
from experiments.predict.legend import legend
from experiments.predict.loaded.clips import rows_of, write_arrays
from experiments.predict.record import NAME

ROOT = Path(__file__).resolve().parents[1]
SMALL = "{class_path: ResNeXt3D, init_args: {layers: [1, 1, 1, 1], width: 8, cardinality: 4}}"


def fit(root, out, name, *options):
    """A run of an experiment on its stand-in."""
    configs = [f"experiments/{folder}{name}.yaml" for folder in ("", "synthetic/")]
    words = [word for path in configs for word in ("--config", path)]
    place = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callbacks.plots.save", leave_blank)
        assert cli.main(["fit", *words, *root, *place, *options]) == 0
    return out


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A stand-in of RAVDESS, raw and prepared."""
    root = tmp_path_factory.mktemp("data") / "ravdess"
    return stand_in(root, "ravdess", "--views.video.size", "32", clips=48)


@pytest.fixture(scope="module")
def run(raw, tmp_path_factory):
    smaller = ["--model.video", SMALL, "--data.frames", "4", "--data.image_size", "32"]
    return fit(["--data.root", str(raw)], tmp_path_factory.mktemp("runs") / "cfnsr", "cfnsr", *smaller)


@pytest.fixture(scope="module")
def model(run):
    return affectzoo.load(run)


@pytest.fixture(scope="module")
def said(run):
    """What the run said of its test clips."""
    with (run / "predictions-best.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def silent(raw, said, tmp_path):
    """A test clip without its sound, beside a folder of landmarks."""
    source = clip_of(raw, next(iter(said)))
    path = tmp_path / "clips" / source.name
    path.parent.mkdir()
    shutil.copytree(raw / "landmarks", tmp_path / "landmarks")
    with av.open(str(source)) as given, av.open(str(path), "w") as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                taken.mux(packet)
    return path


def clip_of(raw, name):
    return next(raw.glob(f"*/{name}.mp4"))


def largest_difference(model, answer, row):
    return max(abs(answer.probabilities[name] - float(row[f"p_{name}"])) for name in model.classes)


def changed(run, path, change):
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def test_an_answer_is_that_of_the_run(model, raw, said):
    files = [clip_of(raw, name) for name in said]
    answers = model(files)
    assert [answer.file for answer in answers] == [str(file) for file in files]
    for answer, row in zip(answers, said.values(), strict=True):
        assert largest_difference(model, answer, row) < 1e-6
        assert answer.label == max(model.classes, key=lambda name: float(row[f"p_{name}"]))
        assert answer.synthetic
        assert not answer.missing
    alone = model(files[0])
    assert alone.probabilities == pytest.approx(answers[0].probabilities, abs=1e-6)
    assert alone.attention.ndim == 3
    np.testing.assert_allclose(alone.attention.sum((1, 2)), 1, rtol=1e-5)
    assert alone.seen.shape == (len(alone.attention), 32, 32, 3)
    assert not {"attention", "seen"} & alone.to_dict().keys()
    assert alone.seconds == pytest.approx(read_clip(files[0], lambda _: np.zeros(1)).duration, abs=0.1)
    assert json.loads(json.dumps(alone.to_dict()))["label"] == alone.label
    assert alone.plot().axes


def test_a_clip_without_sound_is_answered_by_its_pictures(model, silent, raw, said):
    answer = model(silent)
    assert list(answer.missing) == ["audio"]
    assert answer.attention is not None  # over the frames, which are there
    assert "no audio" in answer.missing["audio"]
    together = model([silent, clip_of(raw, next(iter(said)))])
    assert together[0].probabilities == pytest.approx(answer.probabilities, abs=1e-6)
    assert together[1].probabilities != pytest.approx(answer.probabilities, abs=1e-3)


def test_a_wave_in_memory_is_that_of_its_file(model, raw, said, tmp_path):
    wave = read_clip(clip_of(raw, next(iter(said))), None, [44100]).waves[44100]
    path = write_arrays({"wave": wave, "rate": 44100}, tmp_path / "x.mkv")
    assert path.suffix == ".wav"
    assert np.array_equal(read_clip(path, None, [44100]).waves[44100], wave)
    answer = model(wave=wave.astype(np.float32) / 32767, rate=44100)
    assert answer.probabilities == pytest.approx(model(path).probabilities, abs=1e-6)
    assert list(answer.missing) == ["video"]
    assert answer.attention is answer.seen is None
    for name, given in {"wave": {"wave": wave}, "rate": {"wave": wave, "rate": 0}, "frames": {"frames": wave}}.items():
        with pytest.raises(DataError, match=f"{name}|rate"):
            model(**given)


def test_frames_in_memory_are_read_back_to_the_bit(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 34, 3), dtype=np.uint8)
    path = write_arrays({"frames": frames, "fps": 12.5, "wave": np.zeros(8000), "rate": 16000}, tmp_path / "x.mkv")
    found = read_clip(path, lambda seconds: np.arange(5) / 12.5, [16000])
    assert np.array_equal(np.stack([to_rgb(frame) for frame in found.frames]), frames)
    assert found.duration == pytest.approx(0.4, abs=1e-3)


def test_what_cannot_be_answered_does_not_stop_the_others(model, raw, said, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    asked = [tmp_path / "text.mp4", tmp_path / "absent.mp4", tmp_path / "x.doc", clip_of(raw, next(iter(said)))]
    answers = model(asked)
    assert [bool(answer.problem) for answer in answers] == [True, True, True, False]
    assert "not a media file" in answers[0].problem
    assert "no such file" in answers[1].problem
    with pytest.raises(DataError, match="not a media file"):
        model(asked[0])
    with pytest.raises(DataError, match="age: nothing of that name is read"):
        model(asked[3], age="young")


def test_the_command_writes_a_row_a_clip_and_carries_on(run, raw, said, tmp_path, capsys, monkeypatch):
    name = next(iter(said))
    folder, out = clip_of(raw, name).parent, tmp_path / "answers"
    table = tmp_path / "asked.csv"
    table.write_text(f"file,label,start,end\n{clip_of(raw, name)},angry,0.1,3.5\nabsent.mp4,calm,,\n")
    command = ["predict", "--ckpt_path", str(run), "--clips", str(folder), str(folder / "*.mp4"), str(table),
               "--out", str(out), "--workers", "1"]  # fmt: skip
    assert cli.main(command) == 0
    told = capsys.readouterr().out
    assert "SYNTHETIC: trained on a stand-in" in told
    assert "1 of" in told
    assert "have no answer: " in told
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    clips = len(list(folder.glob("*.mp4")))
    assert len(rows) == 2 * clips + 2
    row = next(row for row in rows if Path(row["file"]).stem == name)
    assert (
        max(
            abs(float(row[f"p_{one}"]) - float(said[name][f"p_{one}"]))
            for one in json_of(out)["outputs"]["class"]["classes"]
        )
        < 2e-6
    )
    assert rows[-2]["seconds"] == "3.400"
    assert rows[-2]["start"] == "0.1"
    assert rows[-1]["problem"] == "no such file"
    whole, record = (out / "predictions.json").read_bytes(), out / NAME
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[:2]) + lines[2][:20])  # killed
    assert cli.main(command) == 0
    assert f"of {len(rows)} clips were answered before" in capsys.readouterr().out
    assert (out / "predictions.json").read_bytes() == whole
    other = changed(run, tmp_path / "other.ckpt", lambda content: content["state_dict"]["head.bias"].zero_())
    assert cli.main(["predict", "--ckpt_path", str(other), *command[3:]]) == 2
    assert "holds the answers of another model" in capsys.readouterr().err


def test_a_pattern_of_folders_is_their_clips(model, raw):
    folders = sorted(raw.glob("Actor_*"))
    rows = rows_of([str(raw / "Actor_*")], model.reader)
    assert [row["file"] for row in rows] == [str(clip) for folder in folders for clip in sorted(folder.glob("*.mp4"))]
    assert rows_of([str(raw / "**")], model.reader)  # files and folders: the files
    with pytest.raises(DataError, match=r"landmark\*: no video, sound or picture in this folder"):
        rows_of([str(raw / "landmark*")], model.reader)


def test_a_table_of_a_header_alone_is_refused(model, tmp_path):
    (tmp_path / "asked.csv").write_text("file,label\n")
    with pytest.raises(DataError, match=r"asked\.csv: no row below its header"):
        rows_of([str(tmp_path / "asked.csv")], model.reader)


def test_a_clip_of_which_nothing_is_left_says_why_by_modality(model, silent):
    moved = silent.rename(silent.parents[1] / "unknown.mp4")  # without its landmarks
    assert model([moved])[0].problem == "video: no landmark file of that name; audio: no audio stream"


def test_faces_of_files_are_told_in_the_legend(model):
    assert any("landmarks/NAME.csv beside a clip" in line for line in legend(model))


def test_all_persons_are_refused_by_that_name(run, raw, tmp_path, capsys):
    command = ["predict", "--ckpt_path", str(run), "--clips", str(raw / "Actor_01"), "--out", str(tmp_path)]
    assert cli.main([*command, "--person", "all"]) == 2
    assert "error: person all: BlazeFace tells people apart" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--ckpt_path", "runs/x"], ["--ckpt_path", "runs/x", "--out", "a"]])
def test_predict_without_clips_asks_for_them(words, capsys):
    assert cli.main(["predict", *words]) == 2
    assert "--clips: required" in capsys.readouterr().err.replace("--ckpt_path, --clips", "--clips")


def test_the_help_of_predict_is_that_about_clips(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "--help"])
    assert not ended.value.code
    told = " ".join(capsys.readouterr().out.split())
    assert "--clips PATH" in told
    assert "With --config, in place of --clips" in told


def test_a_line_names_the_part_that_was_asked_about_and_the_legend_its_windows(run, raw, said, tmp_path, capsys):
    clip, table = clip_of(raw, next(iter(said))), tmp_path / "asked.csv"
    table.write_text(f"file,start,end,text\n{clip},0.25,3.5,\n{clip},0.25,,\n{clip},,,\n,,,Hello\n")
    command = [
        "predict",
        "--ckpt_path",
        str(run),
        "--clips",
        str(table),
        "--out",
        str(tmp_path / "a"),
        "--workers",
        "1",
    ]
    assert cli.main([*command, "--window", "60"]) == 0
    told = capsys.readouterr().out
    assert f"{clip} from 0.25 s to 3.5 s: " in told
    assert f"{clip} from 0.25 s: " in told
    assert f"{clip}: " in told
    assert "Hello: no answer: no file; the model reads video, audio, no text" in told
    assert "a file longer than 60 s is the mean over its windows of 60 s" in told


def test_what_python_is_given_wrongly_is_said_in_a_line(run, model, raw):
    assert repr(model).startswith("CFNSR of video, audio: neutral, ")
    with pytest.raises(DataError, match="--window '2': give seconds, as a number"):
        model(raw / "Actor_01", window="2")
    with pytest.raises(DataError, match="a folder; give its files, as a list"):
        model(raw / "Actor_01")
    with pytest.raises(UsageError, match="--device gpu: no device of that name; give cpu or cuda"):
        affectzoo.load(run, "gpu")


def test_arrays_are_named_as_such_and_numbers_of_numpy_are_numbers(model):
    wave = np.sin(np.arange(64000) / 20)
    assert model(wave=wave, rate=np.int64(16000)).file == "wave"
    frames = np.zeros((90, 48, 64, 3), np.uint8)
    assert model(frames=frames, fps=np.float32(25), wave=wave, rate=np.float32(16000)).file == "frames and wave"
    with pytest.raises(DataError, match=r"^frames: video: no landmark"):
        model(frames=frames, fps=25)
    with pytest.raises(DataError, match="rate: give the number"):
        model(wave=wave, rate=float("inf"))


def test_pictures_are_drawn_where_the_command_says(run, raw, said, tmp_path, capsys):
    clip, out = clip_of(raw, next(iter(said))), tmp_path / "answers"
    (tmp_path / "text.mp4").write_text("no film")
    command = ["predict", "--ckpt_path", str(run), "--clips", str(clip), str(tmp_path / "text.mp4"), "--out", str(out),
               "--workers", "1"]  # fmt: skip
    assert cli.main(command) == 0
    assert "pictures: " not in capsys.readouterr().out
    assert cli.main([*command, "--plots"]) == 0  # of what was answered before, too
    told = capsys.readouterr().out
    assert f"pictures: {out / 'plots'}" in told
    assert "1 of 2 clips were answered before" in told
    (picture,) = (out / "plots").iterdir()
    assert picture.name.startswith(f"{clip.stem}-")
    red = image.imread(picture)[..., :3]
    assert ((red[..., 0] > red[..., 1] + 0.1) & (red[..., 0] > red[..., 2] + 0.1)).any()  # the stamp
    assert cli.main([*command, "--plots"]) == 0
    assert "2 of 2 clips were answered before" in capsys.readouterr().out


def json_of(out):
    return json.loads((out / "predictions.json").read_text())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content["RAVDESSDataModule"].pop("reading"), "does not say how a raw file"),
        (lambda content: content.pop("RAVDESSDataModule"), "does not say how a raw file"),
        (lambda content: content["RAVDESSDataModule"].update(prepared_by={}), "by what recipe"),
        (lambda content: content["RAVDESSDataModule"]["reading"].update(data="os.system"), "does not say how"),
        (lambda content: views(content)["video"].update(view="../../os"), "none of the views"),
        (lambda content: views(content)["video"].update(view="canary.Module"), "none of the views"),
        (lambda content: views(content)["video"].update(size="large"), "size is 'large', not like"),
        (lambda content: views(content)["video"].update(size=10**9), "from 8 to 4096"),
        (lambda content: views(content).pop("video"), "makes no video"),
        (lambda content: content["hyper_parameters"].update(_class_path="canary.Net"), "canary"),
        (lambda content: content["hyper_parameters"].update(_class_path="os.system"), "os"),
        (lambda content: content["hyper_parameters"]["video"].update(class_path="canary.Net"), "canary"),
        (lambda content: content["hyper_parameters"].update(strange=1), "strange"),
        (lambda content: content["state_dict"]["head.bias"].fill_(float("nan")), "head.bias holds NaN"),
        (lambda content: content["state_dict"].update({"head.bias": torch.zeros(3)}), "differs in shape"),
        (lambda content: content["state_dict"].pop("head.bias"), "lacks head.bias"),
    ],
)  # fmt: skip
def test_a_strangers_checkpoint_is_refused_in_one_line(run, tmp_path, capsys, change, told, raw, monkeypatch):
    (tmp_path / "canary.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = changed(run, tmp_path / "strange.ckpt", change)
    assert (
        cli.main(["predict", "--ckpt_path", str(path), "--clips", str(raw / "Actor_01"), "--out", str(tmp_path)]) == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert "strange.ckpt" in line
    assert told in line
    assert "canary" not in sys.modules


def views(content):
    return content["RAVDESSDataModule"]["prepared_by"]["views"]


def test_what_names_code_or_a_place_in_a_recipe_is_passed_over(run, tmp_path, said, raw):
    def change(content):
        views(content)["video"] |= {"landmarks": "/", "detector": "canary:run"}

    answer = affectzoo.load(changed(run, tmp_path / "x.ckpt", change))(clip_of(raw, next(iter(said))))
    assert not answer.missing


@pytest.mark.parametrize(("path", "told"), [("absent.ckpt", "no such file"), (".", "no run's folder")])
def test_a_path_that_is_no_model_is_one_line(path, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        affectzoo.load(tmp_path / path)


def test_the_package_is_imported_without_torch():
    code = "import sys, affectzoo; print({'torch', 'numpy'} & set(sys.modules) or 'light')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "light\n"
    with pytest.raises(AttributeError, match="nothing"):
        affectzoo.nothing  # noqa: B018
    assert affectzoo.Answer("x").file == "x"
