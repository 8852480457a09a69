"""Static models: emotion or engagement from one face or one body, and the embeddings that later models read.

Dresvyanskiy, Karpov, Minker, "A Cross-Multi-Modal Fusion Approach for Enhanced Engagement Recognition", SPECOM 2024;
https://openreview.net/forum?id=hzOQYdzfyg; original code
https://github.com/icmi-2024-cross-multi-modal/icmi-cross-multi-modal. The loss of the classes is the focal loss of
Lin et al., ICCV 2017, https://arxiv.org/abs/1708.02002.

What differs from the released code:
- EfficientNet comes from timm, which has the same layers and parameters as torchvision's; weights of either fit. The
  released code starts from torchvision's ``IMAGENET1K_V2``, which a file gives (``weights: efficientnet_b1.pth``);
  ``weights: timm`` are timm's own, trained otherwise. Without any, timm draws depthwise convolutions wider.
- The pose network gives its 17 heat maps, of which the first 13 are read, on any device. The released one does so on a
  GPU alone: on a CPU its last layer is missing, and 13 of 32 unnamed features are read instead.
- Frozen layers are frozen: the released BatchNorms in them go on adapting, those of the pose network too.
- The rates per group take effect. The released warm-up overwrites them all with 1e-5, for the whole run.
- Each part of the loss is over the clips that have its label and 0 where none has; the released one becomes NaN there,
  and its gradient becomes NaN where every error is zero.
- Epochs are selected by the root mean squared errors that the paper names; ``selection: mse`` takes what the released
  code calculates under that name, their squares.
- The focal loss's class weights sum to 1, and its mean is over clips, as in the paper. The weights of the data
  (``class_weighting: balanced``) have mean 1 over clips: the same up to a factor, which is divided out here.
- A batch of one clip trains: its embedding is normalised by the running statistics.
- Body heat maps can be drawn from joints that another pose tool has found (``source: joints``).
"""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.frame_encoders import FaceEmbedding as FaceEmbedding
from lightning_modules.nn.frame_encoders import FrameEncoder
from lightning_modules.nn.frame_encoders import KinesicsEmbedding as KinesicsEmbedding
from lightning_modules.nn.inputs import kind_of
from lightning_modules.nn.losses import FocalLoss, labelled, rmse
from lightning_modules.nn.modality_encoders import EncodedTask, kinds_read


