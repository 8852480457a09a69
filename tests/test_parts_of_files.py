"""Parts of files: `Media.start` and `Media.end`, in every reader, against the same stretch of the whole file."""

import contextlib
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from test_media import number, numbers, tone, write_clip, write_wav
from test_optional_views import Given

from datamodules.entries import Entry, Media
from datamodules.errors import MediaError, UnusableError
from datamodules.media import part
from datamodules.media.clip import read_clip
from datamodules.media.frames import to_rgb
from datamodules.media.grid_frames import grid_frames
from datamodules.recipe import Recipe
from datamodules.store.preparation import prepare
from datamodules.views.base import Times as spread
from datamodules.views.face import Face
from datamodules.views.label_series import LabelSeries
from datamodules.views.wave import Wave
from datamodules.views.whole_frames import WholeFrames

RATE = 44100
KINDS = {
    "mp4": ("a.mp4", {"codec": "libx264", "options": {"crf": "10", "bf": "3", "g": "25"}}),
    "open": ("a.mkv", {"codec": "libx264", "options": {"crf": "10", "g": "25", "x264-params": "open-gop=1:bframes=3"}}),
    "few keys": ("a.mp4", {"codec": "mpeg4", "options": {"qscale": "2", "g": "600"}}),
    "webm": ("a.webm", {"codec": "libvpx-vp9", "options": {"crf": "10"}, "audio": "libopus"}),
    "avi": ("a.avi", {"codec": "mpeg4", "audio": "mp3"}),
    "stream": ("a.ts", {"codec": "libx264", "options": {"crf": "10", "bf": "2", "g": "30"}}),
    "late": ("a.mkv", {"codec": "mpeg4", "stamps": list(range(500, 6500, 100))}),
}


@pytest.fixture(params=KINDS)
def film(request, tmp_path):
    """Sixty frames, ten a second, and sound."""
    name, how = KINDS[request.param]
    return write_clip(tmp_path / name, **{"frames": 60, "fps": 10, "seconds": 6.1, **how})


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (2.0, 3.0), (3.7, 5.2), (4.45, 4.6), (5.0, None), (None, 2.0)])
def test_frames_of_a_part_are_those_of_the_whole(film, start, end):
    first = start or 0.0
    last = read_clip(film, lambda _: np.zeros(1)).duration if end is None else end
    steps = np.arange(first, last - 1e-6, 0.05)
    whole = read_clip(film, lambda _: steps)
    cut = read_clip(film, lambda _: steps - first, start=start, end=end)
    assert cut.duration == pytest.approx(last - first, abs=0.02)
    for one, other in zip(cut.frames, whole.frames, strict=True):
        np.testing.assert_array_equal(to_rgb(one), to_rgb(other))
    np.testing.assert_allclose(cut.times, np.maximum(whole.times - first, 0), atol=2e-3)
    assert len(cut.clock) == len(np.unique(whole.times))


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (2.0, 3.0), (3.7, 5.2), (4.45, 4.6), (5.0, None)])
def test_the_grid_of_a_part_begins_with_it(film, start, end):
    steps = np.arange(round(20 * start), round(20 * (6.0 if end is None else end))) / 20
    whole = numbers(read_clip(film, lambda _: steps))
    found = [number(to_rgb(frame)) for frame in grid_frames(film, 20, start=start, end=end)]
    assert found[: len(whole)] == whole
    assert len(found) - len(whole) in (0, 2 * (end is None))  # the last frame of an AVI says that it is shown for two


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (2.0, 3.0), (3.7, 5.2)])
def test_sound_of_a_part_is_that_of_the_whole(film, start, end):
    whole = read_clip(film, spread(1), [RATE]).waves[RATE].astype(float)
    cut = read_clip(film, spread(1), [RATE], start=start, end=end).waves[RATE].astype(float)
    assert len(cut) == pytest.approx(RATE * (end - start), abs=2)
    wanted = whole[round(start * RATE) :][: len(cut)]
    # To a sample, whose phase a resampler chooses; Matroska rounds times to a millisecond.
    most = 50 if film.suffix in (".mkv", ".webm") else 1
    error = min(np.abs(cut[500:-500] - np.roll(wanted, by)[500:-500]).max() for by in range(-most, most + 1))
    assert error < 300 < np.abs(wanted).max() / 10


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a"])
def test_a_part_of_sound_alone(tmp_path, name):
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "mp3", "m4a": "aac"}[name[2:]]
    samples = tone(6.0, RATE, 1) * np.linspace(0.1, 1, 6 * RATE, dtype=np.float32)  # louder and louder: a place tells
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format, "mono", RATE, frame_size=stream.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode())
    whole = read_clip(tmp_path / name, None, [RATE]).waves[RATE].astype(float)
    clip = read_clip(tmp_path / name, None, [RATE], start=2.5, end=4.0)
    assert clip.duration == pytest.approx(1.5, abs=1e-3)
    cut, wanted = clip.waves[RATE].astype(float), whole[round(2.5 * RATE) :][: len(clip.waves[RATE])]
    assert min(np.abs(cut[200:-200] - np.roll(wanted, by)[200:-200]).max() for by in (-1, 0, 1)) < 150
    with pytest.raises(MediaError, match=r"the part from 7 s to 8 s lies outside the file, which lasts 6\.\d+ s"):
        read_clip(tmp_path / name, None, [RATE], start=7.0, end=8.0)


