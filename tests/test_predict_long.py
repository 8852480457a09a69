"""Long files: answered in windows, decoded in one pass, and the same of every window as of that part alone."""

import csv
import json
from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import stand_in
from PIL import Image
from test_blazeface import drawn
from test_predict import SMALL, changed, fit, views

import affectzoo
import cli
from datamodules.entries import Media
from datamodules.errors import DataError
from datamodules.media.blazeface import find_faces
from datamodules.media.clip import read_clip
from datamodules.media.container import probe
from datamodules.media.films.one_pass import ClipStream
from datamodules.media.frames import to_rgb
from datamodules.media.part import Part
from datamodules.media.pictures import read_picture
from datamodules.views.base import Times
from datamodules.views.face import Face, cut
from experiments.predict.loaded import windows
from experiments.predict.loaded.clip_answer import no_answer
from experiments.predict.loaded.clips import entry_of, write_arrays
from experiments.predict.loaded.everybody import people_of
from experiments.predict.loaded.windows import joined, usual_window, windows_of
from experiments.predict.record import NAME, Record

KINDS = {"a.mp4": ("libx264", "aac"), "a.mkv": ("mpeg4", "pcm_s16le"), "a.avi": ("mpeg4", "pcm_s16le")}


def film(path, seconds, rate=10, codecs=("mpeg4", "aac"), size=(64, 48)):
    """A film whose pictures and sound change all the time, with B-frames and a key frame every five seconds."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        video = out.add_stream(codecs[0], rate=rate)
        (video.width, video.height), video.pix_fmt = size, "yuv420p"
        video.gop_size, video.max_b_frames = 5 * rate, 2
        sound = out.add_stream(codecs[1], rate=16000, layout="mono")
        for step in range(round(seconds * rate)):
            picture = np.kron(random.integers(0, 255, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            wave = np.sin(np.arange(16000 // rate) * (0.05 + 0.001 * (step % 50))) * (0.2 + 0.01 * (step % 30))
            if codecs[1] == "aac":
                samples = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
            else:
                samples = av.AudioFrame.from_ndarray((wave[None] * 20000).astype(np.int16), "s16", "mono")
            samples.sample_rate, samples.pts = 16000, step * 16000 // rate
            samples.time_base = Fraction(1, 16000)
            out.mux(sound.encode(samples))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of CFN-SR on whole frames, small."""
    whole = ("--views.video.size", "32", "--views.video.face", "none")
    root = stand_in(tmp_path_factory.mktemp("data") / "ravdess", "ravdess", *whole, clips=48)
    smaller = ["--model.video", SMALL, "--data.frames", "4", "--data.image_size", "32"]
    return fit(["--data.root", str(root)], tmp_path_factory.mktemp("runs") / "cfnsr", "cfnsr", *smaller)


@pytest.fixture(scope="module")
def model(run):
    return affectzoo.load(run)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return film(tmp_path_factory.mktemp("films") / "long.mp4", 20)


def test_a_window_is_answered_as_that_part_is(model, long):
    assert usual_window(model.reader) == 3.0  # MFCCs from 0.5 s on, of 2.45 s
    answer = model(long)
    spans = [(one["start"], one["end"]) for one in answer.over_time]
    assert spans[:6] == [(3 * place, 3 * place + 3) for place in range(6)]
    assert spans[6:] == [(pytest.approx(17, abs=0.1), pytest.approx(20, abs=0.1))]
    for one in answer.over_time:
        alone = model({"file": long, "start": one["start"], "end": one["end"]})
        assert not alone.over_time
        for name in ("probabilities", "weights", "values"):
            assert one[name] == pytest.approx(getattr(alone, name), abs=1e-6)
    mean = np.mean([list(one["probabilities"].values()) for one in answer.over_time], axis=0)
    assert list(answer.probabilities.values()) == pytest.approx(mean)
    assert answer.seconds == pytest.approx(20, abs=0.2)
    assert not answer.missing
    part = model({"file": long, "start": 5.0, "end": 15.0})
    assert [one["start"] for one in part.over_time] == [0, 3, 6, 7]  # of the part
    again = model({"file": long, "start": 8.0, "end": 11.0})
    assert part.over_time[1]["probabilities"] == pytest.approx(again.probabilities, abs=1e-6)


