"""Fusion layers: two feature tensors, or two score vectors, become one. They depend on channels, not on networks.

Features are ``(B, C, ...)`` with any number of places; scores are ``(B, M, K)`` of M
modalities.

Compact bilinear pooling: Fukui et al., "Multimodal Compact Bilinear Pooling for Visual Question Answering and Visual
Grounding", EMNLP 2016, https://arxiv.org/abs/1606.01847. MMTM: Vaezi Joze et al., "MMTM: Multimodal Transfer Module for
CNN Fusion", CVPR 2020, https://arxiv.org/abs/1911.08670, code https://github.com/haamoon/mmtm (MIT). MSAF: Su et al.,
"MSAF: Multimodal Split Attention Fusion", 2020, https://arxiv.org/abs/2012.07175, code https://github.com/anita-hu/MSAF
(MIT). Multiplicative combination: Liu et al., "Learn to Combine Modalities in Multimodal Deep Learning", 2018,
https://arxiv.org/abs/1805.11730.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import pooled
from lightning_modules.nn.layers import BatchNorm


def averaging(logits: Tensor, present: Tensor) -> Tensor:
    """Return late fusion by the mean of the class probabilities: ``log(1/M sum_m softmax(logits_m))``.

    Args:
        logits: ``(B, M, K)``.
        present: Which modalities a clip has, ``(B, M)``; the others are left out. Without any the classes are equal.

    Returns:
        Log probabilities ``(B, K)``.

    Example:
        >>> logits = torch.tensor([[[0.9, 0.1], [0.5, 0.5]]]).log()
        >>> averaging(logits, torch.tensor([[True, True]])).exp()
        tensor([[0.7000, 0.3000]])
    """
    each = logits.softmax(2)
    equal = torch.full_like(each[:, 0], 1 / each.shape[2])
    total = (each * present.unsqueeze(2)).sum(1)
    mean = torch.where(present.any(1, keepdim=True), total / present.sum(1, keepdim=True).clamp_min(1), equal)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()


def multiplicative(logits: Tensor, present: Tensor, beta: float) -> Tensor:
    """Return late fusion by the product of the class probabilities, each down-weighted where the others are sure.

    ``score(y) = sum_m q_m(y) log p_m(y)`` with ``q_m(y) = prod_{j != m} (1 - p_j(y))^(beta / (M - 1))``.

    Args:
        logits: ``(B, M, K)``.
        present: Which modalities a clip has, ``(B, M)``; the others are left out, M counts those there.
        beta: 0 is the plain product.

    Returns:
        Scores ``(B, K)``; the highest is predicted.

    Example:
        >>> logits = torch.tensor([[[0.9, 0.1], [0.5, 0.5]]]).log()
        >>> multiplicative(logits, torch.tensor([[True, True]]), beta=0.0).softmax(1)
        tensor([[0.9000, 0.1000]])
    """
    there = present.unsqueeze(2)
    log_p = logits.log_softmax(2).masked_fill(~there, 0)
    log_rest = torch.log1p(-log_p.exp().clamp_max(1 - 1e-6)).masked_fill(~there, 0)
    others = log_rest.sum(1, keepdim=True) - log_rest
    exponent = beta / (present.sum(1) - 1).clamp_min(1)
    return (torch.exp(exponent[:, None, None] * others) * log_p).sum(1)


def multiplication(logits: Tensor, present: Tensor) -> Tensor:
    """Return late fusion by the product of the class probabilities: the softmax of the summed logits.

    Args:
        logits: ``(B, M, K)``.
        present: Which modalities a clip has, ``(B, M)``; the others are left out.

    Returns:
        Scores ``(B, K)``, the log of the product up to a constant.

    Example:
        >>> logits = torch.tensor([[[0.8, 0.2], [0.6, 0.4]]]).log()
        >>> multiplication(logits, torch.tensor([[True, True]])).softmax(1)
        tensor([[0.8571, 0.1429]])
    """
    return multiplicative(logits, present, beta=0.0)


class CompactBilinearPooling(nn.Module):
    """The outer product of two vectors, projected at random: count sketches, convolved by FFT.

    ``sketch(x)[k] = sum over i with h(i) = k of s(i) x[i]``; ``z = irfft(rfft(sketch_1(x)) * rfft(sketch_2(y)))``, then
    the signed square root ``sign(z) sqrt(|z|)`` and division by the Euclidean norm. Positions h and signs s are drawn
    once, from ``seed``, and kept in the checkpoint; no parameters. Where either vector is zero, so is the result.

    Args:
        first: Length of the first vector.
        second: Length of the second vector.
        dim: Length of the result.
        seed: Of h and s.
        more: Lengths of further vectors; all sketches are convolved.

    Example:
        >>> pooling = CompactBilinearPooling(2048, 1664, dim=16000)
        >>> pooling(torch.ones(2, 2048), torch.ones(2, 1664)).shape
        torch.Size([2, 16000])
    """

    def __init__(self, first: int, second: int, dim: int, seed: int = 0, more: Sequence[int] = ()) -> None:
        super().__init__()
        self.dim = dim
        generator = torch.Generator().manual_seed(seed)
        self.names = ["first", "second", *(f"vector{number}" for number in range(3, 3 + len(more)))]
        for name, length in zip(self.names, (first, second, *more), strict=True):
            self.register_buffer(f"{name}_hash", torch.randint(dim, (length,), generator=generator))
            self.register_buffer(f"{name}_sign", torch.randint(2, (length,), generator=generator) * 2.0 - 1)

    def sketch(self, x: Tensor, which: str) -> Tensor:
        """Return the count sketch ``(B, dim)`` of the ``which`` vectors ``(B, C)``."""
        signed = x * self.get_buffer(f"{which}_sign")
        return x.new_zeros(len(x), self.dim).index_add(1, self.get_buffer(f"{which}_hash"), signed)

    def forward(self, *vectors: Tensor) -> Tensor:
        """Pool ``(B, first)``, ``(B, second)`` and further vectors to ``(B, dim)``."""
        with torch.autocast(vectors[0].device.type, enabled=False):  # there is no FFT in half precision
            # What runs a graph has FFTs whose single precision is not enough for the root of what is almost 0.
            precision = torch.float64 if torch.compiler.is_exporting() else torch.float32
            named = zip(self.names, vectors, strict=True)
            spectra = [torch.fft.rfft(self.sketch(vector.to(precision), name)) for name, vector in named]
            z = torch.fft.irfft(math.prod(spectra[1:], start=spectra[0]), n=self.dim).float()
            rooted = z.sign() * (z.abs() + 1e-12).sqrt()  # sqrt alone has no finite slope at 0
            return F.normalize(rooted, dim=1)


class MMTMBlock(nn.Module):
    """Multimodal transfer module: all modalities' means, squeezed together, open and close the channels of each.

    ``z = ReLU(W [mean(A), mean(B)] + b)``, ``A' = A * g sigmoid(W_A z + b_A)``, likewise B. The released code differs
    from the paper twice, and is the default here: it is what the published parameter count fits.

    Args:
        first: Channels of the first modality.
        second: Channels of the second modality.
        ratio: z has ``2 (first + second) / ratio`` units as released, ``(first + second) / ratio`` in the paper.
        width: Which of the two.
        gate: ``released`` has g = 1, so that fresh gates halve the features; ``paper`` has g = 2.
        more: Channels of further modalities; z is of the means of all.

    Example:
        >>> block = MMTMBlock(1024, 32)
        >>> video, audio = block(torch.ones(2, 1024, 4, 14, 14), torch.ones(2, 32, 208))
        >>> video.shape, audio.shape, sum(p.numel() for p in block.parameters())
        (torch.Size([2, 1024, 4, 14, 14]), torch.Size([2, 32, 208]), 1116720)
    """

    def __init__(
        self,
        first: int,
        second: int,
        ratio: int = 4,
        width: Literal["released", "paper"] = "released",
        gate: Literal["released", "paper"] = "released",
        more: Sequence[int] = (),
    ) -> None:
        super().__init__()
        sizes = [first, second, *more]
        units = int((2 if width == "released" else 1) * sum(sizes) / ratio)
        if units < 1:
            raise TaskError(f"model.ratio: {ratio} leaves no units of the {' + '.join(map(str, sizes))} channels")
        self.squeeze = nn.Linear(sum(sizes), units)
        self.first = nn.Linear(units, first)
        self.second = nn.Linear(units, second)
        self.more = nn.ModuleList(nn.Linear(units, size) for size in more)
        self.scale = 1.0 if gate == "released" else 2.0

    def forward(self, *features: Tensor, means: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        """Return gated features ``(B, first, ...)``, ``(B, second, ...)``, ...; the shapes stay.

        Args:
            *features: Of each modality.
            means: Of these ``(B, C)``; over all places where not given.
        """
        z = torch.relu(self.squeeze(torch.cat([*(means or map(pooled, features))], dim=1)))
        gates = (self.first, self.second, *self.more)
        return tuple(_scaled(of, self.scale * torch.sigmoid(gate(z))) for of, gate in zip(features, gates, strict=True))


class MSAFBlock(nn.Module):
    """Multimodal split attention: blocks of channels of all modalities compete for every channel position.

    The channels of each modality are split into n blocks of ``b``; ``g = sum over blocks of their means (B, b)``;
    ``z = ReLU(BN(W g + c))`` of ``b / reduction`` units; block k is multiplied by its share
    ``softmax over k of (W_k z + c_k)``. Training drops whole blocks.

    Args:
        first: Channels of the first modality.
        second: Channels of the second modality.
        block: Channels of a block, b.
        reduction: How much narrower z is.
        dropout: Rate at which training drops a block of a clip.
        dropout_twice: Multiply the kept blocks by ``1 / (1 - dropout)`` twice, as the released code does.
        more: Channels of further modalities.

    Example:
        >>> block = MSAFBlock(2048, 64, block=32)
        >>> video, audio = block(torch.ones(2, 2048, 2, 7, 7), torch.ones(2, 64, 26))
        >>> video.shape, audio.shape, sum(p.numel() for p in block.parameters())
        (torch.Size([2, 2048, 2, 7, 7]), torch.Size([2, 64, 26]), 19288)
    """

    def __init__(
        self,
        first: int,
        second: int,
        block: int,
        reduction: int = 4,
        dropout: float = 0.2,
        dropout_twice: bool = False,
        more: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.sizes = (first, second, *more)
        if any(size % block for size in self.sizes) or block % reduction:
            *most, last = map(str, self.sizes)
            raise TaskError(
                f"model.blocks: {block} channels a block must divide the {', '.join(most)} and {last} channels of the "
                f"{'two' if not more else len(self.sizes)} networks, and model.reduction ({reduction}) must divide it"
            )
        self.block = block
        self.dropout = dropout
        self.dropout_twice = dropout_twice
        self.squeeze = nn.Linear(block, block // reduction)
        self.norm = BatchNorm(block // reduction)
        self.shares = nn.Linear(block // reduction, sum(self.sizes))

    def forward(self, *features: Tensor, means: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        """Weigh ``(B, first, ...)``, ``(B, second, ...)``, ...; the shapes stay.

        Args:
            *features: Of each modality.
            means: Of these ``(B, C)``; over all places where not given.
        """
        joined = torch.cat([*(means or map(pooled, features))], dim=1).view(len(features[0]), -1, self.block)
        kept = F.dropout(torch.ones_like(joined[..., :1]), self.dropout, self.training)  # (B, n, 1)
        z = torch.relu(self.norm(self.squeeze((joined * kept).sum(1))))
        shares = self.shares(z).view_as(joined).softmax(1)
        gain = (shares * kept * kept if self.dropout_twice else shares * kept).flatten(1)
        return tuple(_scaled(of, part) for of, part in zip(features, gain.split(self.sizes, dim=1), strict=True))


def _scaled(features: Tensor, gain: Tensor) -> Tensor:
    return features * gain.view(*gain.shape, *[1] * (features.ndim - 2))