@pytest.mark.parametrize(("start", "end", "message"), [
    (7.0, 8.0, r"the part from 7 s to 8 s lies outside the file, which lasts 6\.\d+ s"),
    (5.0, 9.0, r"the part from 5 s to 9 s lies outside the file, which lasts 6\.\d+ s"),
    (6.5, None, r"the part from 6\.5 s to its end lies outside the file, which lasts 6\.\d+ s"),
    (3.0, 2.0, "the part from 3 s to 2 s is no part of a file"),
    (-1.0, 2.0, "the part from -1 s to 2 s is no part of a file"),
    (float("nan"), 2.0, "is no part of a file"),
])  # fmt: skip
def test_a_part_that_is_not_in_the_file(film, start, end, message):
    with pytest.raises(MediaError, match=message):
        read_clip(film, spread(2), [RATE], start=start, end=end)
    with pytest.raises(MediaError, match=message):
        list(grid_frames(film, 5, start=start, end=end))


def test_a_part_may_end_a_little_after_the_film_and_is_cut_there(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=60, fps=10, seconds=6.3)
    assert read_clip(path, spread(3), [RATE], start=4.0, end=6.3).duration == pytest.approx(2.0, abs=0.02)
    assert len(list(grid_frames(path, 5, start=4.0, end=6.3))) == 10


def test_a_part_longer_than_a_clip_may_be(tmp_path):
    with pytest.raises(MediaError, match="the part from 5 s to 700 s is longer than the 600 s that are read"):
        read_clip(write_wav(tmp_path / "a.wav", tone(1, RATE, 1) * 9000), None, [RATE], start=5.0, end=700.0)


def test_a_file_in_which_nothing_can_be_sought_is_read_from_its_beginning(film, monkeypatch):
    usual = read_clip(film, spread(5), [RATE], start=3.0, end=4.0)

    def astray(container, seconds):
        with contextlib.suppress(av.FFmpegError):
            container.seek(int(4.5 * av.time_base), backward=False)  # lands after the part
        return True

    monkeypatch.setattr(part, "seek_before", astray)
    again = read_clip(film, spread(5), [RATE], start=3.0, end=4.0)
    assert numbers(again) == numbers(usual)
    np.testing.assert_allclose(again.waves[RATE], usual.waves[RATE], atol=200)


