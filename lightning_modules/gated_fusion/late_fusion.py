"""Late fusion of two trained branches: nine numbers that are learned, or one, or a mean that is not.

The fusions behind the published figures of the document of `lightning_modules.gated_fusion`:
``z = s_0 z_video + s_1 z_audiotext + b``, ``s = softmax(w)``, and before it ``z = s z_video + (1 - s) z_audiotext``,
``s = sigmoid(w)``. They are global: the same weights for every dialogue.

What differs from the released code:
- Both branches must have been trained on the same classes, in the same order. The released one adds the scores of two
  label maps index by index: "sad" to "fear".
- The branches stay in eval mode. Theirs were switched to training with the fusion: dropout was on, and the BatchNorm of
  "frozen" networks went on adapting.
- The documents' initial weights, 0.6 and 0.4, are those after the softmax. The released code takes its softmax of 0.6
  and 0.4, which is 0.5498 and 0.4502 (``initial: released``). Likewise the one weight: 0.7, and its sigmoid, 0.6682.
- A branch that has none of its modalities is left out, and the weight of the other is 1.
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.branches import AudioTextMetadata
from lightning_modules.gated_fusion.dialogue import utterances_read
from lightning_modules.gated_fusion.mimamo import MIMAMONet
from lightning_modules.nn.encoders import read_hyper_parameters
from lightning_modules.nn.fusion import averaging
from lightning_modules.nn.gates import masked_softmax
from lightning_modules.nn.modality_encoders import keep_plain
from lightning_modules.nn.networks.layer_groups import Frozen

BRANCHES = ("video", "audio_text")


class TwoBranches(EmotionTask):
    """A video branch and an audio-text branch that do not train.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: Of every modality; linked from the data.
        encoders: Of ``text``, ``audio`` and ``video``, as the branches were trained with.
        video: Options of `MIMAMONet` that the branch was trained with.
        audio_text: Options of `AudioTextMetadata` that the branch was trained with.
        init_from: Checkpoints of the branches, ``video`` and ``audio_text``.
        **kwargs: See `EmotionTask`.
    """

    single_task = "it adds the scores of two trained branches class by class"

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        video: dict[str, Any] | None = None,
        audio_text: dict[str, Any] | None = None,
        init_from: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, init_from=init_from, **kwargs)
        keep_plain(self, encoders)
        shared: dict[str, Any] = {
            "class_names": self.class_names,
            "vocabulary_sizes": self.vocabulary_sizes,
            "freeze_encoders": True,
        }
        try:
            self.video = MIMAMONet(num_classes, input_shapes, encoders, **shared, **(video or {}))
            self.audio_text = AudioTextMetadata(num_classes, input_shapes, encoders, **shared, **(audio_text or {}))
        except TypeError as error:
            raise TaskError(f"model.video, model.audio_text: {error}") from error
        for branch in (self.video, self.audio_text):
            branch.requires_grad_(False).eval()

    @classmethod
    def reads(cls, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that a branch reads; see `EmotionTask.reads`."""
        return utterances_read([*MIMAMONet.usual, *AudioTextMetadata.usual], encoders or {})

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders of both branches."""
        return {**self.video.frozen_encoders(), **self.audio_text.frozen_encoders()}

    def train(self, mode: bool = True) -> "TwoBranches":
        """Switch everything but the branches, which stay in eval mode."""
        super().train(mode)
        for name in BRANCHES:
            getattr(self, name).eval()
        return self

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Fill the branches.

        Args:
            checkpoints: Path by branch.

        Raises:
            TaskError: If one is missing, does not fit, or was trained on other classes.
        """
        if lacking := [name for name in BRANCHES if name not in checkpoints]:
            raise TaskError(
                f"--model.init_from lacks {' and '.join(lacking)}: {type(self).__name__} fuses trained branches.\n"
                "Train gated_video and gated_audio_text with the same seed, and name their best.ckpt"
            )
        for name in BRANCHES:
            trained = read_hyper_parameters(checkpoints[name]).get("class_names")
            if trained != self.class_names:
                raise TaskError(
                    f"--model.init_from.{name} {checkpoints[name]}: it was trained on {_listed(trained)}, here are "
                    f"{_listed(self.class_names)};\nscores are added class by class: train both branches with one "
                    "--data.label_map"
                )
        super().start_from(checkpoints)

    def stages(self) -> Stages:
        """Return the stages: both branches, which never train."""
        return {name: [Frozen(getattr(self, name))] for name in BRANCHES}

    def parts_read(self) -> set[str]:
        """Return the parts that a branch reads."""
        return set().union(*(getattr(self, name).parts_read() for name in BRANCHES))

    def gate_names(self) -> list[str]:
        """Return the names of the columns of ``aux["gate"]``."""
        return list(BRANCHES)

    def scored(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of both branches.

        Args:
            batch: A batch of dialogues.

        Returns:
            Scores ``(B, 2, K)`` float32; which branches have something to go by, bool ``(B, 2)``; their features
            ``(B, D)``.
        """
        with torch.no_grad():
            outputs = [getattr(self, name)(batch) for name in BRANCHES]
        logits = torch.stack([output["logits"].float() for output in outputs], dim=1)
        having = {name: self.video.present(batch, name).any(1) for name in ("video", "audio", "text")}
        present = torch.stack([having["video"], having["audio"] | having["text"]], dim=1)
        return logits, present, torch.cat([output["aux"]["embedding"] for output in outputs], dim=1)


class StaticAverage(TwoBranches):
    """The mean of both branches' class probabilities; trains nothing.

    Args:
        **kwargs: See `TwoBranches` and `EmotionTask`.
    """

    def __init__(
        self, num_classes: int, input_shapes: dict[str, list[int]], encoders: dict[str, nn.Module], **kwargs: Any
    ) -> None:
        super().__init__(num_classes, input_shapes, encoders, **kwargs)

    def on_fit_start(self) -> None:
        """Refuse to train."""
        if self.trainer.max_epochs != 0:
            raise TaskError("StaticAverage trains nothing: leave --trainer.max_epochs at 0")
        super().on_fit_start()

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: As the branches read it.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``gate`` ``(B, 2)``, equal shares, ``abstain`` bool ``(B,)``, ``embedding``.
        """
        logits, present, embedding = self.scored(batch)
        gate = masked_softmax(torch.zeros_like(logits[:, :, 0]), present)
        return {
            "logits": averaging(logits, present),
            "aux": {"gate": gate, "abstain": ~present.any(1), "embedding": embedding},
        }


class LearnedWeights(TwoBranches):
    """The scores of both branches, weighed; a subclass says by what."""

    @abstractmethod
    def branch_weights(self) -> Tensor:
        """Return the weights of video and audio-text before the softmax, ``(2,)``."""

    def on_fit_end(self) -> None:
        """Print the weights that were learned."""
        video, audio_text = self.branch_weights().detach().softmax(0).tolist()
        rank_zero_info(f"weights: video {100 * video:.2f} %, audio-text {100 * audio_text:.2f} %")

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: As the branches read it.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``gate`` ``(B, 2)``, ``abstain`` bool ``(B,)``, ``embedding`` ``(B, D)``.
        """
        logits, present, embedding = self.scored(batch)
        gate = masked_softmax(self.branch_weights().expand(len(logits), -1), present)
        fused = (gate.unsqueeze(2) * logits).sum(1)
        return {"logits": fused, "aux": {"gate": gate, "abstain": ~present.any(1), "embedding": embedding}}


class WeightedLateFusion(LearnedWeights):
    """Two weights and a bias per class over the scores of both branches: 9 parameters that train, with 7 classes.

    Args:
        initial: Initial weights of video and audio-text: the ``stated`` 0.6 and 0.4, or the ``released`` 0.55 and 0.45.
        **kwargs: See `TwoBranches` and `EmotionTask`.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        initial: Literal["stated", "released"] = "stated",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, encoders, **kwargs)
        start = torch.tensor([0.6, 0.4])
        self.weights = nn.Parameter(start.log() if initial == "stated" else start)
        self.class_bias = nn.Parameter(torch.zeros(num_classes))

    def stages(self) -> Stages:
        """Return the stages: both branches, which never train; the weights with the bias."""
        return {**super().stages(), "fusion": [self.weights, self.class_bias]}

    def branch_weights(self) -> Tensor:
        """Return both weights."""
        return self.weights

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues, the bias of each class added."""
        output = super().forward(batch)
        return {**output, "logits": output["logits"] + self.class_bias}


class OneWeightLateFusion(LearnedWeights):
    """One weight between the scores of both branches, the released code's earlier fusion: 1 parameter that trains.

    Args:
        initial: Initial weight of the video: the ``stated`` 0.7, or the ``released`` 0.67.
        **kwargs: See `TwoBranches` and `EmotionTask`.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        initial: Literal["stated", "released"] = "stated",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, encoders, **kwargs)
        start = torch.tensor(0.7)
        self.weight = nn.Parameter(start.logit() if initial == "stated" else start)

    def stages(self) -> Stages:
        """Return the stages: both branches, which never train; the weight."""
        return {**super().stages(), "fusion": [self.weight]}

    def branch_weights(self) -> Tensor:
        """Return the weight and 0: the softmax of both is the sigmoid of the one."""
        return torch.stack([self.weight, torch.zeros_like(self.weight)])


def _listed(names: list[str] | None) -> str:
    return "classes it does not name" if names is None else ", ".join(names)