def test_the_answer_about_a_short_file_is_that_of_all_of_it(model, tmp_path):
    path = film(tmp_path / "short.mp4", 8)
    assert not model(path).over_time
    assert len(model(path, window=4.0).over_time) == 2
    assert len(model(path, window=4.0, hop=1.0).over_time) == 5


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("window", "hop"), [(3.0, 3.0), (3.0, 0.7)])
def test_one_pass_decodes_what_every_part_alone_does(tmp_path, name, window, hop):
    path = film(tmp_path / name, 14, codecs=KINDS[name])
    parts = [Part(hop * place, hop * place + window) for place in range(int((14 - window) / hop) + 1)]
    parts = [*parts, Part(14 - window, 14.0), Part(20.0, 23.0)]
    stream = ClipStream(path, parts, Times(5), [16000])
    for part in parts[:-1]:
        found, alone = stream.read(part), read_clip(path, Times(5), [16000], part.start, part.end)
        assert found.duration == alone.duration
        assert np.array_equal(found.times, alone.times)
        assert np.array_equal(found.clock, alone.clock)
        assert np.array_equal(found.waves[16000], alone.waves[16000])
        for one, other in zip(found.frames, alone.frames, strict=True):
            assert np.array_equal(to_rgb(one), to_rgb(other))
    with pytest.raises(DataError, match="lies outside the file"):
        stream.read(parts[-1])
    stream.close()


def test_every_packet_is_read_and_every_frame_decoded_once(tmp_path):
    """The parts begin between key frames, so that each of them alone would decode what came before."""
    path = film(tmp_path / "a.mp4", 30)
    stream = ClipStream(path, parts := [Part(3.0 * place, 3.0 * place + 3) for place in range(10)], Times(30))
    count = 0
    decode = stream.frames._decode

    def counting(packet):
        nonlocal count
        count += packet is not None
        return decode(packet)

    stream.frames._decode = counting
    for part in parts:
        stream.read(part)
    assert 290 <= count <= 310  # a key frame may be passed over


