"""The base of the models over a video and an audio network: the two networks, run with fusion layers between."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D, VideoNetwork, audio_network, pooled, video_network
from lightning_modules.nn.inputs import kind_of
from lightning_modules.nn.modality_encoders import ModalityEncoders, keep_plain

Fusion = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class AudioVideoTask(EmotionTask):
    """A model whose parts ``video`` and ``audio`` can start from the checkpoints of the networks alone.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``, or what else ``video`` accepts; linked from the
            data.
        video: The video network; 3D ResNeXt-50 where not given.
        audio: The audio network; the paper's where not given.
        encoders: In place of both networks, an encoder a modality, two or more of any names, each from what the data
            hand over to one vector; for models that fuse vectors.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, its shape is not what a network reads, or the model takes no encoders.
    """

    no_encoders: ClassVar[str] = "it reads both networks where they are halfway"  # why, where that is so

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
        self.encoders: ModalityEncoders | None = None
        if encoders:
            keep_plain(self, encoders)
            name = type(self).__name__
            if self.no_encoders:
                raise TaskError(
                    f"model.encoders: {name} takes none, since {self.no_encoders}; name model.video and model.audio"
                )
            self.encoders = ModalityEncoders(encoders, input_shapes, name)
            return
        self.video = video_network(video, input_shapes)
        self.audio, self.audio_steps = audio_network(audio, input_shapes)

    @classmethod
    def reads(cls, video: Any = None, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        if encoders:
            return {modality: kind_of(of) for modality, of in encoders.items()}
        return {"video": kind_of(video, ResNeXt3D), "audio": "MFCCs"}

    def network_stages(self) -> Stages:
        """Return the stages of the video network, then the audio network; or those of the encoders."""
        if self.encoders is not None:
            return self.encoders.stages()
        return {**{f"video_{name}": [stage] for name, stage in self.video.stages().items()}, "audio": [self.audio]}

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders that never train."""
        return self.encoders.frozen() if self.encoders is not None else {}

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load pretrained encoders, then what checkpoints hold.

        Args:
            checkpoints: Path by submodule.
        """
        if self.encoders is not None:
            self.encoders.load_pretrained(checkpoints)
        super().start_from(checkpoints)

    @property
    def vector_sizes(self) -> list[int]:
        """Lengths of what `vectors` returns."""
        if self.encoders is not None:
            return list(self.encoders.channels.values())
        return [self.video.channels, self.audio.channels * self.audio_steps]

    def vectors(self, batch: Batch) -> list[Tensor]:
        """Return one vector a modality, zero where it is absent: pooled video and flattened audio, or the encoders'.

        Args:
            batch: See `encode`; or every modality that an encoder reads.
        """
        if self.encoders is not None:
            return list(self.encoders.encode(self, batch).values())
        video, audio = self.encode(batch)
        return [pooled(video), audio.flatten(1)]

    def last_steps(self, batch: Batch) -> Tensor | None:
        """Return the index of the last audio step with sound in it, ``(B,)``; None where nothing is padded."""
        length: Tensor | None = batch.get("length", {}).get("audio")
        return None if length is None else self.audio.valid_steps(length) - 1

    def encode(self, batch: Batch, *fusions: Fusion) -> tuple[Tensor, Tensor]:
        """Run both networks; an absent modality gives zeros wherever the two meet.

        Args:
            batch: ``video``, ``audio`` float ``(B, n_mfcc, T)``, their masks, and ``length["audio"]`` in MFCC frames
                where clips are padded.
            *fusions: None, or two layers that take the features of both networks after the first and the second level
                and give features of the same shapes.

        Returns:
            Video features ``(B, C, ...)`` and audio features ``(B, D, S)``, zero in the padding.
        """
        mask = batch.get("mask", {})
        video, audio = self.observed(batch, "video"), self.observed(batch, "audio")
        if fusions:
            first = {"video": self.video.level1(video), "audio": self.audio.level1(audio), "mask": mask}
            video, audio = fusions[0](self.observed(first, "video"), self.observed(first, "audio"))
            video, audio = self.video.level2(video), self.audio.level2(audio)
        else:
            video, audio = self.video(video), self.audio(audio)
        features = {"video": video, "audio": audio, "mask": mask}
        video, audio = self.observed(features, "video"), self.observed(features, "audio")
        last = self.last_steps(batch)
        if last is not None:
            audio = audio * (torch.arange(audio.shape[-1], device=audio.device) <= last[:, None]).unsqueeze(1)
        return fusions[1](video, audio) if fusions else (video, audio)
