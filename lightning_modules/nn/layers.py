"""Layers that two or more papers use and torch lacks: attention between sequences ``(B, T, D)``, BatchNorm of one clip.

Attention and positions: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762, in
the form of the engagement papers.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.errors import TaskError


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation ``(B, C)`` that takes the running statistics for one clip, which has none of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(B, C)``."""
        if self.training and len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def sine_positions(steps: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Return fixed position vectors: sines and cosines in turn, ``sin(t / 10000^(2i / dim))``, for t = 0, 1, ...

    Args:
        steps: Number of positions.
        dim: Their even length.
        device: Where they go.

    Returns:
        ``(steps, dim)``.
    """
    frequencies = 10000 ** -(torch.arange(0, dim, 2, device=device) / dim)
    angles = torch.arange(steps, device=device)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class Positions(nn.Module):
    """Add `sine_positions` to sequences of any length; no parameters.

    Args:
        dropout: Dropout of the sum.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, T, D)``."""
        placed: Tensor = self.dropout(x + sine_positions(x.shape[1], x.shape[2], x.device).to(x.dtype))
        return placed


class AttentionLayer(nn.Module):
    """Attention of one sequence to another, then a feed-forward network as wide as the sequence; normalised after each.

    ``q = place(query)``, ``k = place(context)``, ``v = place(context)`` with `Positions`, each with its own dropout;
    ``x = LN(drop(MHA(q, k, v)) + q)``; ``y = LN(drop(W_2 ReLU(drop(W_1 x + b_1)) + b_2) + x)``. The projections of the
    attention have no biases, and start from what torch draws for a linear layer. ``6 D^2 + 6 D`` parameters.

    Args:
        dim: Channels of both sequences, D.
        heads: Attention heads.
        dropout: Dropout of the attention's result, of the hidden units and of the feed-forward network's result.
        positions: Have positions.

    Raises:
        TaskError: If the heads do not divide the channels.

    Example:
        >>> layer = AttentionLayer(256, heads=8)
        >>> layer(torch.ones(2, 40, 256), torch.ones(2, 40, 256)).shape, sum(p.numel() for p in layer.parameters())
        (torch.Size([2, 40, 256]), 394752)
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.1, positions: bool = True) -> None:
        super().__init__()
        if dim % heads:
            raise TaskError(f"model.heads: {heads} does not divide the {dim} channels")
        self.place = Positions() if positions else nn.Identity()
        self.attention = nn.MultiheadAttention(dim, heads, bias=False, batch_first=True)
        # The papers' query, key and value are linear layers of their own: +-1 / sqrt(D), where torch's packed ones have
        # Xavier's +-sqrt(3 / (2 D)).
        nn.init.kaiming_uniform_(self.attention.in_proj_weight, a=math.sqrt(5))
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout), nn.ReLU(), nn.Linear(dim, dim))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, context: Tensor, present: Tensor | None = None) -> Tensor:
        """Attend from ``query`` ``(B, T, D)`` to ``context`` ``(B, S, D)``.

        Args:
            query: Asks; its places are those of the result.
            context: Answers.
            present: Which clips have a context, bool ``(B, 1)``, or which steps of it, ``(B, S)``; who has none finds
                nothing. All have where None.

        Returns:
            ``(B, T, D)``.
        """
        q, blind = self.place(query), None
        if present is not None and present.shape[1] > 1:
            steps, present = present, present.any(1, keepdim=True)
            blind = ~steps & present  # who has no step at all would find what is no number
        k, v = self.place(context), self.place(context)
        found = self.attention(q, k, v, key_padding_mask=blind, need_weights=False)[0]
        if present is not None:
            found = found.masked_fill(~present.unsqueeze(2), 0)
        x = self.attention_norm(self.dropout(found) + q)
        y: Tensor = self.norm(self.dropout(self.feed_forward(x)) + x)
        return y
