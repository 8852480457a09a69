"""Waves of unequal length through a network of wav2vec 2.0's kind: padding never counts, however long it is."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.nn.state_pooling import masked_mean


def sounding(waves: Tensor) -> Tensor:
    """Return the number of samples of waves ``(N, S)`` up to the zeros at their end, ``(N,)``; 0 of silence."""
    places = torch.arange(1, waves.shape[1] + 1, device=waves.device)
    return (places * (waves != 0)).amax(1)


def resampled(waves: Tensor, rate: int, wanted: int) -> Tensor:
    """Return waves ``(N, S)`` of one rate at another, zeros after their end as before.

    Args:
        waves: In [-1, 1].
        rate: Their samples per second.
        wanted: Those of the result.
    """
    if rate == wanted:
        return waves
    from torchaudio.functional import resample

    lengths = (sounding(waves) * wanted + rate - 1) // rate
    made: Tensor = resample(waves.float(), rate, wanted)
    return made.masked_fill(torch.arange(made.shape[1], device=made.device) >= lengths[:, None], 0)


class WaveStates:
    """What runs a network of wav2vec 2.0's kind (HuBERT, WavLM, data2vec) over waves.

    The network's normalisation over time, where it has one, is replaced by one that leaves padding out; names and
    values of its tensors stay.

    Args:
        network: The network.
        normalize: Bring every wave to zero mean and unit variance first.

    Attributes:
        shortest: Samples that one state needs.
    """

    def __init__(self, network: Any, normalize: bool = True) -> None:
        self.normalize = normalize
        self.layers = list(zip(network.config.conv_kernel, network.config.conv_stride, strict=True))
        first = network.feature_extractor.conv_layers[0]
        self.norm: _WaveNorm | None = None
        if getattr(network.config, "feat_extract_norm", "layer") == "group":
            self.norm = _WaveNorm(first.out_conv_dim)
            self.norm.weight, self.norm.bias = first.layer_norm.weight, first.layer_norm.bias
            first.layer_norm = self.norm
        # data2vec's positions see several layers far: what is behind a wave's end would reach back into it.
        self.alone = hasattr(network.config, "conv_pos_kernel_size")
        self.shortest = 1
        for kernel, stride in reversed(self.layers):
            self.shortest = (self.shortest - 1) * stride + kernel

    def __call__(self, network: nn.Module, waves: Tensor, **options: Any) -> tuple[Any, Tensor]:
        """Run the network.

        Args:
            network: The one this was made for.
            waves: ``(N, S)`` in [-1, 1], zeros after their end.
            **options: Other arguments of the network.

        Returns:
            What the network returns, and which of its states are of the wave, bool ``(N, T)``.
        """
        lengths = sounding(waves).clamp_min(self.shortest)
        if self.alone and bool((lengths != lengths[0]).any()):
            return self._each(
                network, [wave[None, :length] for wave, length in zip(waves, lengths, strict=True)], options
            )
        longest = waves.shape[1] if torch.compiler.is_exporting() else int(lengths.max())
        places = torch.arange(1, longest + 1, device=waves.device)
        waves, valid = waves[:, :longest].float(), places <= lengths[:, None]
        if self.normalize:
            mean = masked_mean(waves.unsqueeze(2), valid)
            variance = masked_mean((waves - mean).square().unsqueeze(2), valid)
            waves = ((waves - mean) / (variance + 1e-7).sqrt()).masked_fill(~valid, 0)
        steps = lengths
        for number, (kernel, stride) in enumerate(self.layers):
            steps = (steps - kernel) // stride + 1
            if number == 0 and self.norm is not None:
                self.norm.steps = steps
        output = network(waves, attention_mask=valid.long(), **options)
        count = output.last_hidden_state.shape[1]
        return output, torch.arange(count, device=steps.device) < steps[:, None]

    def _each(self, network: nn.Module, waves: list[Tensor], options: dict[str, Any]) -> tuple[Any, Tensor]:
        """Run the network over waves one by one."""
        outputs, valid = zip(*(self(network, wave, **options) for wave in waves), strict=True)

        def padded(states: list[Tensor]) -> Tensor:
            return nn.utils.rnn.pad_sequence([of[0] for of in states], batch_first=True)

        layers = zip(*(output.hidden_states or () for output in outputs), strict=True)
        joined = SimpleNamespace(
            last_hidden_state=padded([output.last_hidden_state for output in outputs]),
            hidden_states=tuple(padded(list(states)) for states in layers),
        )
        return joined, padded(list(valid))


class _WaveNorm(nn.GroupNorm):
    """The normalisation over time after wav2vec 2.0's first convolution, over the steps of the wave alone.

    The library's own counts the padding, so that a wave's embedding would depend on how far it is padded.

    Args:
        channels: Each is normalised for itself.
    """

    steps: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C, T)`` over the first ``steps`` of T."""
        valid = (torch.arange(x.shape[2], device=x.device) < self.steps[:, None])[:, None]
        values, count = x.float(), self.steps[:, None, None]
        mean = (values * valid).sum(2, keepdim=True) / count
        variance = ((values - mean).square() * valid).sum(2, keepdim=True) / count
        scaled = (values - mean) * (variance + self.eps).rsqrt()
        return (scaled * self.weight[:, None] + self.bias[:, None]).to(x.dtype)
