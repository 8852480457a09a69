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
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.audio_video import AudioVideoTask
from lightning_modules.nn.backbones import MFCCNet, VideoNetwork, pooled
from lightning_modules.nn.fusion import averaging, multiplication, multiplicative
from lightning_modules.nn.modality_encoders import keep_plain


class OneModality(AudioVideoTask):
    """One network, or any encoder in its place, and a linear head."""

    most = 1
    head: nn.Linear

    def embedding(self, batch: Batch) -> Tensor:
        """Return what the head reads, ``(B, D)``."""
        (name,) = self.modalities
        if self.encoders is not None:
            return self.vectors(batch)[0]
        features: Tensor = getattr(self, name)(self.observed(batch, name))
        return features.flatten(1) if name == "audio" else pooled(features)

    def stages(self) -> Stages:
        """Return the stages: those of the network or the encoder, head."""
        return {**self.network_stages(), "head": [self.head]}


class VideoOnly(OneModality):
    """The video network with a linear head (25,882,056 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        encoders: In its place, an encoder of one modality of any name.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no video.
    """

    own = ("video",)

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video=video, audio=None, encoders=encoders, **kwargs)
        self.head = nn.Linear(self.vector_sizes[0], num_classes)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video``, float as the network reads it, ``(B, 3, T, H, W)``, and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the pooled features.
        """
        embedding = self.embedding(batch)
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}


class AudioOnly(OneModality):
    """The MFCC network with dropout and a linear head (34,024 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"audio": [n_mfcc, T]}``; linked from the data.
        audio: The audio network; the paper's where not given.
        head_dropout: Dropout before the head.
        encoders: In its place, an encoder of one modality of any name.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no audio, or its MFCCs are too short.
    """

    own = ("audio",)

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        audio: MFCCNet | None = None,
        head_dropout: float = 0.4,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        # A network of video that settings of another model name would be built, and draw from the seed, for nothing.
        super().__init__(num_classes, input_shapes, video=None, audio=audio, encoders=encoders, **kwargs)
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(self.vector_sizes[0], num_classes)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``audio`` float ``(B, n_mfcc, T)`` and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the flattened features.
        """
        embedding = self.embedding(batch)
        return {"logits": self.head(self.head_dropout(embedding)), "aux": {"embedding": embedding}}


class LateFusion(EmotionTask):
    """Both networks with their heads and a rule over their scores; trains nothing (25,916,080 parameters by default).

    Of any encoders it is one with its head a modality, as `VideoOnly` and `AudioOnly` train them.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        rule: ``averaging``, ``multiplication`` or ``multiplicative`` of `lightning_modules.nn.fusion`.
        beta: Of the multiplicative rule.
        video: The network of `VideoOnly`.
        audio: The network of `AudioOnly`.
        encoders: In place of the networks, see `AudioVideoTask`; those that the checkpoints were trained with.
        init_from: Checkpoints of `VideoOnly` as ``video`` and of `AudioOnly` as ``audio``, of either by the modality of
            its encoder. A run takes those of its own kind: of a named ``best.ckpt`` it also reads the ``last.ckpt``
            beside it for its own last epoch.
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
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, init_from=init_from, **kwargs)
        keep_plain(self, encoders)
        self.rule = rule
        self.beta = beta
        kept = AudioVideoTask.kept(encoders)
        self.modalities = AudioVideoTask.ordered(kept, encoders)
        for name in self.modalities:
            if name in dir(self):
                raise TaskError(f"model.encoders.{name}: LateFusion has another part of that name; call it otherwise")
            if name not in kept:
                self.add_module(name, VideoOnly(num_classes, input_shapes, encoders={name: (encoders or {})[name]}))
            elif name == "video":
                self.video = VideoOnly(num_classes, input_shapes, video)
            else:
                self.audio = AudioOnly(num_classes, input_shapes, audio)
        self.requires_grad_(False)

    @property
    def parts(self) -> dict[str, OneModality]:
        """The networks with their heads, by modality."""
        return {name: getattr(self, name) for name in self.modalities}

    def on_fit_start(self) -> None:
        """Refuse to train, and to fuse networks that nobody trained."""
        if self.trainer.max_epochs != 0:
            raise TaskError("LateFusion trains nothing: leave --trainer.max_epochs at 0")
        if missing := {*self.modalities} - set(self.init_from):
            raise TaskError(
                f"--model.init_from lacks {' and '.join(sorted(missing))}: LateFusion trains nothing of its own.\n"
                "Train ravdess_video and ravdess_audio on the same fold and seed, and name their best.ckpt"
            )
        super().on_fit_start()

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return AudioVideoTask.reads(**options)

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders that never train."""
        return {name: of for part in self.parts.values() for name, of in part.frozen_encoders().items()}

    def stages(self) -> Stages:
        """Return the stages of every network, each followed by its head."""
        return {
            name if of == name else f"{name}_{of.removeprefix(f'{name}_')}": stage
            for name, part in self.parts.items()
            for of, stage in part.stages().items()
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``, the fused scores of the modalities that are there; ``aux``: ``embedding`` ``(B, D)``,
            the networks' features.
        """
        outputs = [part(batch) for part in self.parts.values()]
        logits = torch.stack([output["logits"].float() for output in outputs], dim=1)
        everything = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        mask = batch.get("mask", {})
        present = torch.stack([mask.get(modality, everything) for modality in self.modalities], dim=1)
        if self.rule == "averaging":
            fused = averaging(logits, present)
        elif self.rule == "multiplication":
            fused = multiplication(logits, present)
        else:
            fused = multiplicative(logits, present, self.beta)
        return {"logits": fused, "aux": {"embedding": torch.cat([o["aux"]["embedding"] for o in outputs], dim=1)}}
