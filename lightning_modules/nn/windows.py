"""The base of the models over windows of frames: a frame is an embedding, made by an encoder or read from the data."""

from abc import abstractmethod
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights
from lightning_modules.nn.modality_encoders import encoder_stages, gives_states
from lightning_modules.nn.networks.layer_groups import Frozen
from lightning_modules.nn.pretrained_encoder import PretrainedEncoder


class WindowTask(EmotionTask):
    """A model over windows of frames, of one or more modalities.

    The data hand a modality over as embeddings ``(B, T, D)``, or raw, as images ``(B, T, 3, S, S)`` or joints
    ``(B, T, 17, 3)``; then its encoder maps ``(N, ...)`` to ``(N, D)`` and says D as ``channels``. A model that has an
    encoder takes either, so that embeddings may be made once and kept: the encoder is skipped where they are there.
    """

    freeze_encoders = True

    @abstractmethod
    def frame_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders by modality."""

    def is_frozen(self, modality: str) -> bool:
        """Return whether an encoder never trains: as it says itself, or else as the model does."""
        return bool(getattr(self.frame_encoders()[modality], "frozen", self.freeze_encoders))

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders whose embeddings may be computed once, ``(N, ...)`` to ``(N, D)``, by modality."""
        return {name: encoder for name, encoder in self.frame_encoders().items() if self.is_frozen(name)}

    def hold_encoders(self) -> None:
        """Freeze what never trains."""
        for encoder in self.frozen_encoders().values():
            encoder.requires_grad_(False).eval()

    def encoder_stages(self, name: str) -> Stages:
        """Return the encoders as one stage; those that say which of their layers train have stages of their own.

        Args:
            name: Of the one stage, which may be empty.
        """
        stages: Stages = {name: []}
        for modality, encoder in self.frame_encoders().items():
            if self.is_frozen(modality):
                stages[name].append(Frozen(encoder))
            elif hasattr(encoder, "frozen"):
                stages |= encoder_stages(modality, encoder)
            else:
                stages[name].append(encoder)
        return stages

    def fill_encoders(self, checkpoints: dict[str, str]) -> dict[str, str]:
        """Fill encoders from the checkpoints of models that call theirs ``encoder``, or else by their own weights.

        Args:
            checkpoints: Path by modality.

        Returns:
            The checkpoints of other parts.

        Raises:
            TaskError: If a checkpoint does not fit.
        """
        for modality, encoder in self.frame_encoders().items():
            if modality in checkpoints:
                load_weights(encoder, checkpoints[modality], "encoder.", other=f"encoders.{modality}.")
            elif isinstance(encoder, PretrainedEncoder) and "encoder" not in checkpoints:
                encoder.load_pretrained()
        return {part: path for part, path in checkpoints.items() if part not in self.frame_encoders()}

    def embedding_size(self, modality: str) -> int:
        """Return the channels of a frame's embedding.

        Raises:
            TaskError: If the data lack the modality, or neither embeddings nor an encoder are there, or both are and
                do not fit.
        """
        name = type(self).__name__
        shape = self.input_shapes.get(modality)
        if shape is None:
            raise TaskError(
                f"{name} reads {modality}, which the data lack: --data.modalities has {', '.join(self.input_shapes)}"
            )
        if not shape[0]:
            raise TaskError(
                f"{name} reads windows of one length, {modality} comes as sequences of any; --data.steps "
                f"'{{{modality}: N}}' cuts and pads them to N steps, FeatureFusion reads them as they are"
            )
        encoder = self.frame_encoders().get(modality)
        if encoder is None and len(shape) != 2:
            raise TaskError(
                f"{name}: {modality} comes as raw frames {shape}; name its encoder, or hand over embeddings"
            )
        if encoder is None:
            return shape[1]
        size = getattr(encoder, "channels", None)
        if not isinstance(size, int):
            raise TaskError(
                f"{name}: {type(encoder).__name__} is no encoder of {modality}: it does not say its channels"
            )
        if gives_states(encoder):
            raise TaskError(
                f"model.encoders.{modality}: {name} reads one vector a frame; pooling none gives many: take mean"
            )
        accepts: Any = getattr(encoder, "accepts", None)
        if accepts is not None and accepts(shape[1:]):
            return size
        if len(shape) == 2 and (shape[1] != size or not self.is_frozen(modality)):
            problem = (
                f"the encoder's have {size}" if self.is_frozen(modality) else "a trainable encoder needs the raw frames"
            )
            raise TaskError(f"{name}: {modality} comes as embeddings of {shape[1]} channels, but {problem}")
        if accepts is not None and len(shape) > 2:
            raise TaskError(
                f"model.encoders.{modality}: {type(encoder).__name__} cannot read {modality} of shape {shape[1:]}"
            )
        return size

    def train(self, mode: bool = True) -> "WindowTask":
        """Switch everything but frozen encoders, which stay in eval mode."""
        super().train(mode)
        for encoder in self.frozen_encoders().values():
            encoder.eval()
        return self

    def on_fit_start(self) -> None:
        """Start as every task; warn where frozen encoders start from no checkpoint."""
        super().on_fit_start()
        bare = [of for of in self.frozen_encoders().values() if not (isinstance(of, PretrainedEncoder) and of.weights)]
        if not self.trainer.ckpt_path and not self.initial and len(self.init_from) < len(bare):
            rank_zero_warn("a frozen encoder stays as it was built; name its checkpoint in --model.init_from")

    def embedded(self, batch: Batch, modality: str) -> Tensor:
        """Return the frames of one modality as embeddings, zero where a clip lacks it and in unseen steps.

        Args:
            batch: A batch of contract 1, the modality embedded or raw.
            modality: Its key.

        Returns:
            ``(B, T, D)``.
        """
        frames, encoder = self.observed(batch, modality), self.frame_encoders().get(modality)
        if encoder is not None and not (self.is_frozen(modality) and frames.ndim == 3):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen(modality)):
                made = encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
            frames = self.observed({**batch, modality: made}, modality)
        seen = self.seen(batch, modality)
        return frames if seen is None else frames.masked_fill(~seen.unsqueeze(2), 0)

    @staticmethod
    def seen(batch: Batch, modality: str) -> Tensor | None:
        """Return which steps show a modality, bool ``(B, T)``; None where the data mask none."""
        steps: Tensor | None = batch.get("seen", {}).get(modality)
        return steps

    def present(self, batch: Batch, modality: str) -> Tensor:
        """Return which clips have a modality, bool ``(B, 1)``, or which steps of them, ``(B, T)``."""
        mask: Any = batch.get("mask", {}).get(modality)
        if mask is None:
            mask = torch.ones(len(batch[modality]), dtype=torch.bool, device=batch[modality].device)
        there: Tensor = mask.unsqueeze(1)
        seen = self.seen(batch, modality)
        return there if seen is None else there & seen