class StaticTask(EncodedTask):
    """The base of the static models: an encoder of frames, its layer groups and the focal loss of the classes.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: Shape of one frame per modality; linked from the data.
        encoder: Makes the embedding; the paper's of faces where not given.
        modality: Key of the frames in the batch.
        encoders: In its place, an encoder of one modality of any name.
        loss: Of the classes: called with target probabilities and class weights that sum to 1; the focal loss with
            gamma 2 where not given.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks the modality, or has frames of a shape that the encoder cannot read.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoder: FrameEncoder | None = None,
        modality: str = "face",
        loss: nn.Module | None = None,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, loss=loss or FocalLoss(2.0), **kwargs)
        self.take_encoders(encoders, fewest=1, most=1)
        self.modality = modality
        if self.encoders is not None:
            (self.size,) = self.encoders.channels.values()
            return
        if modality not in input_shapes:
            has = ", ".join(input_shapes)
            raise TaskError(f"model.modality: the data has no {modality!r}, it has {has}; add it to data.modalities")
        self.encoder = encoder or FaceEmbedding()
        if not self.encoder.accepts(input_shapes[modality]):
            raise TaskError(
                f"model.encoder: {type(self.encoder).__name__} cannot read {modality} of shape "
                f"{input_shapes[modality]}; name another encoder, or another model.modality"
            )
        self.size = self.encoder.channels

    @classmethod
    def reads(cls, encoder: Any = None, modality: str = "face", encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return kinds_read(encoders) or {modality: kind_of(encoder, FaceEmbedding)}

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load the encoder's pretrained weights, unless one of the checkpoints is for it, and the checkpoints.

        Args:
            checkpoints: Path by submodule.
        """
        if self.encoders is None and "encoder" not in checkpoints:
            self.encoder.load_pretrained()
        super().start_from(checkpoints)

    def encoder_stages(self) -> Stages:
        """Return the stages of the encoder."""
        return self.encoders.stages() if self.encoders is not None else self.encoder.stages()

    def embedding(self, batch: Batch) -> Tensor:
        """Return the embeddings ``(B, D)`` of frames."""
        if self.encoders is not None:
            (made,) = self.encoders.encode(self, batch).values()
            return made
        embedded: Tensor = self.encoder(self.observed(batch, self.modality))
        return embedded

    def class_loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the classes, its mean over the clips that have a label.

        Args:
            scores: ``(B, K)``.
            target: Classes, int64 ``(B,)``, negative where there is no label, or probabilities ``(B, K)``, NaN there.

        Returns:
            A scalar, 0 without any label.
        """
        soft = target if target.is_floating_point() else F.one_hot(target.clamp_min(0), scores.shape[1]).float()
        known = labelled(target)
        if not known.any():
            return scores.float().sum() * 0.0  # a gradient all the same, which replicas wait for
        alpha = self.class_weights if self.class_weights is not None else scores.new_ones(scores.shape[1]).float()
        loss: Tensor = self.loss(scores[known], soft[known], weight=alpha / alpha.sum())
        return loss


class StaticEmotion(StaticTask):
    """Category, arousal and valence of one face (6,844,202 parameters by default).

    Args:
        num_classes: Number of categories; linked from the data.
        input_shapes: ``{"face": [3, S, S]}``; linked from the data.
        encoder: Makes the embedding; the paper's where not given.
        modality: Key of the frames in the batch.
        category_weight: What the categories' loss is multiplied by, beside the errors of arousal and valence.
        selection: Whether epochs are selected by root mean squared errors, or by mean squared errors as in the
            released code, beside the recall.
        **kwargs: See `StaticTask`.
    """

    single_task = "its outputs are category, arousal and valence"

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoder: FrameEncoder | None = None,
        modality: str = "face",
        category_weight: float = 10.5,
        selection: Literal["rmse", "mse"] = "rmse",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, encoder, modality, **kwargs)
        self.category_weight = category_weight
        self.selection = selection
        self.classifier = nn.Linear(self.size, num_classes)
        self.regression = nn.Linear(self.size, 2)

    def stages(self) -> Stages:
        """Return the stages: the encoder's, the categories' head, the head of arousal and valence; 17 by default."""
        return {**self.encoder_stages(), "classifier": [self.classifier], "regression": [self.regression]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score faces.

        Args:
            batch: ``face`` float ``(B, 3, S, S)`` and its mask.

        Returns:
            ``logits``: ``category`` ``(B, K)``, ``arousal`` and ``valence`` ``(B,)``; ``aux``: ``embedding``
            ``(B, D)``.
        """
        embedding = self.embedding(batch)
        arousal, valence = self.regression(embedding).unbind(1)
        logits = {"category": self.classifier(embedding), "arousal": arousal, "valence": valence}
        return {"logits": logits, "aux": {"embedding": embedding}}

    def task_loss(self, logits: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        """Return errors of arousal and valence and the weighted loss of the categories, each over the labelled faces.

        Args:
            logits: By task, as `forward` returns them.
            target: By task; ``category`` as `class_loss` takes it, ``arousal`` and ``valence`` ``(B,)`` with NaN where
                there is no label.

        Returns:
            A scalar.

        Raises:
            TaskError: The data have one set of labels alone.
        """
        if not isinstance(target, dict):
            raise TaskError(
                "StaticEmotion learns category, arousal and valence, as --data EmotionFacesDataModule gives them; for "
                "one set of classes take --config experiments/static_engagement_face.yaml"
            )
        errors = rmse(logits["arousal"], target["arousal"]) + rmse(logits["valence"], target["valence"])
        return errors + self.category_weight * self.class_loss(logits["category"], target["category"])

    def selection_score(self, metrics: dict[str, float]) -> float:
        """Return the mean of unweighted recall and of 1 minus the errors of arousal and valence, of those there are.

        Args:
            metrics: Of one evaluation.

        Returns:
            At most 1.
        """
        power = 2 if self.selection == "mse" else 1
        names = [f"rmse_{task}" for task in ("arousal", "valence")]
        parts = [1 - metrics[name] ** power for name in names if name in metrics]
        parts += [metrics["uar"]] if "uar" in metrics else []
        return sum(parts) / max(len(parts), 1)


class StaticEngagement(StaticTask):
    """Engagement from one face (6,842,403 parameters) or one body (1,464,579 that train, and the pose network's).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"face": [3, S, S]}``, ``{"body": ...}`` or ``{"joints": [17, 3]}``; linked from the data.
        encoder: Makes the embedding: `FaceEmbedding`, which stands where not given, or `KinesicsEmbedding`.
        modality: Key of the frames in the batch.
        select_by: Metric that selects the epoch; the paper's is the unweighted average recall.
        **kwargs: See `StaticTask`.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoder: FrameEncoder | None = None,
        modality: str = "face",
        select_by: Literal["accuracy", "uar", "f1"] = "uar",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, encoder, modality, select_by=select_by, **kwargs)
        self.classifier = nn.Linear(self.size, num_classes)

    def stages(self) -> Stages:
        """Return the encoder's stages (16 of a face; 10 of a body, and its pose network if any) and the head."""
        return {**self.encoder_stages(), "classifier": [self.classifier]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score frames.

        Args:
            batch: The modality: images ``(B, 3, S, S)`` or joints ``(B, 17, 3)``, and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``.
        """
        embedding = self.embedding(batch)
        return {"logits": self.classifier(embedding), "aux": {"embedding": embedding}}
