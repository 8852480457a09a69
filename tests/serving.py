"""What the tests of `serve` share: a small model, films as browsers record them, a server of its own."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import leave_blank, stand_in

import cli

ROOT = Path(__file__).resolve().parents[1]
SMALL = "{class_path: ResNeXt3D, init_args: {layers: [1, 1, 1, 1], width: 8, cardinality: 4}}"


def small_run(folder):
    """A run of CFN-SR on a stand-in, and the raw stand-in."""
    raw, run = folder / "ravdess", folder / "cfnsr"
    stand_in(raw, "ravdess", "--views.video.size", "32", clips=48)
    words = ["--config", "experiments/cfnsr.yaml", "--config", "experiments/synthetic/cfnsr.yaml"]
    words += ["--model.video", SMALL, "--data.frames", "4", "--data.image_size", "32", "--data.root", str(raw)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callbacks.plots.save", leave_blank)
        place = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(run)]
        assert cli.main(["fit", *words, *place]) == 0
    return raw, run


def film(path, seconds=4, sound=True, options=None):
    """A film as a browser records it: VP8 and Opus in WebM, no duration in its header."""
    with av.open(str(path), "w", format="webm", options={"live": "1"} if options is None else options) as file:
        video = file.add_stream("libvpx", rate=15)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"deadline": "realtime", "cpu-used": "8"}
        audio = file.add_stream("libopus", rate=48000, layout="mono") if sound else None
        for second in range(seconds):
            for _ in range(15):
                picture = np.full((48, 64, 3), 20 * second % 255, np.uint8)
                file.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            for start in range(0, 48000 if sound else 0, 960):
                wave = np.sin(np.arange(start, start + 960) / 20 * (1 + second)) * 9000
                samples = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
                samples.sample_rate, samples.pts = 48000, 48000 * second + start
                file.mux(audio.encode(samples))
        for stream in [video, *([audio] if sound else [])]:
            file.mux(stream.encode(None))
    return path


@contextlib.contextmanager
def server(folder, *words):
    """A server of these checkpoints: its address, its folder, and the file that it logs to."""
    log = folder / "log.txt"
    command = [sys.executable, "cli.py", "serve", "--port", "0", *map(str, words)]
    with log.open("w") as to:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=to, text=True, env=_environment(folder)
        )
        try:
            line = process.stdout.readline()
            assert "http://" in line, log.read_text()
            yield re.search(r"http://\S+:\d+", line)[0], folder, log
        finally:
            process.terminate()
            process.wait(60)


def _environment(folder):

    return {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}


def files_below(folder):
    """What a server keeps: files other than the stand-in clips, its log, and a number that some package leaves."""
    found = [path for path in folder.rglob("*") if path.is_file() and "examples" not in path.parts]
    return [path for path in found if path.name not in ("log.txt", ".ses")]
