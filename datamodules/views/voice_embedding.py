"""Who speaks, and a little of how: the embedding of a voice by a network that comes inside a package.

Wan et al. 2018, https://arxiv.org/abs/1710.10467; weights of Resemblyzer (Apache-2.0). The same as the frozen encoder
`VoiceEncoder` gives, to rounding, for what is prepared once and read by models that know no waves.
"""

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError
from datamodules.media.clip import Clip
from datamodules.media.mfcc import mel_filters
from datamodules.media.sound import refuse_silence
from datamodules.reading.files import sha256_file
from datamodules.views.base import View, Want, WholeClip
from tensor_archives import TensorFileError
from tensor_files import read_torch

RATE, HOP, FFT, MELS, SIZE = 16_000, 160, 400, 40, 256
WINDOW, STEP, COVERED = 160, 77, 0.75  # frames of a part, between two, and what there must be of the last one
LOUDNESS = 10 ** (-30 / 20)  # root mean square that quieter waves are brought to
SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"  # of the weights of Resemblyzer 0.1.4
RANDOM, PACKAGE = "random", "package"
_PACKAGED = (PACKAGE, SHA256)
DECIMALS = 5  # processors differ in the last bits; what is stored should not


@dataclass(frozen=True)
class VoiceEmbedding(WholeClip):
    """Mean and deviation of the embeddings of parts of 1.6 s, float32 ``(512,)``.

    Attributes:
        weights: ``package``, those inside the installed Resemblyzer, or their SHA-256, as a recipe says it once it is
            resolved; ``random`` (for stand-ins), or a file.
    """

    dtype: ClassVar[str] = "f32"
    packages: ClassVar[tuple[str, ...]] = (*WholeClip.packages, "torch")

    weights: str = PACKAGE

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Self:
        """Return the view whose `settings` a checkpoint holds; no file that these name is looked for.

        Raises:
            DataError: Its weights are no known ones, or are missing here.
        """
        view = super().restored(settings)
        if view.weights not in (RANDOM, *_PACKAGED):
            raise DataError(f"the voice was embedded by weights of one's own ({view.weights[:40]}), which are not here")
        return view.bind("views.voice", Scan([]), Path())[0]  # type: ignore[return-value]

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the weights.

        Raises:
            DataError: They are missing, or others than those that are known.
        """
        if self.weights != RANDOM:
            path = _file(self.weights)
            if path is None or not path.is_file():
                lacks = f"no weights at {path}" if path else "Resemblyzer is missing"
                raise DataError(f"{option}: {lacks}: pip install --no-deps Resemblyzer==0.1.4")
            if self.weights in _PACKAGED and sha256_file(path) != SHA256:
                raise DataError(
                    f"{option}: {path} has another SHA-256 than Resemblyzer 0.1.4's; do not use these weights"
                )
        return self, scan

    def settings(self) -> dict[str, Any]:
        """Return what the weights are, wherever they lie."""
        known = {RANDOM: RANDOM, **dict.fromkeys(_PACKAGED, SHA256)}
        return {"weights": known.get(self.weights) or sha256_file(Path(self.weights))}

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(RATE,))

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the embedding; silence has no voice."""
        wave = clip.waves[RATE]
        refuse_silence(entry.name, wave)
        said = _network(self.weights)(_parts(wave))
        return np.concatenate([said.mean(0), said.std(0)]).round(DECIMALS).astype(np.float32), 0


def _file(weights: str) -> Path | None:
    """Return the file that holds the weights; None where its package is not installed."""
    if weights not in _PACKAGED:
        return Path(weights)
    found = importlib.util.find_spec("resemblyzer")
    return Path(found.origin).parent / "pretrained.pt" if found and found.origin else None


def _parts(wave: np.ndarray) -> np.ndarray:
    """Return the mel energies of the parts of a wave, float32 ``(n, WINDOW, MELS)``."""
    last = int(np.flatnonzero(wave)[-1]) + 1
    signal = wave[:last] / 32768
    signal = signal * max(1.0, LOUDNESS / np.sqrt((signal**2).mean()))
    frames = -(-(last + 1) // HOP)
    starts = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    if len(starts) > 1 and (last - starts[-1] * HOP) / (WINDOW * HOP) < COVERED:
        starts.pop()
    most = (starts[-1] + WINDOW) * HOP
    padded = np.pad(signal, (FFT // 2, max(0, most - last) + FFT // 2))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    spectrum = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP] * window)
    power = spectrum.real**2 + spectrum.imag**2
    mels = [(power[:, first : first + len(w)] * w).sum(1) for first, w in mel_filters(RATE, FFT, MELS)]
    energies = np.stack(mels, axis=1).astype(np.float32)
    return np.stack([energies[at : at + WINDOW] for at in starts])


@lru_cache(maxsize=1)
def _network(weights: str) -> Any:
    """Return a function from parts ``(n, WINDOW, MELS)`` to embeddings ``(n, 256)`` of length 1, float64.

    Raises:
        DataError: The file holds something else.
    """
    import torch  # slow to import, and no other view needs it

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lstm, linear = torch.nn.LSTM(MELS, SIZE, 3, batch_first=True), torch.nn.Linear(SIZE, SIZE)
    parts = torch.nn.ModuleDict({"lstm": lstm, "linear": linear})
    if weights != RANDOM:
        try:
            with warnings.catch_warnings():  # of a format without checksums: its SHA-256 is in the manifest
                warnings.simplefilter("ignore")
                state = read_torch(_file(weights) or Path(weights), old=True)["model_state"]
            parts.load_state_dict({name: of for name, of in state.items() if name.startswith(("lstm.", "linear."))})
        except (TensorFileError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(f"{weights} holds no voice encoder; name Resemblyzer's pretrained.pt") from error

    @torch.inference_mode()
    def embed(mels: np.ndarray) -> np.ndarray:
        hidden = lstm(torch.from_numpy(mels))[1][0][-1]
        said = torch.relu(linear(hidden)).double()
        return np.asarray((said / said.norm(dim=1, keepdim=True).clamp_min(1e-12)).numpy())

    return embed