LONG = """
import resource, sys
from pathlib import Path
from datamodules.media.clip import read_clip
from datamodules.views.base import Times as spread
from datamodules.media.grid_frames import grid_frames
path = Path(sys.argv[1])
start = float(sys.argv[2])
clip = read_clip(path, spread(3), [16000], start=start, end=start + 2)
steps = list(grid_frames(path, 5, start=start, end=start + 2))
print(len(clip.frames), len(clip.waves[16000]), len(steps), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_short_part_of_a_long_film_needs_no_more_memory_late_than_early(tmp_path, name):
    codec = {"a.mp4": ("libx264", "aac"), "a.avi": ("mpeg4", "mp3")}[name]
    path = write_clip(
        tmp_path / name, frames=1500, fps=2, seconds=750, codec=codec[0], audio=codec[1], options={"g": "50"},
        size=(320, 240),
    )  # fmt: skip
    with pytest.raises(MediaError, match="lasts 75"):
        read_clip(path, spread(2), [16000])
    said = []
    for start in (1.0, 740.0):
        run = subprocess.run([sys.executable, "-c", LONG, path, str(start)], capture_output=True, text=True, check=True)
        said.append([int(word) for word in run.stdout.split()])
    assert said[0][0] == said[1][0] == 3
    assert said[1][1] == pytest.approx(32_000, abs=2)
    assert said[0][2] == said[1][2] == 10
    assert said[1][3] < said[0][3] + 25  # MB


def test_every_view_takes_the_part(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", frames=60, fps=10, seconds=6.0)

    def entry(id: str, start: float, end: float) -> Entry:
        media = {kind: Media(path, start=start, end=end) for kind in ("video", "audio")}
        return Entry(id, "g", id, media, labels={"emotion": 1})

    monkeypatch.setattr(Given, "entries", [entry("a", 1.0, 2.0), entry("b", 4.0, 6.0)])
    views = {"img": WholeFrames(frames=2, size=48), "wave": Wave(), "labels": LabelSeries()}
    store = prepare(Given(), Recipe("x", views), tmp_path, tmp_path / "out", workers=1)
    assert [store.shape("labels", place) for place in (0, 1)] == [(5, 2), (10, 2)]
    assert [len(store.read("wave", place)) for place in (0, 1)] == [RATE, 2 * RATE]
    shown = [[number(image) for image in store.read("img_2", place).transpose(0, 2, 3, 1)] for place in (0, 1)]
    assert shown == [[12, 17], [45, 55]]
    monkeypatch.setattr(Given, "entries", [entry("a", 1.0, 2.0), entry("b", 8.0, 9.0)])
    with pytest.raises(UnusableError, match=r"the first b \(the part from 8 s to 9 s lies outside the file"):
        prepare(Given(), Recipe("y", views), tmp_path, tmp_path / "out", workers=1)


def test_a_still_counts_from_the_beginning_of_its_part(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", frames=60, fps=10, audio=None)
    media = [Media(path, time=0.5), Media(path, time=0.5, start=3.0, end=4.0)]
    monkeypatch.setattr(Given, "entries", [Entry(str(i), media={"picture": one}) for i, one in enumerate(media)])
    store = prepare(Given(), Recipe("x", {"face": Face(size=64)}), tmp_path, tmp_path / "out", workers=1)
    shown = [number(store.read("face", place)[8:56]) for place in (0, 1)]
    assert shown == [5, 35]


def test_a_digest_tells_parts_apart_and_is_what_it_was_without():
    hashes = {Path("a.mp4"): "0" * 64}

    def digest(**span: float) -> str:
        return Entry("a", "g", "n", {"video": Media(Path("a.mp4"), "a.mp4", **span)}, labels={"x": 1}).digest(hashes)

    assert digest() == "2f5a08c8ca5e443d847ad537dcfe25205a8fc031404bb013d48a63555c84241a"
    assert len({digest(), digest(start=1.0), digest(start=1.0, end=2.0), digest(end=2.0), digest(start=0.0)}) == 5
