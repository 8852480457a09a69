"""The networks that CFN-SR is compared with on RAVDESS; so far the two unimodal ones.

They are the video and audio networks of CFN-SR (see `lightning_modules.backbones` for papers and licences), each with
a linear head as in the 2020 MSAF release (https://github.com/anita-hu/MSAF, MIT). The releases of MSAF and CFN-SR hand
over trained weights of both without the code that trained them; here they are experiments of their own, and CFN-SR can
start from their checkpoints: the parts are named ``video`` and ``audio`` as in `CFNSR`.
"""

from typing import Any

from torch import nn

from lightning_modules.backbones import MFCCNet, ResNeXt3D, audio_network, video_network
from lightning_modules.base import Batch, EmotionTask, Stages


class VideoOnly(EmotionTask):
    """The video network with a linear head (25,882,056 parameters by default).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W]}``; linked from the data.
        video: The video network; the paper's where not given.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data has no video.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: ResNeXt3D | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.video = video_network(video, input_shapes)
        self.head = nn.Linear(self.video.channels, num_classes)

    def stages(self) -> Stages:
        """Video stem, its four layers, head."""
        return {
            **{f"video_{name}": [stage] for name, stage in self.video.stages().items()},
            "head": [self.head],
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Scores a batch of clips.

        Args:
            batch: ``video`` float ``(B, 3, T, H, W)`` and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the pooled features.
        """
        embedding = self.video(self.observed(batch, "video")).mean((2, 3, 4))
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

    def stages(self) -> Stages:
        """Audio network, head."""
        return {"audio": [self.audio], "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Scores a batch of clips.

        Args:
            batch: ``audio`` float ``(B, n_mfcc, T)`` and its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, the flattened features.
        """
        embedding = self.audio(self.observed(batch, "audio")).flatten(1)
        return {"logits": self.head(self.head_dropout(embedding)), "aux": {"embedding": embedding}}
