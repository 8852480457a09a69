"""The single networks that CFN-SR is compared with on RAVDESS, and late fusion of their scores.

They are the video and audio networks of CFN-SR (see `lightning_modules.nn.backbones` for papers and licences), each
with a linear head as in the 2020 MSAF release (https://github.com/anita-hu/MSAF, MIT). The releases of MSAF and CFN-SR
hand over trained weights of both without the code that trained them; here they are experiments of their own, and every
fusion can start from their checkpoints: the parts are named ``video`` and ``audio`` everywhere.

The late-fusion rows of the papers' table have the parameters of the two networks together and no code. Here they train
nothing: two trained networks, and a rule of `lightning_modules.nn.fusion` over their scores. Liu et al. (2018, see
there) trained both networks by the multiplicative loss; beta is that of their one released configuration, what the
table's authors took is not known.
"""

from typing import Any, Literal

import torch
from torch import nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import (
    MFCCNet,
    ResNeXt3D,
    VideoNetwork,
    audio_network,
    pooled,
    video_network,
)
from lightning_modules.nn.fusion import averaging, multiplication, multiplicative
from lightning_modules.nn.inputs import kind_of


class VideoOnly(EmotionTask):
    """The video network with a linear head (25,882,056 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no video.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.video = video_network(video, input_shapes)
        self.head = nn.Linear(self.video.channels, num_classes)

    @classmethod
    def reads(cls, video: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return {"video": kind_of(video, ResNeXt3D)}

    def stages(self) -> Stages:
        """Return the stages: video stem, its four layers, head."""
        return {
            **{f"video_{name}": [stage] for name, stage in self.video.stages().items()},
            "head": [self.head],
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video``, float as the network reads it, ``(B, 3, T, H, W)``, and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the pooled features.
        """
        embedding = pooled(self.video(self.observed(batch, "video")))
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}


class AudioOnly(EmotionTask):
    """The MFCC network with dropout and a linear head (34,024 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"audio": [n_mfcc, T]}``; linked from the data.
        audio: The audio network; the paper's where not given.
        head_dropout: Dropout before the head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no audio, or its MFCCs are too short.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        audio: MFCCNet | None = None,
        head_dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.audio, steps = audio_network(audio, input_shapes)
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(self.audio.channels * steps, num_classes)

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return {"audio": "MFCCs"}

    def stages(self) -> Stages:
        """Return the stages: audio network, head."""
        return {"audio": [self.audio], "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``audio`` float ``(B, n_mfcc, T)`` and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the flattened features.
        """
        embedding = self.audio(self.observed(batch, "audio")).flatten(1)
        return {"logits": self.head(self.head_dropout(embedding)), "aux": {"embedding": embedding}}


class LateFusion(EmotionTask):
    """Both networks with their heads and a rule over their scores; trains nothing (25,916,080 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        rule: ``averaging``, ``multiplication`` or ``multiplicative`` of `lightning_modules.nn.fusion`.
        beta: Of the multiplicative rule.
        video: The network of `VideoOnly`.
        audio: The network of `AudioOnly`.
        init_from: Checkpoints of `VideoOnly` as ``video`` and of `AudioOnly` as ``audio``. A run takes those of its own
            kind: of a named ``best.ckpt`` it also reads the ``last.ckpt`` beside it for its own last epoch.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, or its MFCCs are too short.
    """

    single_task = "its rules are over class probabilities"

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        rule: Literal["averaging", "multiplication", "multiplicative"] = "averaging",
        beta: float = 0.2,
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        init_from: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, init_from=init_from, **kwargs)
        self.rule = rule
        self.beta = beta
        self.video = VideoOnly(num_classes, input_shapes, video)
        self.audio = AudioOnly(num_classes, input_shapes, audio)
        self.requires_grad_(False)

    def on_fit_start(self) -> None:
        """Refuse to train, and to fuse networks that nobody trained."""
        if self.trainer.max_epochs != 0:
            raise TaskError("LateFusion trains nothing: leave --trainer.max_epochs at 0")
        if missing := {"video", "audio"} - set(self.init_from):
            raise TaskError(
                f"--model.init_from lacks {' and '.join(sorted(missing))}: LateFusion trains nothing of its own.\n"
                "Train ravdess_video and ravdess_audio on the same fold and seed, and name their best.ckpt"
            )
        super().on_fit_start()

    @classmethod
    def reads(cls, video: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return {"video": kind_of(video, ResNeXt3D), "audio": "MFCCs"}

    def stages(self) -> Stages:
        """Return the stages of the video network, its head, the audio network, its head."""
        return {
            f"{modality}_{name}".replace("audio_audio", "audio"): parts
            for modality, task in (("video", self.video), ("audio", self.audio))
            for name, parts in ((name.removeprefix("video_"), parts) for name, parts in task.stages().items())
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``, the fused scores of the modalities that are there; ``aux``: ``embedding`` ``(B, D)``,
            both networks' features.
        """
        outputs = [self.video(batch), self.audio(batch)]
        logits = torch.stack([output["logits"].float() for output in outputs], dim=1)
        everything = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        mask = batch.get("mask", {})
        present = torch.stack([mask.get(modality, everything) for modality in ("video", "audio")], dim=1)
        if self.rule == "averaging":
            fused = averaging(logits, present)
        elif self.rule == "multiplication":
            fused = multiplication(logits, present)
        else:
            fused = multiplicative(logits, present, self.beta)
        return {"logits": fused, "aux": {"embedding": torch.cat([o["aux"]["embedding"] for o in outputs], dim=1)}}
