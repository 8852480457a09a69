"""An encoder of sequences of vectors of any length: features of frames or windows that were computed elsewhere.

Attention over time: Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016,
https://aclanthology.org/N16-1174, equations 5 to 7. Written from the paper; no code was copied.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.nn.state_pooling import AttentionWeights


class VectorSequence(nn.Module):
    """A recurrent layer over the steps where it is asked for, and their mean as attention weighs them.

    ``h = GRU(dropout(GELU(W_1 x + b_1)))``; ``u_t = tanh(W_2 h_t + b_2)``; ``a = softmax_t(u_t . w)``; the result is
    ``sum_t a_t h_t``. The layer runs forward in time alone, so that what is behind the last step changes nothing before
    it, and those steps have no weight: the result is the same however far a batch is padded.

    Args:
        size: Values of a step, D.
        dim: Length of the result.
        dropout: Dropout of the projected steps.
        pooling: ``gru``, as above, or ``attention`` alone: ``h`` is then ``dropout(GELU(W_1 x + b_1))``. ``none`` hands
            over all of these, zeros behind the last step.

    Example:
        >>> encoder = VectorSequence(8, dim=16)
        >>> encoder(torch.ones(2, 5, 8), torch.tensor([5, 3])).shape, sum(p.numel() for p in encoder.parameters())
        (torch.Size([2, 16]), 2064)
    """

    frozen = False  # it always learns
    reads_length = True

    def __init__(
        self, size: int, dim: int = 64, dropout: float = 0.2, pooling: Literal["gru", "attention", "none"] = "gru"
    ) -> None:
        super().__init__()
        self.size, self.channels, self.pooling = size, dim, pooling
        self.project = nn.Sequential(nn.Linear(size, dim), nn.GELU(), nn.Dropout(dropout))
        self.recurrent = nn.GRU(dim, dim, batch_first=True) if pooling == "gru" else None
        self.weigh = AttentionWeights(dim) if pooling != "none" else None

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of sequences of such vectors, ``[T, size]``, T of any length."""
        return len(shape) == 2 and shape[1] == self.size

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """Encode sequences.

        Args:
            x: ``(B, T, D)``.
            length: Steps of each that count, int64 ``(B,)``; all of them where None. One without any counts as one of
                one step, whatever stands there.

        Returns:
            ``(B, dim)``, or ``(B, T, dim)``.
        """
        hidden = self.project(x.float())
        if self.recurrent is not None:
            hidden = _states(self.recurrent, hidden)
        valid = None
        if length is not None:
            valid = torch.arange(x.shape[1], device=x.device) < length.clamp_min(1)[:, None]
        if self.weigh is not None:
            return self.weigh.pool(hidden, valid)
        encoded: Tensor = hidden if valid is None else hidden.masked_fill(~valid.unsqueeze(2), 0)
        return encoded


def _states(gru: nn.GRU, steps: Tensor) -> Tensor:
    """Return the states ``(B, T, H)`` of one layer over steps ``(B, T, D)``.

    Exported it is ONNX's own operator, which has its gates in another order: torch's would be a graph of one length.
    """
    if not torch.compiler.is_exporting():
        states: Tensor = gru(steps)[0]
        return states
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    parts = (gru.get_parameter(name).chunk(3) for name in names)
    weight, recurrent, *biases = (torch.cat([update, reset, new]).unsqueeze(0) for reset, update, new in parts)
    inputs = [steps.transpose(0, 1), weight, recurrent, torch.cat(biases, 1)]
    made = torch.onnx.ops.symbolic(
        "GRU",
        inputs,
        {"hidden_size": gru.hidden_size, "linear_before_reset": 1},
        dtype=steps.dtype,
        shape=(steps.shape[1], 1, len(steps), gru.hidden_size),
    )
    return made.squeeze(1).transpose(0, 1)


class Vector(nn.Module):
    """A linear layer and GELU over one vector a clip, which was computed elsewhere.

    Args:
        size: Its values, D.
        dim: Length of the result.
    """

    frozen = False

    def __init__(self, size: int, dim: int = 64) -> None:
        super().__init__()
        self.size, self.channels = size, dim
        self.layers = nn.Sequential(nn.Linear(size, dim), nn.GELU())

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of such vectors, ``[size]``."""
        return shape == [self.size]

    def forward(self, x: Tensor) -> Tensor:
        """Encode vectors ``(B, size)`` to ``(B, dim)``."""
        encoded: Tensor = self.layers(x.float())
        return encoded
