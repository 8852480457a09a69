"""ERANN: a residual network over log-mel spectrograms of the sound.

Verbitskiy, Berikov, Vyshegorodtsev, "ERANNs: Efficient Residual Audio Neural Networks for Audio Pattern Recognition",
2021, https://arxiv.org/abs/2106.01621. The authors released no code. The layout of the blocks is that of an
independent implementation, https://github.com/Matheuao/ERANNs, which was read and not copied; with it the three sizes
that the paper's abstract tells come out. In the table of MSAF and CFN-SR the row stands for this audio-only network.

What is our choice, because no source tells it:
- ``s_m`` of the RAVDESS network: the size (W = 4, 24.0 million) fits every value. Here 0.
- The front end: 128 mel bands of 1380 samples every 345 at 44.1 kHz are what others take with this family; band edges
  (0 to 22.05 kHz, HTK scale), decibels, and the batch norm of each band are ours.
- The clip's length (``data.wave_seconds``), the optimizer, the initial weights, which are torch's, and no pretraining;
  the paper studies transfer from AudioSet.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import amplitude_to_DB, melscale_fbanks

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError

RATE = 44100
_SLOPE = 0.01


class LogMel(nn.Module):
    """Log-mel spectrogram in decibels, made on the device by torchaudio's functions; no parameters.

    Nothing of it is in a checkpoint: torchaudio's modules of the same kind would add their window and filters there.

    Args:
        rate: Sampling rate in Hz.
        window: Samples of the Hann window and of the FFT.
        hop: Samples between frames.
        bands: Mel bands.
    """

    def __init__(self, rate: int = RATE, window: int = 1380, hop: int = 345, bands: int = 128) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        with torch.device("cpu"):  # torchaudio looks for bands without a bin, and a meta device has no values
            filters = melscale_fbanks(window // 2 + 1, 0.0, rate / 2, bands, rate, mel_scale="htk")
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Map ``(B, S)`` in -1 .. 1 to ``(B, bands, 1 + S // hop)``; silence is -100 dB."""
        with torch.autocast(wave.device.type, enabled=False):  # there is no FFT in half precision
            window = self.get_buffer("window")
            size = len(window)
            spectrum = torch.stft(wave.float(), size, self.hop, size, window, pad_mode="constant", return_complex=True)
            power = spectrum.abs().pow(2.0)
            mel = (power.transpose(1, 2) @ self.get_buffer("filters")).transpose(1, 2)
            decibel: Tensor = amplitude_to_DB(mel, multiplier=10.0, amin=1e-10, db_multiplier=0.0)
            return decibel


class ResidualBlock(nn.Module):
    """Two convolutions, each after batch norm and leaky ReLU, beside a shortcut; no biases.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Of the first convolution, over bands and over frames; an axis of stride 4 has kernels of 6 and 5, others
            of 3 and 3.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        kernels = [(6, 5) if step == 4 else (3, 3) for step in stride]
        first, second = ((kernels[0][i], kernels[1][i]) for i in (0, 1))
        self.layers = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(in_channels, out_channels, first, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv2d(out_channels, out_channels, second, padding=(second[0] // 2, second[1] // 2), bias=False),
        )
        same = stride == (1, 1) and in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, F, T)`` to ``(B, C', F / stride, T / stride)``; a stride of 4 must divide its axis."""
        features: Tensor = self.layers(x) + self.shortcut(x)
        return features


class ERANN(EmotionTask):
    """ERANN-s_m-W (24,021,578 parameters for s_m 0, W 4 and eight classes).

    Five stages of four residual blocks with 8W to 128W channels. The first block of stages 1 to 4 halves the bands and
    takes every 2nd frame; that of stages 1 to s_m every 4th. Then mean plus maximum over everything, and two linear
    layers.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"wave": [S]}`` at 44.1 kHz; linked from the data.
        s_m: How many of stages 1 to 3 take every 4th frame, 0 to 3.
        width: W, an eighth of the first stage's channels.
        encoders: None: it is one network.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no wave, or s_m is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        s_m: int = 0,
        width: int = 4,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        if encoders:
            raise TaskError("model.encoders: ERANN is one network over the sound itself; AudioOnly has any encoder")
        if "wave" not in input_shapes:
            raise TaskError("ERANN reads the sound itself: use --data.modalities [wave]")
        if not 0 <= s_m <= 3:
            raise TaskError(f"--model.s_m {s_m}: 0 to 3")
        self.front = LogMel()
        self.norm = nn.BatchNorm1d(128)
        steps = [1, *(4 if stage <= s_m else 2 for stage in (1, 2, 3)), 2]
        self.shortening = math.prod(steps)
        self.stacks = nn.ModuleList()
        channels = 1
        for stage, step in enumerate(steps):
            wide = 8 * width * 2**stage
            blocks = [ResidualBlock(channels, wide, (1 if stage == 0 else 2, step))]
            blocks += [ResidualBlock(wide, wide, (1, 1)) for _ in range(3)]
            self.stacks.append(nn.Sequential(*blocks))
            channels = wide
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.LeakyReLU(_SLOPE), nn.Linear(channels, num_classes))

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return {"wave": "wave"}

    def stages(self) -> Stages:
        """Return the stages: batch norm of the bands, five stages, head."""
        stacks: Stages = {f"stage{number}": [stack] for number, stack in enumerate(self.stacks)}
        return {"norm": [self.norm], **stacks, "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``wave`` float ``(B, S)`` in -1 .. 1, and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, 128 W)``, what the head reads.
        """
        x = self.norm(self.front(self.observed(batch, "wave")))
        x = F.pad(x, (0, -x.shape[2] % self.shortening)).unsqueeze(1)
        for stack in self.stacks:
            x = stack(x)
        embedding = x.mean((2, 3)) + x.amax((2, 3))
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}
