"""datamodules/media/clip.py and frames.py, over files that the tests make and over real ones."""

import pickle
import wave as wavefile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datamodules.errors import MediaError
from datamodules.media import container as media_file
from datamodules.media.clip import read_clip
from datamodules.media.frames import shown_size, to_gray, to_rgb
from datamodules.media.grid_frames import grid_frames
from datamodules.media.pictures import count_frames, frames_at
from datamodules.views.base import Times as spread

RATE = 44100


def blocks(image):
    """Six blocks in the left half, one for each bit of a number."""
    height, width = image.shape[0] // 3, image.shape[1] // 4
    return [image[y * height : (y + 1) * height, x * width : (x + 1) * width] for y in range(3) for x in range(2)]


def picture(i, width=64, height=48):
    """A frame that tells its number even after a lossy codec, with a colour on the right."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 2, width // 2 :] = (200, 60, 40)
    for bit, block in enumerate(blocks(image)):
        block[:] = 220 if i >> bit & 1 else 30
    return image


def number(image):
    return sum(int(block.mean() > 125) << bit for bit, block in enumerate(blocks(image)))


def tone(seconds, rate=48000, channels=2, hz=220.0):
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * hz * t) * (1 - 0.5 * c) for c in range(channels)]).astype(np.float32)


def write_clip(
    path, frames=30, fps=10, codec="mpeg4", options=None, audio="aac", seconds=3.0, stamps=None, pix_fmt="yuv420p",
    size=(64, 48), sound_at=0.0, layout="stereo", tracks=1, rate=48000,
):  # fmt: skip
    with av.open(str(path), "w") as out:
        videos, audios = [], []
        for _ in range(tracks):
            if frames:
                video = out.add_stream(codec, rate=Fraction(fps))
                video.width, video.height = size
                video.pix_fmt = pix_fmt
                video.options = options or {"qscale": "2"}
                video.codec_context.time_base = Fraction(1, 1000) if stamps else Fraction(1, fps)
                videos.append(video)
            if audio:
                stream = out.add_stream(audio, rate=rate)
                stream.layout = layout
                audios.append(stream)
        for track, video in enumerate(videos):
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(i + 30 * track, *size), "rgb24").reformat(format=pix_fmt)
                frame.pts = stamps[i] if stamps else i
                frame.time_base = video.codec_context.time_base
                out.mux(video.encode(frame))
            out.mux(video.encode())
        for stream in audios:
            samples = tone(seconds, rate, {"stereo": 2, "mono": 1, "5.1": 6}[layout])
            if not audio.startswith("aac"):
                samples = (samples * 32767).astype(np.int16)
            for first in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, first : first + 1024])
                form = "fltp" if audio == "aac" else "s16"
                frame = av.AudioFrame.from_ndarray(part if form == "fltp" else part.T.reshape(1, -1), form, layout)
                frame.sample_rate, frame.pts = rate, first + round(sound_at * rate)
                frame.time_base = Fraction(1, rate)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return path


def own_bytes(path):
    """Gives an MP4 bytes that no other has, and changes nothing that it shows: a box with its name, to be skipped."""
    name = "/".join(path.parts[-2:]).encode()
    path.write_bytes(path.read_bytes() + (len(name) + 8).to_bytes(4, "big") + b"free" + name)
    return path


def write_wav(path, samples, rate=RATE):
    with wavefile.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.T.astype("<i2").tobytes())
    return path


def numbers(clip):
    return [number(to_rgb(frame)) for frame in clip.frames]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "libx265", "libvpx-vp9"])
def test_frames_are_those_shown_at_the_times(tmp_path, codec):
    options = {"libx264": {"crf": "10", "bf": "3", "g": "12"}, "libx265": {"crf": "10"}}.get(codec)
    path = write_clip(tmp_path / ("a.webm" if "vp9" in codec else "a.mp4"), codec=codec, options=options, audio=None)
    clip = read_clip(path, spread(15))
    assert clip.duration == pytest.approx(3.0, abs=0.002)
    assert numbers(clip) == list(range(0, 30, 2))
    between = read_clip(path, lambda duration: np.array([0.0, 0.05, 0.099, 0.151, 2.99]))
    assert numbers(between) == [0, 0, 0, 1, 29]


def test_skipping_frames_that_nobody_needs_changes_no_pixel(tmp_path):
    path = write_clip(tmp_path / "a.mp4", codec="libx264", options={"crf": "18", "bf": "3"}, audio=None)
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for frame, i in zip(read_clip(path, spread(5)).frames, range(0, 30, 6), strict=True):
        np.testing.assert_array_equal(to_rgb(frame), whole[i])


def test_variable_frame_rate_goes_by_time(tmp_path):
    stamps = [0, 100, 900, 1000, 1100, 2000]
    path = write_clip(tmp_path / "a.mp4", frames=6, stamps=stamps, audio=None)
    clip = read_clip(path, lambda duration: np.array([0.05, 0.5, 0.95, 1.05, 1.9, 2.0]))
    assert numbers(clip) == [0, 1, 2, 3, 4, 5]


def test_video_that_does_not_start_at_zero(tmp_path):
    stamps = list(range(500, 3500, 100))
    path = write_clip(tmp_path / "a.mkv", stamps=stamps, seconds=3.5)
    clip = read_clip(path, spread(30), [RATE])
    assert numbers(clip) == list(range(30))
    # The audio began half a second before the first frame: 220 Hz in phase with zero at that moment.
    assert len(clip.waves[RATE]) == pytest.approx(3.0 * RATE, abs=RATE * 0.12)
    assert abs(int(clip.waves[RATE][0])) < 2500


def test_audio_that_starts_late_is_led_by_silence(tmp_path):
    path = write_clip(tmp_path / "a.mkv", sound_at=0.5, seconds=2.0)
    sound = read_clip(path, spread(2), [RATE]).waves[RATE]
    assert not sound[: int(0.45 * RATE)].any()
    assert np.abs(sound[int(0.55 * RATE) :]).max() > 5000


def test_frames_without_time_stamps(tmp_path):
    path = write_clip(tmp_path / "a.avi", audio=None)
    clip = read_clip(path, spread(10))
    assert numbers(clip) == list(range(0, 30, 3))
    assert clip.duration == pytest.approx(3.0, abs=0.11)


def test_fewer_frames_than_times_repeat(tmp_path):
    five = write_clip(tmp_path / "a.mp4", frames=5, audio=None)
    assert numbers(read_clip(five, spread(10))) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    one = write_clip(tmp_path / "b.mp4", frames=1, audio=None)
    assert numbers(read_clip(one, spread(3))) == [0, 0, 0]


def rotate(path, degrees):
    """Write a rotation into the track header, as phones do."""
    turns = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = (int(x * 65536).to_bytes(4, "big", signed=True) for x in turns)
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    zero = bytes(4)
    data[at : at + 36] = a + b + zero + c + d + zero + zero + zero + (1 << 30).to_bytes(4, "big")
    path.write_bytes(data)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_rotation_side_data(tmp_path, degrees, turns):
    path = write_clip(tmp_path / "a.mp4", audio=None)
    plain = read_clip(path, spread(1)).frames[0]
    rotate(path, degrees)
    turned = read_clip(path, spread(1)).frames[0]
    expected = np.rot90(to_rgb(plain), turns)
    assert shown_size(turned) == expected.shape[1::-1]
    np.testing.assert_array_equal(to_rgb(turned), expected)
    np.testing.assert_array_equal(to_gray(turned), np.rot90(to_gray(plain), turns))
    np.testing.assert_array_equal(to_rgb(turned, (4, 6, 20, 30)), expected[6:30, 4:20])


@pytest.mark.parametrize("size", [(64, 48), (66, 50)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_a_cropped_conversion_equals_a_crop_of_the_whole(tmp_path, size, pix_fmt):
    codec = "libx264"
    path = write_clip(tmp_path / "a.mp4", codec=codec, pix_fmt=pix_fmt, size=size, audio=None, options={"crf": "1"})
    frame = read_clip(path, spread(1)).frames[0]
    whole = frame.to_ndarray(format="rgb24")
    width, height = size
    for box in [(0, 0, width, height), (10, 8, 30, 40), (11, 7, 32, 33), (width - 3, height - 5, width, height)]:
        left, top, right, bottom = box
        np.testing.assert_array_equal(to_rgb(frame, box), whole[top:bottom, left:right])


def test_odd_sizes_and_ten_bits(tmp_path):
    lossless = {"codec": "ffv1", "size": (63, 47), "audio": None, "options": {"level": "3"}}
    path = write_clip(tmp_path / "a.mkv", pix_fmt="yuv420p10le", **lossless)
    frame = read_clip(path, spread(1)).frames[0]
    assert to_rgb(frame).shape == (47, 63, 3)
    assert to_gray(frame).shape == (47, 63)
    assert to_rgb(frame, (60, 44, 63, 47)).shape == (3, 3, 3)
    path = write_clip(tmp_path / "b.mkv", **lossless)
    frame = read_clip(path, spread(1)).frames[0]
    np.testing.assert_array_equal(to_rgb(frame, (50, 30, 63, 47)), to_rgb(frame)[30:47, 50:63])


def test_squash_scales_the_whole_frame_first(tmp_path):
    frame = read_clip(write_clip(tmp_path / "a.mp4", audio=None), spread(1)).frames[0]
    assert to_rgb(frame, squash=32).shape == (32, 32, 3)
    np.testing.assert_array_equal(to_rgb(frame, (4, 5, 20, 25), 32), to_rgb(frame, squash=32)[5:25, 4:20])


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_mono_is_the_mean_of_the_channels(tmp_path, codec):
    path = write_clip(tmp_path / "a.mkv", frames=0, audio=codec, rate=RATE, seconds=1.0)
    expected = (tone(1.0, RATE) * 32767).astype(np.int16).astype(float).mean(axis=0)
    sound = read_clip(path, rates=[RATE]).waves[RATE]
    assert sound.dtype == np.int16
    np.testing.assert_allclose(sound, expected, atol=1.01)


def test_resampling_keeps_pitch_and_length(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames=0, audio="pcm_s16le", seconds=2.0)
    waves = read_clip(path, rates=[RATE, 16000]).waves
    for rate, sound in waves.items():
        assert len(sound) == pytest.approx(2 * rate, abs=32)
        spectrum = np.abs(np.fft.rfft(sound))
        assert np.fft.rfftfreq(len(sound), 1 / rate)[spectrum.argmax()] == pytest.approx(220, abs=1)


def test_audio_is_trimmed_to_the_video(tmp_path):
    clip = read_clip(write_clip(tmp_path / "a.mp4", seconds=4.0), spread(3), [RATE])
    assert len(clip.waves[RATE]) == 3 * RATE
    assert clip.duration == pytest.approx(3.0)


def test_the_first_stream_that_decodes_is_taken(tmp_path):
    path = write_clip(tmp_path / "a.mkv", tracks=2, audio=None, codec="mjpeg", pix_fmt="yuvj420p")
    assert numbers(read_clip(path, spread(2))) == [0, 15]
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        broken = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in broken:
        at = data.find(packet)
        data[at : at + len(packet)] = bytes(len(packet))
    path.write_bytes(data)
    assert numbers(read_clip(path, spread(2))) == [30, 45]


def damaged(path):
    data = bytearray(path.read_bytes())
    for part in range(3, 9):
        at = len(data) * part // 10
        data[at : at + 300] = bytes(range(256)) + bytes(44)
    path.write_bytes(data)


def cut(path, fraction):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])


def early_header(path, **kwargs):
    return write_clip(path.with_suffix(".mkv"), **kwargs)


def float_wav(path, value):
    with av.open(str(path), "w", format="wav") as out:
        stream = out.add_stream("pcm_f32le", rate=RATE, layout="mono")
        samples = np.full((1, RATE), 0.1, np.float32)
        samples[0, 500] = value
        frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def one_sample_wav(path):
    write_wav(path, np.ones((1, 1)))


HOSTILE = {
    "missing.mp4": (lambda path: None, "no such file"),
    "folder.mp4": (lambda path: path.mkdir(), "not a regular file"),
    "zero.mp4": (lambda path: path.write_bytes(b""), "empty file"),
    "text.mp4": (lambda path: path.write_text("not a film\n" * 50), "not a media file"),
    "random.mp4": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(4096)), "not a media file"),
    "html.mp4": (lambda path: path.write_text("<!doctype html><html><body>404</body></html>"), "not a media file"),
    "no_header.mp4": (lambda path: cut(write_clip(path), 0.5), "not a media file"),
    "no_audio.mp4": (lambda path: write_clip(path, audio=None), "no audio stream"),
    "audio_only.mp4": (lambda path: write_clip(path, frames=0), "no video stream"),
    "damaged.mp4": (lambda path: damaged(write_clip(path, size=(320, 240))), "damaged|does not decode|no frame"),
    "empty.wav": (lambda path: write_wav(path, np.zeros((1, 0))), "no video stream"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_give_a_reason(tmp_path, name):
    make, reason = HOSTILE[name]
    path = tmp_path / name
    make(path)
    with pytest.raises(MediaError, match=reason) as error:
        read_clip(path, spread(5), [RATE])
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("empty.wav", lambda path: write_wav(path, np.zeros((1, 0))), "no audio samples"),
        ("nan.wav", lambda path: float_wav(path, np.nan), "NaN"),
        ("inf.wav", lambda path: float_wav(path, np.inf), "NaN or infinite"),
        ("cut.wav", lambda path: cut(write_wav(path, np.ones((1, RATE))), 0.5), r"truncated: 44122 of 88244 bytes"),
        ("cut.flac", lambda path: cut(write_clip(path, frames=0, audio="flac"), 0.5), "truncated|do not decode"),
        ("video.mp4", lambda path: write_clip(path, audio=None), "no audio stream"),
    ],
)
def test_hostile_audio(tmp_path, name, make, reason):
    make(tmp_path / name)
    with pytest.raises(MediaError, match=reason):
        read_clip(tmp_path / name, rates=[RATE])


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_a_film_cut_short_says_how_much_is_there(tmp_path, fraction):
    path = write_clip(tmp_path / "a.mp4", size=(320, 240), frames=60, options={"qscale": "2", "movflags": "faststart"})
    data = path.read_bytes()
    # The header first, as web encoders put it: the file opens whatever is missing.
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as out:
        video = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    assert data
    cut(tmp_path / "b.mp4", fraction)
    with pytest.raises(MediaError, match=r"truncated: \d\.\d s of 6\.0 s are there"):
        read_clip(tmp_path / "b.mp4", spread(5))


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile real.mp4\n", "#EXTM3U\n#EXTINF:10,\n/dev/zero\n"])
def test_a_text_that_names_other_files_is_not_followed(tmp_path, text):
    write_clip(tmp_path / "real.mp4")
    (tmp_path / "list.mp4").write_text(text)
    for reader in READERS.values():
        with pytest.raises(MediaError, match="a list of other files"):
            reader(tmp_path / "list.mp4")


def replaced(path, known, unknown):
    assert known in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(known, unknown))
    return path


READERS = {
    "clip": lambda path: read_clip(path, spread(2)),
    "grid": lambda path: list(grid_frames(path, 5)),
    "count": count_frames,
    "at": lambda path: list(frames_at(path, [0.0, 0.5])),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codec", [b"zzzz", b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_a_header_that_names_no_codec(tmp_path, reader, codec):
    path = write_clip(tmp_path / "a.mov", codec="libx264", options={"crf": "20"})
    READERS[reader](path)
    with pytest.raises(MediaError, match="nothing here decodes its video: damaged header"):
        READERS[reader](replaced(path, b"avc1", codec))


def test_a_wav_header_that_names_no_codec(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.ones((1, 5000)))
    known = b"fmt \x10\0\0\0\x01\0"
    with pytest.raises(MediaError, match="nothing here decodes its audio"):
        read_clip(replaced(path, known, known[:-2] + b"\x34\x12"), rates=[RATE])


@pytest.mark.parametrize("reader", ["clip", "grid", "at"])
def test_pictures_larger_than_anybody_films(tmp_path, monkeypatch, reader):
    path = write_clip(tmp_path / "a.mp4", codec="libx264", options={"crf": "20"}, audio=None)
    monkeypatch.setattr(media_file, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(MediaError, match="pictures of 64 x 48 pixels are not read"):
        READERS[reader](path)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (24, bytes(4), "not a media file"),  # the rate
        (24, b"\xff" * 4, "not a media file"),
        (22, bytes(2), r"damaged: 2 of 2"),  # the number of channels
        (22, b"\xff" * 2, r"damaged: 1 of 1"),
        (34, bytes(2), "nothing here decodes"),  # bits of a sample
        (16, b"\xff\xff\xff\x7f", "not a media file"),  # bytes of the header
    ],
)
def test_numbers_in_a_wav_header_that_cannot_be(tmp_path, place, value, reason):
    path = write_wav(tmp_path / "a.wav", np.ones((1, 5000)))
    data = path.read_bytes()
    path.write_bytes(data[:place] + value + data[place + len(value) :])
    with pytest.raises(MediaError, match=reason):
        read_clip(path, rates=[RATE])


def test_a_header_that_promises_more_frames_than_there_are_bytes(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames=20, audio=None)
    data = path.read_bytes()
    assert count_frames(path) == (10, 20)
    # EBML: the duration is a float behind 0x4489.
    at = data.find(b"\x44\x89\x88") + 3
    path.write_bytes(data[:at] + np.array(1e12, ">f8").tobytes() + data[at + 8 :])
    with pytest.raises(MediaError, match=r"its header promises \d+ frames in \d+ bytes"):
        count_frames(path)


def test_a_jump_in_time_is_not_filled_with_frames(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=3, stamps=[0, 100, 10_000_000], audio=None)
    with pytest.raises(MediaError, match=r"jump from 0\.1 s to 10000\.0 s"):
        list(grid_frames(path, 5))
    with pytest.raises(MediaError, match="at most 600 s"):
        read_clip(path, spread(2))


def test_times_of_the_frames_are_told(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames=5, stamps=[500, 600, 1400, 1500, 1600], audio=None)
    clip = read_clip(path, lambda duration: np.array([0.0, 0.95, 0.5]))
    np.testing.assert_allclose(clip.clock, [0, 0.1, 0.9, 1.0, 1.1], atol=1e-6)
    np.testing.assert_allclose(clip.times, [0, 0.9, 0.1], atol=1e-6)


def test_too_long_for_a_clip(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=2, stamps=[0, 700_000], audio=None)
    with pytest.raises(MediaError, match="at most 600 s"):
        read_clip(path, spread(2))


@pytest.mark.parametrize("name", ["-dash.mp4", "with space.mp4", "ünï\ncode.mp4", "colon:1.mp4", "%d.mp4"])
def test_odd_names(tmp_path, name):
    write_clip(tmp_path / "plain.mp4", audio=None).rename(tmp_path / name)
    assert len(read_clip(tmp_path / name, spread(3)).frames) == 3


def test_surround_eight_bit_and_short_audio(tmp_path):
    surround = write_clip(tmp_path / "a.mkv", frames=0, audio="pcm_s16le", layout="5.1")
    assert read_clip(surround, rates=[RATE]).waves[RATE].any()
    short = write_wav(tmp_path / "b.wav", np.ones((1, 500)))
    assert read_clip(short, rates=[RATE]).waves[RATE].shape == (500,)
    low = write_wav(tmp_path / "c.wav", np.full((1, 8000), 1000), 8000)
    assert len(read_clip(low, rates=[RATE]).waves[RATE]) == pytest.approx(RATE, abs=32)


def test_the_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(MediaError(Path("a.mp4"), "no frames")))
    assert (str(error), error.reason) == ("a.mp4: no frames", "no frames")


REAL = {  # None: usable
    "audio_only_in_mp4.mp4": "no video stream",
    "black_silent_no_face.mp4": None,
    "fps5.mp4": None,
    "grayscale.mp4": None,
    "hevc.mp4": None,
    "mulaw_8k.wav": "no video stream",
    "no_audio.mp4": "no audio stream",
    "odd_size_yuv444.mp4": None,
    "one_frame.mp4": None,
    "rotated90_pixels.mp4": None,
    "silent_audio.mp4": None,
    "speech.ogg": "no video stream",
    "text_named.mp4": "not a media file",
    "truncated_600k.mp4": "truncated: 1.5 s of 4.0 s",
    "truncated_header_says_more.wav": "truncated: 30000 of 447572 bytes",
    "video_shorter_than_audio.mp4": None,
    "vp9_opus.webm": None,
    "zero_bytes.mp4": "empty file",
}


@pytest.mark.realdata
def test_real_odd_files(realdata):
    assert {path.name for path in (realdata / "media/odd").iterdir()} == REAL.keys()
    outcome = {}
    for name in REAL:
        try:
            clip = read_clip(realdata / "media/odd" / name, spread(30), [RATE])
            outcome[name] = None
            assert len(clip.frames) == 30
            assert abs(len(clip.waves[RATE]) / RATE - clip.duration) < 0.05
        except MediaError as error:
            outcome[name] = error.reason
    for name, reason in REAL.items():
        assert (reason is None) == (outcome[name] is None), (name, outcome[name])
        assert reason is None or outcome[name].startswith(reason)


@pytest.mark.realdata
def test_real_audio_files(realdata):
    odd = realdata / "media/odd"
    for name, seconds in {"mulaw_8k.wav": 4.04, "speech.ogg": 4.04, "audio_only_in_mp4.mp4": 4.0}.items():
        assert len(read_clip(odd / name, rates=[RATE]).waves[RATE]) / RATE == pytest.approx(seconds, abs=0.02)


@pytest.mark.realdata
def test_real_films(realdata):
    media = realdata / "media"
    moving = read_clip(media / "faces/face_noface.mov", spread(30), [RATE])
    # Audio is stream 0 and starts 2.4 s into the film.
    assert moving.duration == pytest.approx(6.40, abs=0.01)
    assert not moving.waves[RATE][: int(2.4 * RATE)].any()
    assert moving.waves[RATE][int(2.5 * RATE) :].any()
    assert shown_size(read_clip(media / "multi_stream.mp4", spread(2), [RATE]).frames[0]) == (320, 180)
    for path in sorted((media / "faces").glob("*.m*")):
        with av.open(str(path)) as container:
            whole = {frame.pts: frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
        for frame in read_clip(path, spread(4)).frames:
            np.testing.assert_array_equal(to_rgb(frame), whole[frame.pts])
