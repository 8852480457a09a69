"""A video network for clips described by their facial action units instead of frames. It is not from a paper."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.nn.backbones import VideoNetwork


class UnitTokens(nn.Module):
    """The first level of `ActionUnitNet`."""

    def __init__(self, units: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(units, channels))
        self.shift = nn.Parameter(torch.randn(units, channels))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, values: Tensor) -> Tensor:
        """Map ``(B, units)`` to ``(B, channels, units)``."""
        tokens = values.unsqueeze(2) * self.scale + self.shift
        return torch.relu(self.norm(tokens.flatten(0, 1))).view(tokens.shape).transpose(1, 2)


class UnitMixing(nn.Module):
    """The second level of `ActionUnitNet`."""

    def __init__(self, narrow: int, wide: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.own = nn.Linear(narrow, wide, bias=False)
        self.face = nn.Linear(narrow, wide, bias=False)
        self.norm = nn.BatchNorm1d(wide)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(B, narrow, units)`` to ``(B, wide, units)``."""
        tokens = self.dropout(tokens.transpose(1, 2))
        mixed = self.own(tokens) + self.face(tokens.mean(1, keepdim=True))
        return torch.relu(self.norm(mixed.flatten(0, 1))).view(mixed.shape).transpose(1, 2)


class ActionUnitNet(VideoNetwork):
    """Facial action units of a clip, one token each, so that attention over places is attention over units.

    The first level maps every unit by itself: ``token_u = ReLU(BN(value_u * scale_u + shift_u))`` with ``scale_u`` and
    ``shift_u`` learned vectors of that unit. The second lets every token see the whole face:
    ``ReLU(BN(W token_u + V mean_v token_v))``. 10,752 parameters by default.

    Args:
        units: Action units of a clip, standardised.
        channels: Channels of a token after either level.
        dropout: Dropout of the tokens between the levels.
    """

    def __init__(self, units: int = 35, channels: tuple[int, int] = (32, 128), dropout: float = 0.2) -> None:
        super().__init__()
        self.units = units
        self.level_channels = channels
        self.tokens = UnitTokens(units, channels[0])
        self.mixing = UnitMixing(*channels, dropout)

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "vector"

    def stages(self) -> dict[str, nn.Module]:
        """Return the stages: tokens, mixing."""
        return {"tokens": self.tokens, "mixing": self.mixing}

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of one value per unit."""
        return shape == [self.units]

    def level1(self, x: Tensor) -> Tensor:
        """Return the tokens ``(B, C, units)`` of the values ``(B, units)``."""
        tokens: Tensor = self.tokens(x)
        return tokens

    def level2(self, x: Tensor) -> Tensor:
        """Return the tokens after attention between them, ``(B, C', units)``."""
        tokens: Tensor = self.mixing(x)
        return tokens
