"""The data path of the code released with CFN-SR, rewritten as the baseline of `benchmarks/ravdess.py`.

What it does is what the released code does (https://github.com/skeletonNN/CFN-SR, after
https://github.com/anita-hu/MSAF, MIT): frames of the whole picture squashed to 224 x 224, cropped and written as JPEG;
the audio in a pass of its own; every column of the landmark file parsed; JPEGs read and augmented one by one. PyAV
stands in for moviepy's ffmpeg process, whose pipe would cost more.
"""

import math
from pathlib import Path

import av
import cv2
import librosa
import numpy as np
import soundfile
import torch
from torch import Tensor
from torchvision import transforms

FRAMES, SIZE = 30, 224
NORMALIZE = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AS_IS = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor(), NORMALIZE])
AUGMENTED = transforms.Compose(
    [
        transforms.ToPILImage(),
        transforms.RandomResizedCrop(SIZE, scale=(0.8, 1.4)),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        NORMALIZE,
    ]
)


def prepare(clip: Path, landmarks: Path, folder: Path) -> None:
    """Turn a clip into 30 JPEGs, ``audio.wav`` and ``featuresMFCC.npy`` under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        width, height = stream.width, stream.height
        squashed, times = [], []
        for frame in container.decode(stream):
            squashed.append(frame.to_ndarray(width=SIZE, height=SIZE, format="rgb24", interpolation="BICUBIC"))
            times.append(frame.time)
        duration = times[-1] + 1 / float(stream.average_rate)
    table = np.genfromtxt(landmarks, delimiter=",")[1:]
    xs = table[:, 297:365] / width * SIZE
    ys = table[:, 365:433] / height * SIZE
    for i in range(FRAMES):
        second = i * duration / FRAMES
        row = min(math.ceil(i * len(table) / FRAMES), len(table) - 1)
        left, right, top, bottom = (int(side) for side in (xs[row].min(), xs[row].max(), ys[row].min(), ys[row].max()))
        image = squashed[max(int(np.searchsorted(times, second, side="right")) - 1, 0)][top:bottom, left:right]
        face = cv2.resize(image, (SIZE, SIZE))
        cv2.imwrite(str(folder / f"frame_{second:.2f}.jpg"), face[..., ::-1])
    with av.open(str(clip)) as container:
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=44100)
        blocks = [block for frame in container.decode(audio=0) for block in resampler.resample(frame)]
        blocks += resampler.resample(None)
    wave = np.concatenate([block.to_ndarray().reshape(-1, 2) for block in blocks])
    soundfile.write(folder / "audio.wav", wave, 44100)
    mono, rate = librosa.load(folder / "audio.wav", sr=44100, offset=0.5, duration=2.45)
    np.save(folder / "featuresMFCC.npy", librosa.feature.mfcc(y=mono, sr=rate, n_mfcc=13))


def fetch(folder: Path, augmented: bool = False) -> tuple[Tensor, Tensor]:
    """Return a sample of the released dataset class: frames ``(30, 3, 224, 224)`` and MFCCs ``(13, 212)``, float32."""
    transform = AUGMENTED if augmented else AS_IS
    images = [transform(cv2.imread(str(path))) for path in sorted(folder.glob("frame_*.jpg"))]
    return torch.stack(images), torch.from_numpy(np.load(folder / "featuresMFCC.npy"))
