"""Adaptive gated fusion: text, audio and video of a dialogue, weighed by themselves and by who is speaking.

From the document "Adaptive Gated Fusion for Multimodal Emotion Recognition" (2025) of the repository
https://github.com/AbdulaAlShyed-2212592042/empathetic-detection (MIT). Written from the description; no code was
copied.

The document's class cannot run: it adds vectors of 768 and 384 values, has no classifier, and pairs weights with
features along the batch; no released file holds it. This is what its formulas say, with the least that makes them run:

- ``p_i = LayerNorm(P_i h_i)``: every modality is projected to one width before it is added.
- ``g_i = sigmoid(w_i [h_i; m] + b_i)``, ``alpha = softmax(g / tau)`` over the modalities that are there,
  ``h = sum_i alpha_i p_i``, a classifier, and the document's bias per class.
- A softmax of sigmoids is bounded: with three modalities every weight is between 0.155 and 0.576, so that the
  document's own examples (0.6 / 0.25 / 0.15) are out of reach. ``gate_activation: none`` lifts the bound.
- h_i is the mean over the speaker's utterances that have the modality.
- An absent modality has a weight of exactly 0, whatever stands there. A dialogue without any is scored from a learned
  vector and marked in ``aux["abstain"]``; the vector learns from the share ``null_rate`` of the training dialogues. To
  train on dialogues that have nothing is an error.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.dialogue import SPEAKER, DialogueTask, MetadataTables
from lightning_modules.nn.gates import ModalityGate, dropped, masked_softmax
from lightning_modules.nn.state_pooling import masked_mean


class AdaptiveGatedFusion(DialogueTask):
    """The emotion of a dialogue's speaker from the modalities that are there.

    530,321 parameters of projections, gates and classifier at the document's sizes (768, 768, 384; 7 classes), the
    metadata, the null vector and the encoders beside them.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"text": [U, L], "audio": [U, S], "video": [U, 3, T, H, W], "meta": [F]}``; linked from the
            data.
        encoders: Make an utterance's embedding, by modality.
        modalities: Those it fuses.
        dim: Common width.
        metadata_dim: Size of the metadata's embedding.
        gate: Kind of gate: see `ModalityGate`; ``equal`` is the same network without gates.
        gate_activation: ``sigmoid`` as written, ``none`` without its bound.
        temperature: tau.
        modality_dropout: Rate at which a modality is dropped from training dialogues; at least one stays.
        null_rate: Share of training dialogues that the null vector stands for.
        dropout: Dropout of the classifier.
        **kwargs: See `DialogueTask` and `EmotionTask`.

    Raises:
        TaskError: If the temperature is not above 0.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        modalities: list[str] | None = None,
        dim: int = 256,
        metadata_dim: int = 256,
        gate: Literal["linear", "mlp128", "equal"] = "linear",
        gate_activation: Literal["sigmoid", "none"] = "sigmoid",
        temperature: float = 1.0,
        modality_dropout: float = 0.2,
        null_rate: float = 0.05,
        dropout: float = 0.3,
        **kwargs: Any,
    ) -> None:
        modalities = modalities or ["text", "audio", "video"]
        super().__init__(num_classes, input_shapes, modalities=modalities, encoders=encoders, **kwargs)
        if temperature <= 0:
            raise TaskError(f"model.temperature: {temperature} is not above 0")
        self.temperature = temperature
        self.modality_dropout = modality_dropout
        self.null_rate = null_rate
        tables = MetadataTables(self.vocabulary_sizes)
        self.meta = nn.Sequential(tables, nn.Linear(tables.width, metadata_dim))
        self.projections = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(size, dim), nn.LayerNorm(dim)) for name, size in self.channels.items()}
        )
        bounded = gate_activation == "sigmoid"
        self.gates = nn.ModuleDict(
            {name: ModalityGate(size + metadata_dim, gate, bounded) for name, size in self.channels.items()}
        )
        self.null = nn.Parameter(torch.zeros(dim))
        self.classifier = nn.Sequential(
            nn.Linear(dim, 128), nn.GELU(), nn.Dropout(dropout), nn.Linear(128, num_classes)
        )
        self.class_bias = nn.Parameter(torch.zeros(num_classes))

    def stages(self) -> Stages:
        """Return the stages: encoders, metadata, projections, gates, classifier with its null vector and biases."""
        return {
            **self.encoder_stages(),
            "metadata": [self.meta],
            "projections": [self.projections],
            "gates": [self.gates],
            "classifier": [self.null, self.classifier, self.class_bias],
        }

    def parts_read(self) -> set[str]:
        """Return no parts: the model reads the speaker alone."""
        return set()

    def gate_names(self) -> list[str]:
        """Return the names of the columns of ``aux["gate"]``."""
        return self.modalities

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: Every modality, raw or embedded, ``meta``, ``role``; masks and lengths.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``gate`` ``(B, M)`` float32, ``abstain`` bool ``(B,)``, ``embedding``
            ``(B, D)``, the fused features.
        """
        m = self.meta(self.metadata(batch))
        spoken = {name: self._spoken(batch, name) for name in self.modalities}
        present = self._present(torch.stack([there for _, there in spoken.values()], dim=1), batch)
        scores = [self.gates[name](torch.cat([h, m], dim=1)).float() for name, (h, _) in spoken.items()]
        alpha = masked_softmax(torch.stack(scores, dim=1), present, self.temperature)
        projected = torch.stack([self.projections[name](h) for name, (h, _) in spoken.items()], dim=1)
        nothing = ~present.any(1)
        fused = (alpha.unsqueeze(2) * projected).sum(1) + nothing.unsqueeze(1) * self.null
        logits = self.classifier(fused) + self.class_bias
        return {"logits": logits, "aux": {"gate": alpha, "abstain": nothing, "embedding": fused}}

    def _spoken(self, batch: Batch, modality: str) -> tuple[Tensor, Tensor]:
        """Return the mean ``(B, D)`` of the speaker's utterances with a modality, and whether any has it, ``(B,)``."""
        spoken = self.present(batch, modality)
        if "role" in batch:
            spoken = spoken & (batch["role"] == SPEAKER)
        only = {**batch, "utterance_mask": {**batch.get("utterance_mask", {}), modality: spoken}}
        return masked_mean(self.embedded(only, modality), spoken), spoken.any(1)

    def _present(self, present: Tensor, batch: Batch) -> Tensor:
        if not self.training:
            return present
        if not present.any(1).all():
            clips = [clip for clip, found in zip(batch["id"], present.any(1).tolist(), strict=True) if not found]
            raise TaskError(
                f"{', '.join(clips[:3])}: nothing of {', '.join(self.modalities)} is there to train on; leave such "
                "dialogues out of train, or lower --data.missing"
            )
        if self.modality_dropout:
            present = dropped(present, self.modality_dropout)
        if self.null_rate:
            present = present & (torch.rand(len(present), 1, device=present.device) >= self.null_rate)
        return present
