"""An encoder of sound: any network of transformers of wav2vec 2.0's kind, Whisper's encoder, or AST."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.errors import TaskError
from lightning_modules.nn.hf_encoders import HFEncoder
from lightning_modules.nn.networks.transformers_networks import processor_of
from lightning_modules.nn.wave_states import WaveStates, resampled, sounding


class HFAudio(HFEncoder):
    """Embedding of a wave by a network of transformers: of waves (wav2vec 2.0's kind), Whisper's encoder, or AST.

    Zeros at the end of a wave are padding and never count. Whisper hears the first half minute, AST as much as its
    ``max_length`` says.

    Args:
        weights: See `HFEncoder`.
        rate: Samples per second of the data's waves; they are resampled where the network wants another rate. What the
            data say of themselves counts more; the network's own rate where nobody says.
        **kwargs: See `HFEncoder`.

    Raises:
        TaskError: If the network is of another kind.
    """

    part = "audio"

    def __init__(self, weights: str | None = None, rate: int | None = None, **kwargs: Any) -> None:
        super().__init__(weights, **kwargs)
        network: Any = self.network
        self.processor: Any = processor_of("audio", self.kind, self.settings)
        self.rate = rate
        self.waves: WaveStates | None = None
        self.shortest = self.own_rate // 40  # a spectrum's window
        if hasattr(getattr(network, "feature_extractor", None), "conv_layers"):
            self.waves = WaveStates(network, self.processor.do_normalize)
            self.shortest = self.waves.shortest
        elif self.kind not in ("whisper", "audio-spectrogram-transformer"):
            raise TaskError(
                f"HFAudio reads networks of wav2vec 2.0's kind, Whisper and AST; {self.kind} is none of them"
            )

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "wave"

    def describe_input(self, rate: int | None = None, mean: Any = None, std: Any = None) -> None:
        """Take note of the rate of waves."""
        self.rate = rate or self.rate

    @property
    def own_rate(self) -> int:
        """Samples per second that the network wants."""
        return int(self.processor.sampling_rate)

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of waves, ``[S]``, long enough for one state."""
        return len(shape) == 1 and shape[0] * self.own_rate // (self.rate or self.own_rate) >= self.shortest

    def forward(self, waves: Tensor) -> Tensor:
        """Embed waves ``(N, S)`` in [-1, 1], zeros after their end, to ``(N, channels)``."""
        waves = resampled(waves, self.rate or self.own_rate, self.own_rate)
        valid: Tensor | None
        with self.grad():
            if self.waves is not None:
                output, valid = self.waves(self.network, waves, **self.asked())
            else:
                output, valid = self._features(waves)
        return self.pooled(output, valid)

    def _features(self, waves: Tensor) -> tuple[Any, Tensor | None]:
        """Return what a network of spectrograms says, and which of its states are of the wave; None for all."""
        lengths = sounding(waves).clamp_min(self.shortest)
        alone = [wave[:length].cpu().numpy() for wave, length in zip(waves.float(), lengths.tolist(), strict=True)]
        made = self.processor(alone, sampling_rate=self.own_rate, return_tensors="pt")
        features = next(iter(made.values())).to(waves)
        output = self.network(features, **self.asked())
        if self.kind != "whisper":
            return output, None
        states = output.last_hidden_state.shape[1]
        each = self.processor.n_samples / states  # samples of a state
        valid = torch.arange(states, device=waves.device) * each < lengths[:, None]
        return output, valid