def test_what_is_held_does_not_grow_with_the_file(tmp_path):
    most = {}
    for seconds in (20, 80):
        path = film(tmp_path / f"{seconds}.mp4", seconds)
        parts = [Part(3.0 * place, 3.0 * place + 3) for place in range(seconds // 3)]
        stream = ClipStream(path, parts, Times(30), [16000])
        held = []
        for part in parts:
            stream.read(part)
            held.append((len(stream._held), len(stream.frames._kept), len(stream._plans), len(stream._films)))
        most[seconds] = np.max(held, axis=0)
    assert (most[80] <= 1.2 * most[20]).all()


def test_a_stream_that_ends_early_does_not_have_the_rest_of_the_file_held(tmp_path):
    path, part = tmp_path / "a.mkv", Part(10.0, 13.0)
    with av.open(str(film(tmp_path / "whole.mkv", 90))) as whole, av.open(str(path), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None and (packet.stream.type == "video" or packet.pts * packet.time_base < 5):
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    stream = ClipStream(path, [part, Part(13.0, 16.0)], Times(5), [16000])
    with pytest.raises(DataError, match="no audio"):
        stream.read(part)
    assert len(stream._held) < 10 * 60
    assert len(read_clip(path, Times(5), (), 10.0, 13.0).frames) == 5


def test_the_arrays_of_a_window_go_before_those_of_the_next(model, long, monkeypatch):
    """Batches are asked for one after the other: no more windows are decoded than the model is given."""
    made = []
    rows = windows_of({"file": long}, model.reader, 1.0)
    entries = [entry_of(row, str(place), model.reader)[0] for place, row in enumerate(rows)]
    monkeypatch.setattr(
        model.reader, "prepare", lambda *args, of=model.reader.prepare: (made.append(1) or one for one in of(*args))
    )
    answers = model.of_entries(entries, batch_size=4)
    next(answers)
    assert len(made) == 4
    answers.close()


def test_a_file_that_does_not_say_how_long_it_is_is_cut_too(model, tmp_path):
    path = film(tmp_path / "a.mkv", 12)
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88")  # Matroska's Duration, a double
    path.write_bytes(content[:at] + b"\xec\x89" + content[at + 2 :])  # Void
    answer = model(path)
    assert len(answer.over_time) == 4
    assert answer.seconds == pytest.approx(12, abs=0.2)


def test_the_command_carries_on_within_a_file(run, long, tmp_path, capsys, monkeypatch):
    out = tmp_path / "answers"
    command = ["predict", "--ckpt_path", str(run), "--clips", str(long), "--out", str(out), "--workers", "1",
               "--batch_size", "2", "--window", "2", "--hop", "1", "--plots"]  # fmt: skip
    add = Record.add

    def killed(self, row, answer):
        add(self, row, answer)
        if row["start"] == 5.0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Record, "add", killed)
        assert cli.main(command) not in (0, 1, 2)
    assert len((out / NAME).read_text().splitlines()) == 1 + 6
    capsys.readouterr()
    assert cli.main(command) == 0
    assert "6 of 19 windows were answered before" in capsys.readouterr().out
    with next((out / "curves").glob("long-*.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    (answer,) = json.loads((out / "predictions.json").read_text())["answers"]
    assert len(rows) == len(answer["over_time"]) == 19
    assert rows[4].keys() == {"start", "end", *(f"p_{name}" for name in answer["probabilities"]), "face"}
    for row, one in zip(rows, answer["over_time"], strict=True):
        assert (float(row["start"]), float(row["end"])) == pytest.approx((one["start"], one["end"]), abs=1e-3)
        assert float(row["p_calm"]) == pytest.approx(one["probabilities"]["calm"], abs=1e-5)
    assert next((out / "plots").glob("long-*.png")).stat().st_size > 10_000
    whole = affectzoo.load(run)(long, window=2.0, hop=1.0)
    assert answer["probabilities"] == pytest.approx(whole.probabilities, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--window", "0.01"), "--window 0.01"),
        (("--window", "3", "--hop", "4"), "--hop 4.0"),
        (("--hop", "1"), "--window SECONDS"),
    ],
)
def test_windows_that_are_none_are_one_line(run, long, tmp_path, capsys, options, told):
    command = ["predict", "--ckpt_path", str(run), "--clips", str(long), "--out", str(tmp_path / "out"), *options]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_window_without_an_answer_is_told_and_left_out(model, long):
    rows = windows_of({"file": long}, model.reader)
    answers = list(model.of_parts(rows))
    bad = no_answer(entry_of(rows[2], "2", model.reader)[0], "no face", model.about)
    mixed = joined({"file": long}, rows, [*answers[:2], bad, *answers[3:]], {})
    assert [one["start"] for one in mixed.over_time] == [0, 3, 9, 12, 15, pytest.approx(17, abs=0.1)]
    assert mixed.missing == {"1 of 7 windows": "no face"}
    assert "in none of 7 windows: no face" in joined({"file": long}, rows, [bad] * 7, {}).problem


def test_chunks_of_a_long_video_have_the_windows_of_the_whole(trained, daisee, monkeypatch):
    model = affectzoo.load(trained("engagement_face", "honest"))
    path = max(daisee.rglob("*.mp4"), key=lambda path: probe(path).seconds)
    whole = model(path)
    monkeypatch.setattr(windows, "CHUNK", 2.0)
    assert len(windows_of({"file": path}, model.reader)) > 1
    chunked = model(path)
    assert [(one["start"], one["end"]) for one in chunked.over_time] == [
        (pytest.approx(one["start"]), pytest.approx(one["end"])) for one in whole.over_time
    ]
    for one, other in zip(chunked.over_time, whole.over_time, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    with pytest.raises(DataError, match="windows or frames of its own"):
        model(path, window=2.0)


@pytest.fixture(scope="module")
def follower(run, tmp_path_factory):
    """The checkpoint as if its training had found faces by BlazeFace."""
    with_faces = {"face": "detector", "finder": "blazeface", "person": "largest", "align": False}
    path = tmp_path_factory.mktemp("runs") / "follower.ckpt"
    return changed(run, path, lambda content: views(content)["video"].update(with_faces))


def two_people(path, seconds):
    """A film of a small face on the left and a large one on the right, with sound."""
    picture = drawn((90, 150, 40), (330, 180, 55))
    frames = np.repeat(picture[None], round(seconds * 5), axis=0)
    wave = np.sin(np.arange(round(seconds * 16000)) * 0.05) * np.linspace(0.1, 0.5, round(seconds * 16000))
    return write_arrays({"frames": frames, "fps": 5, "wave": wave, "rate": 16000}, path)


def test_of_two_people_the_one_that_is_followed_is_said_and_chosen(follower, tmp_path):
    model, path = affectzoo.load(follower), two_people(tmp_path / "two.mkv", 3.5)
    usual = model(path)
    assert (usual.person, usual.people) == ("2 of 2, the largest", 2)
    assert "; person 2 of 2, the largest" in str(usual)
    left, right = model([{"file": path, "person": "1"}, {"file": path, "person": 2}])
    assert (left.person, right.person) == ("1 of 2", "2 of 2")
    assert right.probabilities == pytest.approx(usual.probabilities, abs=1e-6)
    assert left.probabilities != pytest.approx(usual.probabilities, abs=1e-6)
    none = model(path, person=3)
    assert "no face of person 3" in none.missing["video"]
    assert none.person == ""
    with pytest.raises(DataError, match="person tallest: give largest, central, or a number"):
        model(path, person="tallest")


def test_everybody_has_an_answer_and_a_curve(follower, tmp_path, capsys):
    path, out = two_people(tmp_path / "two.mkv", 10), tmp_path / "out"
    command = ["predict", "--ckpt_path", str(follower), "--clips", str(path), "--out", str(out), "--workers", "1"]
    assert cli.main([*command, "--person", "all"]) == 0
    with (out / "predictions.csv").open(newline="") as file:
        assert [row["person"] for row in csv.DictReader(file)] == ["1 of 2", "2 of 2"]
    one, two = json.loads((out / "predictions.json").read_text())["answers"]
    assert len(one["over_time"]) == len(two["over_time"]) == 4
    assert one["probabilities"] != two["probabilities"]
    assert all(0.5 < of["face"] <= 1 for of in one["over_time"])
    curves = sorted(path.stem.rpartition("-")[0] for path in (out / "curves").iterdir())
    assert "person 1 of 2" in capsys.readouterr().out
    assert curves == ["two-person1", "two-person2"]
    assert cli.main([*command, "--person", "1"]) == 0
    assert "4 of 4 windows were answered before" in capsys.readouterr().out


def test_a_number_is_the_same_person_in_every_window(follower, tmp_path):
    """The one on the left is not seen from 2.8 s to 6.4 s, and the two are seen together only later."""
    small, large = (90, 150, 40), (330, 180, 55)
    both, right = drawn(small, large), drawn(large)
    frames = np.stack([right] * 2 + [both] * 12 + [right] * 18 + [both] * 13)
    path = write_arrays(
        {"frames": frames, "fps": 5, "wave": np.full(9 * 16000, 0.1), "rate": 16000}, tmp_path / "a.mkv"
    )
    model = affectzoo.load(follower)
    one, two, usual = model([{"file": path, "person": 1}, {"file": path, "person": 2}, path], window=3)
    assert (one.person, two.person, two.people) == ("1 of 2", "2 of 2", 2)
    assert usual.person == "2 of 2, the largest"
    assert [of["face"] is not None for of in one.over_time] == [True, False, True]
    assert "in 1 of 3 windows: no face at 0." in one.missing["video"]
    assert not two.missing
    for of, alike in zip(two.over_time, usual.over_time, strict=True):  # the larger one
        assert of["probabilities"] == pytest.approx(alike["probabilities"], abs=1e-6)
    alone = model(path, start=0, end=3, person="0.19,0.42")
    assert alone.probabilities == pytest.approx(one.over_time[0]["probabilities"], abs=1e-6)
    assert model(path, start=3, end=6, person=1).missing == {}  # of that part they are the only one


def test_people_are_counted_in_what_the_model_reads(tmp_path):
    picture = tmp_path / "two.png"
    Image.fromarray(drawn((90, 150, 40), (330, 180, 55))).save(picture)
    assert people_of({"file": picture}, stills=True) == 2
    assert people_of({"file": picture}, stills=False) == 0
    assert people_of({"file": two_people(tmp_path / "two.mkv", 1)}, stills=False) == 2
    for name in ("none.mp4", "sound.wav"):
        assert people_of({"file": tmp_path / name}, stills=True) == 0
    assert people_of({"text": "a"}, stills=True) == 0


def test_nobody_is_chosen_where_people_are_not_told_apart(run, long, tmp_path, capsys):
    command = ["predict", "--ckpt_path", str(run), "--clips", str(long), "--out", str(tmp_path / "out")]
    for who in ("2", "all"):
        assert cli.main([*command, "--person", who]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "BlazeFace tells people apart" in line


@pytest.mark.realdata
def test_the_faces_of_real_pictures(realdata):
    image = read_picture(realdata / "media" / "faces" / "multi_face.jpg")
    number = len(find_faces(image))
    assert number > 2
    boxes = {}
    for who in ("largest", *map(str, range(1, number + 1))):
        boxes[who], person = cut(image, Media(search=True), Face(finder="blazeface", person=who))
        assert person[1] == number
        assert who in ("largest", str(person[0]))
    assert boxes["largest"].shape[0] == max(box.shape[0] for box in boxes.values())
