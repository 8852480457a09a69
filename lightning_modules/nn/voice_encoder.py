"""An encoder of voices whose weights come inside a package: who is speaking, and a little of how.

Wan, Wang, Papir, Moreno, "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018,
https://arxiv.org/abs/1710.10467. The weights are those of Resemblyzer (https://github.com/resemble-ai/Resemblyzer,
Apache-2.0), which trained them; written from its layer sizes, no code was copied. What differs: silence is not cut out,
which wants one more package.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import fill
from lightning_modules.nn.pretrained_encoder import Freeze, PretrainedEncoder
from lightning_modules.nn.state_pooling import StatePooling
from lightning_modules.nn.wave_states import resampled, sounding
from tensor_archives import TensorFileError
from tensor_files import read_torch

RATE, HOP, MELS = 16_000, 160, 40
WINDOW, STEP = 160, 77  # frames of a part of a wave, 1.6 s, and between the beginnings of two, 1.3 a second
COVERED = 0.75  # of the last part, or it is left out
LOUDNESS = 10 ** (-30 / 20)  # root mean square that quieter waves are brought to
PACKAGE = "resemblyzer"
SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"  # of its weights, version 0.1.4


class VoiceNetwork(nn.Module):
    """Three LSTM layers over mel energies, a linear layer, ReLU, length 1 (1,423,616 parameters)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: Tensor) -> Tensor:
        """Embed ``(N, WINDOW, MELS)`` to ``(N, 256)``."""
        last: Tensor = torch.relu(self.linear(self.lstm(mels)[1][0][-1]))
        embedding: Tensor = last / last.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return embedding


class VoiceEncoder(PretrainedEncoder):
    """Embedding of a voice: its network over parts of 1.6 s, their mean, or mean beside deviation, or all of them.

    Args:
        weights: ``package``, those inside the installed Resemblyzer, a file of the same format, or none.
        pooling: Over the parts; ``mean`` is scaled to length 1, as in Resemblyzer; ``none`` hands over all.
        freeze: ``all`` or ``none``.
        rate: Samples per second of the data's waves; what the data say of themselves counts more.

    Raises:
        TaskError: If the package is not installed.
    """

    pool: StatePooling

    def __init__(
        self,
        weights: str | None = "package",
        pooling: Literal["mean", "mean+deviation", "none"] = "mean+deviation",
        freeze: Freeze = "all",
        rate: int | None = None,
    ) -> None:
        super().__init__(weights)
        if weights == "package":
            _packaged()
        self.network: nn.Module = VoiceNetwork()
        self.mel: Any = MelSpectrogram(
            RATE, 400, hop_length=HOP, n_mels=MELS, norm="slaney", mel_scale="slaney", pad_mode="constant"
        )
        self.pooling = pooling
        self.rate = rate
        pool = StatePooling(pooling, 256)
        self.set_groups({"network": [self.network]}, freeze, {"pool": pool})
        self.channels = pool.channels

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "wave"

    def describe_input(self, rate: int | None = None, mean: Any = None, std: Any = None) -> None:
        """Take note of the rate of waves."""
        self.rate = rate or self.rate

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of waves, ``[S]``."""
        return len(shape) == 1 and shape[0] > 0

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is None:
            return
        path = _packaged() if self.weights == "package" else Path(self.weights)
        found = hashlib.sha256(path.read_bytes()).hexdigest() if self.weights == "package" else SHA256
        if found != SHA256:
            raise TaskError(f"weights: {path} has the SHA-256 {found}, expected {SHA256}; do not use these weights")
        try:
            content = read_torch(path, old=True)
        except TensorFileError as error:
            raise TaskError(f"weights: {error}; install the package again") from error
        state = content.get("model_state") if isinstance(content, dict) else None
        if not isinstance(state, dict):
            raise TaskError(f"weights: {path} holds no voice encoder; name Resemblyzer's pretrained.pt")
        own = {name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))}
        fill(self.network, own, f"{path} does not fit the voice encoder")

    def forward(self, waves: Tensor) -> Tensor:
        """Embed waves ``(N, S)`` in [-1, 1], zeros after their end, to ``(N, channels)``."""
        waves = resampled(waves.float(), self.rate or RATE, RATE)
        lengths = sounding(waves).clamp_min(1)
        loudness = (waves.square().sum(1) / lengths).sqrt().clamp_min(1e-12)
        waves = waves * (LOUDNESS / loudness).clamp_min(1)[:, None]
        starts = [_starts(length) for length in lengths.tolist()]
        most = max(own[-1] for own in starts) + WINDOW
        waves = nn.functional.pad(waves, (0, max(0, most * HOP - waves.shape[1])))
        mels = self.mel(waves).transpose(1, 2)
        parts = torch.cat([mels[row, at : at + WINDOW][None] for row, own in enumerate(starts) for at in own])
        with self.grad():
            said = self.network(parts).split([len(own) for own in starts])
        states = nn.utils.rnn.pad_sequence(list(said), batch_first=True)
        valid = torch.arange(states.shape[1], device=waves.device) < torch.tensor(
            [len(own) for own in starts], device=waves.device
        ).unsqueeze(1)
        embedding: Tensor = self.pool(states, valid)
        return nn.functional.normalize(embedding, dim=1) if self.pooling == "mean" else embedding


def _starts(samples: int) -> list[int]:
    """Return the first frames of the parts of a wave."""
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / (WINDOW * HOP)
    return starts[:-1] if covered < COVERED and len(starts) > 1 else starts


def _packaged() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    path = Path(found.origin).parent / "pretrained.pt" if found and found.origin else None
    if path is None or not path.is_file():
        raise TaskError(
            "VoiceEncoder: its weights come inside a package that is not installed; "
            "pip install --no-deps Resemblyzer==0.1.4"
        )
    return path
