"""datamodules/media/sound.py: gaps are silence, overlaps are dropped, float samples have a scale."""

from fractions import Fraction

import av
import numpy as np
import pytest
from test_media import RATE, write_wav

from datamodules.errors import MediaError
from datamodules.media import container as media_file
from datamodules.media import sound
from datamodules.media.clip import read_clip
from datamodules.views.base import Times as spread

BLOCK = 1024
CLICKS = (1.0, 1.5)  # seconds


def clicking(seconds=2.0, rate=48000):
    wave = np.zeros(round(seconds * rate), np.float32)
    width = rate // 250
    for click in CLICKS:
        first = round(click * rate)
        wave[first : first + width] = 0.9 * np.sin(np.arange(width) / width * 8 * np.pi)
    return wave


def write_sound(path, codec, wave, rate=48000, shift=0.0, after=1.2, layout="stereo", frames=0, jitter=0.0):
    """Write a wave whose packets from `after` seconds on come `shift` seconds later, or earlier, than they should."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libvpx-vp9" if path.suffix == ".webm" else "mpeg4", rate=10) if frames else None
        stream = out.add_stream(codec, rate=rate)
        stream.layout = layout
        stream.codec_context.time_base = Fraction(1, rate)
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for i in range(frames):
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + i, np.uint8), "rgb24")
                frame = picture.reformat(format="yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                out.mux(video.encode(frame))
            out.mux(video.encode())
        form = (stream.codec_context.codec.audio_formats or [av.AudioFormat("s16")])[0].name
        converter, fifo, packets = av.AudioResampler(form, layout, rate), av.AudioFifo(), []
        for first in range(0, len(wave), BLOCK):
            channels = np.tile(wave[first : first + BLOCK], (len(av.AudioLayout(layout).channels), 1))
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels.T.reshape(1, -1)), "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            for converted in converter.resample(frame):
                fifo.write(converted)
            while (whole := fifo.read(stream.codec_context.frame_size or BLOCK)) is not None:
                packets += stream.encode(whole)
        if (rest := fifo.read()) is not None:
            packets += stream.encode(rest)
        last = None
        for place, packet in enumerate([*packets, *stream.encode(None)]):
            late = (shift if packet.pts * packet.time_base >= after else 0) + jitter * (place % 2)
            packet.pts += round(Fraction(late).limit_denominator(rate) / packet.time_base)
            if last is not None:  # no container takes times that go back
                packet.pts = max(packet.pts, last + round(Fraction(2, 1000) / packet.time_base))
            packet.dts = last = packet.pts
            out.mux(packet)
    return path


def clicks(wave, rate):
    """Middle of every click in seconds."""
    loud = np.flatnonzero(np.abs(wave.astype(float)) > 6000)
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > rate // 10) + 1)
    return [(part[0] + part[-1]) / 2 / rate for part in parts]


CONTAINERS = [
    ("aac", ".mp4"),
    ("flac", ".mp4"),
    ("aac", ".mov"),
    ("alac", ".mov"),
    ("pcm_s16le", ".mkv"),
    ("pcm_u8", ".mkv"),
    ("pcm_f32le", ".mkv"),
    ("aac", ".mkv"),
    ("libopus", ".webm"),
    ("aac", ".ts"),
]


@pytest.mark.parametrize("shift", [0.5, 1024 / 48000])  # half a second, and one packet of AAC
@pytest.mark.parametrize(("codec", "suffix"), CONTAINERS)
def test_a_gap_between_packets_is_silence_of_that_length(tmp_path, codec, suffix, shift):
    whole = write_sound(tmp_path / f"whole{suffix}", codec, clicking())
    gap = write_sound(tmp_path / f"gap{suffix}", codec, clicking(), shift=shift)
    rates = [48000, RATE, 16000]
    before, after = (read_clip(path, rates=rates).waves for path in (whole, gap))
    rounding = 1e-3 if suffix in (".mkv", ".webm") else 1e-4  # seconds; Matroska counts milliseconds
    for rate in rates:
        assert len(after[rate]) - len(before[rate]) == pytest.approx(shift * rate, abs=rounding * rate + 1)
        first, second = clicks(after[rate], rate)
        expected = clicks(before[rate], rate)
        assert first == pytest.approx(expected[0], abs=1.5 / rate)
        assert second == pytest.approx(expected[1] + shift, abs=rounding)
        if shift == 0.5 and codec != "libopus":  # which fades in and out
            at = round(1.35 * rate)
            assert not after[rate][at : at + round(0.3 * rate)].any()


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("pcm_s16le", ".mkv"), ("libopus", ".webm")])
def test_a_gap_beside_a_video(tmp_path, codec, suffix):
    path = write_sound(tmp_path / f"a{suffix}", codec, clicking(), shift=0.5, frames=25)
    clip = read_clip(path, spread(5), [RATE])
    assert clip.duration == pytest.approx(2.5, abs=0.01)
    assert len(clip.waves[RATE]) == pytest.approx(2.5 * RATE, abs=0.01 * RATE)
    assert clicks(clip.waves[RATE], RATE) == pytest.approx([1.002, 2.002], abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_gap_at_the_beginning_is_not_taken_for_a_cut(tmp_path, suffix):
    whole = write_sound(tmp_path / f"whole{suffix}", "aac", clicking(), frames=20)
    gap = tmp_path / f"gap{suffix}"
    with av.open(str(whole)) as source, av.open(str(gap), "w") as out:
        streams = {stream: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            lost = packet.stream.type == "audio" and packet.size and 0 <= packet.pts * packet.time_base < 0.8
            if packet.size and not lost:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    waves = [read_clip(path, spread(5), [RATE]).waves[RATE] for path in (whole, gap)]
    assert len(waves[1]) == len(waves[0])
    assert not waves[1][: round(0.75 * RATE)].any()
    assert clicks(waves[1], RATE) == pytest.approx(clicks(waves[0], RATE), abs=1e-3)


def test_a_gap_that_is_most_of_the_clip_is_not_taken_for_a_cut(tmp_path):
    path = write_sound(tmp_path / "a.mp4", "aac", clicking(), shift=5.0)
    assert len(read_clip(path, rates=[16000]).waves[16000]) == pytest.approx(7 * 16000, abs=200)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        last = [bytes(packet) for packet in container.demux(audio=0) if packet.size][-20:]
    for packet in last:
        at = data.find(packet)
        data = data[:at] + b"\xff" * len(packet) + data[at + len(packet) :]
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"damaged|truncated"):
        read_clip(path, rates=[16000])


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".avi"])
@pytest.mark.parametrize("rate", [44100, 16000])
def test_without_a_gap_no_sample_is_touched(tmp_path, suffix, rate):
    wave = 0.5 * np.sin(np.arange(rate * 2) * 0.05).astype(np.float32)
    path = write_sound(tmp_path / f"a{suffix}", "pcm_s16le", wave, rate=rate, layout="mono")
    read = read_clip(path, rates=[rate]).waves[rate]
    np.testing.assert_allclose(read, wave * 32768, atol=1)
    assert len(read) == len(wave)
    plain = write_wav(tmp_path / "a.wav", read[None], rate)
    other = 22050
    np.testing.assert_array_equal(
        read_clip(path, rates=[other]).waves[other], read_clip(plain, rates=[other]).waves[other]
    )


def test_times_that_tremble_by_milliseconds_are_no_gaps(tmp_path):
    steady = write_sound(tmp_path / "a.mkv", "pcm_s16le", clicking())
    trembling = write_sound(tmp_path / "b.mkv", "pcm_s16le", clicking(), jitter=0.004)
    np.testing.assert_array_equal(
        read_clip(trembling, rates=[RATE]).waves[RATE], read_clip(steady, rates=[RATE]).waves[RATE]
    )


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_what_overlaps_is_heard_once(tmp_path, codec):
    path = write_sound(tmp_path / "a.mkv", codec, clicking(), shift=-0.1)
    wave = read_clip(path, rates=[RATE]).waves[RATE]
    assert len(wave) == pytest.approx(1.9 * RATE, abs=0.01 * RATE)
    assert clicks(wave, RATE) == pytest.approx([1.002, 1.402], abs=sound.JITTER)


def test_times_that_start_anew_are_refused(tmp_path):
    part = write_sound(tmp_path / "a.ts", "aac", clicking()).read_bytes()
    (tmp_path / "twice.ts").write_bytes(part + part)
    with pytest.raises(MediaError, match=r"times of the audio go back by 2\.0 s"):
        read_clip(tmp_path / "twice.ts", rates=[RATE])


def test_a_wav_of_one_channel_can_be_had_in_its_own_rate_and_another(tmp_path):
    wave = np.round(9000 * np.sin(np.arange(RATE) * 0.05))
    path = write_wav(tmp_path / "a.wav", wave[None])
    both = read_clip(path, rates=[RATE, 16000]).waves
    np.testing.assert_array_equal(both[RATE], wave)
    np.testing.assert_array_equal(both[16000], read_clip(path, rates=[16000]).waves[16000])


def test_no_file_asks_for_silence_without_end(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.mkv", "pcm_s16le", clicking(), shift=700.0)
    with pytest.raises(MediaError, match="at most 600 s"):
        read_clip(path, rates=[RATE])
    late = write_sound(tmp_path / "b.mkv", "pcm_s16le", clicking(), shift=590.0, after=0.0, frames=5)
    assert len(read_clip(late, spread(2), [RATE]).waves[RATE]) == RATE // 2  # half a second of video, all silent
    short = write_sound(tmp_path / "c.mkv", "pcm_s16le", clicking())
    monkeypatch.setattr(sound, "MAX_SECONDS", 1.5)  # samples that no header and no time stamp told of
    with pytest.raises(MediaError, match=r"audio lasts 2 s; at most 2 s are read"):
        read_clip(short, rates=[RATE])


def test_eight_channels(tmp_path):
    for codec, suffix in (("pcm_s16le", ".mkv"), ("libopus", ".mkv"), ("flac", ".mkv")):
        path = write_sound(tmp_path / f"a{suffix}", codec, clicking(), shift=0.5, layout="7.1")
        assert clicks(read_clip(path, rates=[16000]).waves[16000], 16000) == pytest.approx([1.002, 2.002], abs=1e-3)


def test_another_form_in_the_middle_is_refused(tmp_path):
    for rate in (44100, 48000):
        write_sound(tmp_path / f"{rate}.mp3", "libmp3lame", clicking(2.0, rate), rate=rate)
    both = tmp_path / "both.mp3"
    both.write_bytes((tmp_path / "44100.mp3").read_bytes() + (tmp_path / "48000.mp3").read_bytes())
    with pytest.raises(MediaError, match="changes in the middle from 44100 Hz stereo"):
        read_clip(both, rates=[RATE])


FLOATS = [
    ("pcm_f32le", ".wav"),
    ("pcm_f64le", ".wav"),
    ("pcm_f32le", ".mkv"),
    ("pcm_f32be", ".mov"),
    ("pcm_f32be", ".aiff"),
]


@pytest.mark.parametrize(("codec", "suffix"), FLOATS)
@pytest.mark.parametrize("scale", [32768, 128, 8388608, np.nan, np.inf])
def test_float_samples_of_another_scale_are_refused(tmp_path, codec, suffix, scale):
    wave = clicking(rate=16000)
    wave = np.where(np.arange(len(wave)) == 16100, scale, wave) if not np.isfinite(scale) else wave * scale
    path = write_sound(tmp_path / f"a{suffix}", codec, wave.astype(np.float32), rate=16000, layout="mono")
    reason = "NaN or infinite" if not np.isfinite(scale) else r"float audio up to \d+, not -1\.\.1"
    with pytest.raises(MediaError, match=reason):
        read_clip(path, rates=[RATE])


@pytest.mark.parametrize(("codec", "suffix"), FLOATS)
def test_float_samples_a_little_above_one_are_ordinary(tmp_path, codec, suffix):
    path = write_sound(tmp_path / f"a{suffix}", codec, clicking(rate=16000) * 2, rate=16000, layout="mono")
    wave = read_clip(path, rates=[16000]).waves[16000]
    assert wave.max() == 32767
    assert clicks(wave, 16000) == pytest.approx([1.002, 1.502], abs=1e-3)


@pytest.mark.parametrize(("samples", "rate"), [(1, RATE), (1, 8000), (70, 8000)])
def test_a_recording_of_next_to_nothing(tmp_path, samples, rate):
    path = write_wav(tmp_path / "a.wav", np.full((1, samples), 900), rate)
    with pytest.raises(MediaError, match=f"too short: {samples} audio samples"):
        read_clip(path, rates=[RATE, 16000])
    assert media_file.MAX_SECONDS == sound.MAX_SECONDS
