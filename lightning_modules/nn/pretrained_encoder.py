"""The bases of encoders, and of those that are any network: which layers train, what the numbers of its input mean."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.nn.networks.layer_groups import Frozen, LayerGroups, Stages

Freeze = Literal["all", "none", "blocks"] | int


class UtteranceEncoder(nn.Module, ABC):
    """One utterance to one embedding.

    Args:
        channels: Size of the embedding.
        weights: Pretrained weights that a fresh training starts from, where there are any.
    """

    def __init__(self, channels: int, weights: str | None) -> None:
        super().__init__()
        self.channels = channels
        self.weights = weights

    @abstractmethod
    def accepts(self, shape: list[int]) -> bool:
        """Return whether one utterance may have this shape."""

    @abstractmethod
    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""


class PretrainedEncoder(UtteranceEncoder):
    """One item (a wave, a picture, a clip of pictures, a text) to one vector, by a network nobody here wrote.

    A subclass builds ``network``, names its layer groups by `set_groups` and says ``channels``.

    Args:
        weights: Pretrained weights that a fresh training starts from, where there are any.

    Attributes:
        frozen: Whether nothing of it trains: it may run once, ahead of training.
    """

    network: nn.Module

    def __init__(self, weights: str | None) -> None:
        super().__init__(0, weights)

    def set_groups(self, groups: Stages, freeze: Freeze, learned: dict[str, nn.Module | None]) -> None:
        """Say what the layers of the network are and which of them train.

        Args:
            groups: Of the network.
            freeze: See `LayerGroups`.
            learned: What stands behind the network and always trains, by name; None where there is nothing.
        """
        self._groups = LayerGroups(groups, freeze, "freeze")
        self._learned = [name for name, module in learned.items() if module is not None]
        for name, module in learned.items():
            setattr(self, name, module)
        self.frozen = freeze == "all" and not any(p.requires_grad for p in self.parameters())
        self._never_trains = freeze == "all"
        self.train()

    @property
    def learns_behind(self) -> bool:
        """Whether something behind the network has to be learned: attention, weights of layers."""
        return any(list(getattr(self, name).parameters()) for name in self._learned)

    def stages(self) -> Stages:
        """Return the layer groups from input to output; no schedule trains those that are frozen."""
        network: Stages = {"network": [Frozen(self.network)]} if self._never_trains else self._groups.stages("")
        behind: Stages = {name: [getattr(self, name)] for name in self._learned}
        return {**network, **{name: parts for name, parts in behind.items() if self._trains(parts)}}

    @staticmethod
    def _trains(parts: list[nn.Module | nn.Parameter]) -> bool:
        return any(isinstance(part, nn.Module) and next(part.parameters(), None) is not None for part in parts)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Switch everything but what is frozen, which stays in eval mode."""
        super().train(mode)
        if hasattr(self, "_groups"):
            self._groups.hold()
            if self._never_trains:
                self.network.eval()
        return self

    def describe_input(self, rate: int | None = None, mean: Any = None, std: Any = None) -> None:
        """Take note of what the numbers of the data mean; the command line says it.

        Args:
            rate: Samples per second of waves.
            mean: What was subtracted from pixels between 0 and 1, by channel.
            std: What they were divided by.
        """

    def grad(self) -> Any:
        """Return a context in which the network keeps what gradients need, where any of it trains."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self._never_trains)


class PictureEncoder(PretrainedEncoder):
    """An encoder of pictures or clips of them, which undoes how the data normalised them.

    Args:
        weights: See `PretrainedEncoder`.
    """

    def __init__(self, weights: str | None) -> None:
        super().__init__(weights)
        self.mean: list[float] = [0.0, 0.0, 0.0]
        self.std: list[float] = [1.0, 1.0, 1.0]

    def describe_input(self, rate: int | None = None, mean: Any = None, std: Any = None) -> None:
        """Take note of how pixels were normalised."""
        if mean is not None and std is not None:
            self.mean, self.std = [float(value) for value in mean], [float(value) for value in std]

    def pixels(self, pictures: Tensor) -> Tensor:
        """Return pictures ``(N, 3, H, W)`` as the data hand them over as values between 0 and 1."""
        mean, std = (pictures.new_tensor(of).view(3, 1, 1) for of in (self.mean, self.std))
        return (pictures.float() * std + mean).clamp(0, 1)


class StillEncoder(PictureEncoder):
    """An encoder of single pictures; of a clip ``(N, 3, T, H, W)`` it gives the mean over the frames, or all states."""

    @abstractmethod
    def embed(self, pictures: Tensor) -> Tensor:
        """Return embeddings ``(N, D)``, or states ``(N, P, D)``, of pictures ``(N, 3, H, W)``."""

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of a picture, ``[3, H, W]``, or of a clip of them, ``[3, T, H, W]``."""
        return len(shape) in (3, 4) and shape[0] == 3 and min(shape) > 0

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed pictures ``(N, 3, H, W)``, or clips of them ``(N, 3, T, H, W)``, to ``(N, channels)``.

        Without pooling it is the states ``(N, P, channels)`` of a picture, of all frames of a clip one after the other.
        """
        if pictures.ndim == 4:
            return self.embed(pictures)
        frames = pictures.transpose(1, 2)
        embedded = self.embed(frames.flatten(0, 1))
        if embedded.ndim == 3:
            return embedded.view(len(frames), -1, embedded.shape[2])
        return embedded.view(*frames.shape[:2], -1).mean(1)
