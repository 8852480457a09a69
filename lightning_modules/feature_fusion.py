"""A small network over features that were computed elsewhere, of any number of modalities: sequences and vectors.

It is from no paper. It is for features of one's own: what their corpus' papers have is more than a recurrent layer a
modality and a linear head, and what this network reaches is what they have to beat.
"""

from typing import Any, Literal

import torch
from torch import nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.modality_encoders import EncodedTask, ModalityEncoders, kinds_read
from lightning_modules.nn.vector_sequence import Vector, VectorSequence


class FeatureFusion(EncodedTask):
    """An encoder a modality, their results side by side, one linear layer.

    Args:
        num_classes: Number of outputs; linked from the data.
        input_shapes: By modality ``[T, D]``, a sequence (T is not used), or ``[D]``, a vector; linked from the data.
        modalities: Which of them are read; all where not given.
        dim: Length of what each encoder gives.
        dropout: Dropout in the encoders and before the head.
        pooling: How sequences become one vector: see `VectorSequence`.
        time_last: Modalities that come as ``[D, T]``, as MFCCs do.
        encoders: Other encoders, by modality; the rest are as ever.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If a modality is not in the data, or neither a sequence of vectors nor a vector, or one of
            ``time_last`` is no sequence that the model's own encoders read.
    """

    encoders: Any  # a list where nobody names one, as checkpoints have it

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        modalities: list[str] | None = None,
        dim: int = 64,
        dropout: float = 0.2,
        pooling: Literal["gru", "attention"] = "gru",
        time_last: list[str] | None = None,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        given = encoders or {}
        self.modalities = list(dict.fromkeys([*(modalities or input_shapes), *given]))
        if unknown := [name for name in self.modalities if name not in input_shapes and name not in given]:
            raise TaskError(f"model.modalities: no {unknown[0]} in the data, it has {', '.join(input_shapes)}")
        self.time_last = time_last or []
        for name in self.time_last:
            if name not in self.modalities or name in given or len(input_shapes[name]) != 2:
                raise TaskError(f"model.time_last: {name} is no sequence that an encoder of FeatureFusion's own reads")
        made: dict[str, Any] = {
            name: given.get(name) or self._encoder(name, self._steps_first(name), dim, dropout, pooling)
            for name in self.modalities
        }
        if encoders:
            self.take_encoders(made, fewest=1)
        else:
            self.encoders = nn.ModuleList(of.layers if isinstance(of, Vector) else of for of in made.values())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(sum(of.channels for of in made.values()), num_classes))

    @classmethod
    def reads(cls, modalities: list[str] | None = None, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read, where there are encoders; see `EmotionTask.reads`."""
        return {**dict.fromkeys(modalities or [], ""), **kinds_read(encoders)} if encoders else {}

    def _steps_first(self, modality: str) -> list[int]:
        shape = self.input_shapes[modality]
        return shape[::-1] if modality in self.time_last else shape

    @staticmethod
    def _encoder(
        modality: str, shape: list[int], dim: int, dropout: float, pooling: Literal["gru", "attention"]
    ) -> nn.Module:
        if len(shape) == 1:
            return Vector(shape[0], dim)
        if len(shape) == 2 and shape[1]:
            return VectorSequence(shape[1], dim, dropout, pooling)
        if len(shape) == 2 and shape[0]:
            raise TaskError(
                f"FeatureFusion reads sequences [T, D]; the data has {modality} as {shape}, of which time is the last "
                f"axis: --model.time_last '[{modality}]'"
            )
        raise TaskError(
            f"FeatureFusion reads vectors [D] and sequences of vectors [T, D]; the data has {modality} as {shape}; "
            f"name its encoder, model.encoders.{modality}, or leave it out of model.modalities"
        )

    def stages(self) -> Stages:
        """Return the stages: the encoder of every modality, head."""
        if isinstance(self.encoders, ModalityEncoders):
            return {**self.encoders.stages(), "head": [self.head]}
        plain: Stages = {name: [encoder] for name, encoder in zip(self.modalities, self.encoders, strict=True)}
        return {**plain, "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: Every modality as float ``(B, T, D)``, of ``time_last`` ``(B, D, T)``, or ``(B, D)``, its ``length``
                and ``mask``.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding``, what the head reads, zero where a clip lacks a modality.
        """
        if isinstance(self.encoders, ModalityEncoders):
            encoded = self.encoders.encode(self, batch)
        else:
            encoded = {}
            for name, encoder in zip(self.modalities, self.encoders, strict=True):
                values = self.observed(batch, name).float()
                values = values.transpose(1, 2) if name in self.time_last else values
                length = batch.get("length", {}).get(name)
                encoded[name] = encoder(values, length) if isinstance(encoder, VectorSequence) else encoder(values)
        present = {**encoded, "mask": batch.get("mask", {})}
        embedding = torch.cat([self.observed(present, name) for name in self.modalities], dim=1)
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}
