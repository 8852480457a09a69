"""The base of the models over a video and an audio network, or over any encoders in place of these."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D, VideoNetwork, audio_network, pooled, video_network
from lightning_modules.nn.inputs import kind_of
from lightning_modules.nn.modality_encoders import EncodedTask, kinds_read
from lightning_modules.nn.state_pooling import masked_mean

Fusion = Callable[..., tuple[Tensor, ...]]
Features = dict[
    str, tuple[Tensor, Tensor | None]
]  # by modality (B, C, ...) and which steps count, (B, S); None for all


class AudioVideoTask(EncodedTask):
    """A model whose parts ``video`` and ``audio`` can start from the checkpoints of the networks alone.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``, or what else ``video`` accepts; linked from the
            data.
        video: The video network; 3D ResNeXt-50 where not given.
        audio: The audio network; the paper's where not given.
        encoders: In place of both networks, an encoder a modality, of any names. One alone stands in place of the video
            network where it is called ``video``, or else of the audio network; the other network stays.
        **kwargs: See `EmotionTask`.

    Attributes:
        modalities: What it reads, in order: video, what encoders read, audio.

    Raises:
        TaskError: If the data lacks a modality, its shape is not what a network reads, or there are more encoders than
            the model has a use for.
    """

    own: ClassVar[tuple[str, ...]] = ("video", "audio")  # its own networks
    most: ClassVar[int | None] = None  # modalities that its formula has a meaning for
    states: ClassVar[bool] = True  # whether it has a use for many states a modality

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.networks = self.kept(encoders)
        if encoders and (lacking := [name for name in self.networks if name not in input_shapes]):
            raise TaskError(
                f"model.encoders: {type(self).__name__} fuses 2 modalities or more; it was given 1, and the data have "
                f"no {lacking[0]} for the network that stays"
            )
        self.take_encoders(encoders, fewest=len(self.own) - len(self.networks), most=self.most, states=self.states)
        self.modalities = self.ordered(self.networks, encoders)
        if "video" in self.networks:
            self.video = video_network(video, input_shapes)
        if "audio" in self.networks:
            self.audio, self.audio_steps = audio_network(audio, input_shapes)

    @classmethod
    def kept(cls, encoders: Mapping[str, Any] | None) -> list[str]:
        """Return which of its own networks a model keeps beside the encoders that it is given."""
        if encoders and len(encoders) >= len(cls.own):
            return []
        return [name for name in cls.own if not encoders or (name == "video") != ("video" in encoders)]

    @staticmethod
    def ordered(networks: list[str], encoders: Mapping[str, Any] | None) -> list[str]:
        """Return the modalities of networks and encoders in their order."""
        first, last = ([name for name in networks if name == of] for of in ("video", "audio"))
        return [*first, *(encoders or {}), *last]

    @classmethod
    def reads(cls, video: Any = None, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        own = {"video": kind_of(video, ResNeXt3D), "audio": "MFCCs"}
        return {**{name: own[name] for name in cls.kept(encoders)}, **kinds_read(encoders)}

    def network_stages(self) -> Stages:
        """Return the stages of the video network, the audio network, and the encoders."""
        stages: Stages = {}
        if "video" in self.networks:
            stages = {f"video_{name}": [stage] for name, stage in self.video.stages().items()}
        if "audio" in self.networks:
            stages["audio"] = [self.audio]
        return {**stages, **(self.encoders.stages() if self.encoders is not None else {})}

    @property
    def feature_sizes(self) -> list[int]:
        """Channels of the features of every modality."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.networks} | dict(self.encoders or {})
        return [int(parts[name].channels) for name in self.modalities]

    @property
    def level_sizes(self) -> list[list[int]]:
        """Channels of every modality at each place where a layer between them may work: its ends, or both levels."""
        if self.encoders is not None:
            return [self.feature_sizes]
        return [[*sizes] for sizes in zip(self.video.level_channels, self.audio.level_channels, strict=True)]

    @property
    def vector_sizes(self) -> list[int]:
        """Lengths of what `vectors` returns."""
        sizes = zip(self.modalities, self.feature_sizes, strict=True)
        return [size * self.audio_steps if self._is_flat(name) else size for name, size in sizes]

    def _is_flat(self, name: str) -> bool:
        return name == "audio" and name in self.networks

    def features(self, batch: Batch) -> Features:
        """Return of every modality its features, zero where it is absent, and which of its steps count.

        Args:
            batch: Every modality that a network or an encoder reads.

        Returns:
            By modality ``(B, C, ...)``, a vector where there are no places, and bool ``(B, S)``; None where all count.
        """
        found = {
            name: self._valid(batch, name, getattr(self, name)(self.observed(batch, name))) for name in self.networks
        }
        for name, made in (self.encoders.encode(self, batch) if self.encoders is not None else {}).items():
            # Those of an encoder's steps that are none of the item are zeros.
            found[name] = (made, None) if made.ndim == 2 else (made.transpose(1, 2), (made != 0).any(2))
        return {name: found[name] for name in self.modalities}

    def _valid(self, batch: Batch, name: str, made: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features of a network of its own, zero where absent or padded, and which steps count."""
        made = self.observed({**batch, name: made}, name)
        length: Tensor | None = batch.get("length", {}).get("audio") if name == "audio" else None
        if length is None:
            return made, None
        valid = torch.arange(made.shape[-1], device=made.device) < self.audio.valid_steps(length)[:, None]
        return made * valid.unsqueeze(1), valid

    def flat(self, features: Features) -> list[Tensor]:
        """Return one vector a modality of its features: their mean, of MFCCs all steps side by side."""
        return [of.flatten(1) if self._is_flat(name) else step_mean(of, at) for name, (of, at) in features.items()]

    def vectors(self, batch: Batch, *fusions: Fusion) -> list[Tensor]:
        """Return one vector a modality, zero where it is absent; see `flat`.

        Args:
            batch: See `features`.
            *fusions: None, or layers that take the features of all modalities, and their ``means``, and give features
                of the same shapes: of encoders one, of both networks one after either of their levels.
        """
        if len(fusions) == 2:
            return self.flat(self._fused_levels(batch, *fusions))
        found = self.features(batch)
        for fusion in fusions:
            means = [step_mean(*of) for of in found.values()]
            fused = fusion(*(of for of, _ in found.values()), means=means)
            found = {name: (of, found[name][1]) for name, of in zip(found, fused, strict=True)}
        return self.flat(found)

    def _fused_levels(self, batch: Batch, first: Fusion, second: Fusion) -> Features:
        """Return the features of both networks, run with a layer after either level.

        Args:
            batch: ``video``, ``audio`` float ``(B, n_mfcc, T)``, their masks, and ``length["audio"]`` in MFCC frames
                where clips are padded.
            first: Takes the features after the first level; an absent modality is zero wherever the two meet.
            second: Those after the second, zero in the padding too.
        """
        video, audio = (self.observed(batch, name) for name in self.networks)
        halfway = {**batch, "video": self.video.level1(video), "audio": self.audio.level1(audio)}
        video, audio = first(*(self.observed(halfway, name) for name in self.networks))
        made = {"video": self.video.level2(video), "audio": self.audio.level2(audio)}
        video, audio = second(*(self._valid(batch, name, of)[0] for name, of in made.items()))
        return {"video": (video, None), "audio": (audio, None)}


def step_mean(features: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean ``(B, C)`` of features ``(B, C, ...)`` over their places, or those steps that count."""
    return pooled(features) if valid is None else masked_mean(features.transpose(1, 2), valid)
