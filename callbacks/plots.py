"""Attention maps laid over the faces that the model saw."""

from pathlib import Path
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_modules.base import Batch, select_clip


def draw_attention(path: Path, video: Tensor, attention: Tensor, titles: list[str]) -> None:
    """Draws each clip's attention maps over the frames that they belong to.

    Args:
        path: PNG to write.
        video: ``(N, 3, T, H, W)`` as the model saw it; stretched to the visible range here.
        attention: ``(N, T', H', W')``; map ``t`` covers the frames of the ``t``-th part of the clip.
        titles: One per clip.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    clips, steps = attention.shape[:2]
    low, high = video.amin((1, 2, 3, 4), keepdim=True), video.amax((1, 2, 3, 4), keepdim=True)
    frames = ((video - low) / (high - low).clamp_min(1e-6)).permute(0, 2, 3, 4, 1)
    maps = F.interpolate(attention, tuple(video.shape[-2:]), mode="bilinear")
    figure, axes = plt.subplots(clips, 2 * steps, figsize=(4 * steps, 2.2 * clips), squeeze=False)
    for row, title in enumerate(titles):
        for step in range(steps):
            frame = frames[row, int((step + 0.5) * frames.shape[1] / steps)]
            plain, overlaid = axes[row][2 * step], axes[row][2 * step + 1]
            plain.imshow(frame)
            overlaid.imshow(frame.mean(-1), cmap="gray")
            overlaid.imshow(maps[row, step], cmap="inferno", alpha=0.6)
        axes[row][0].set_title(title, fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


class AttentionPlot(Callback):
    """Writes ``plots/attention.png`` after a test run of a model that gives ``aux["attention"]`` over its video.

    Args:
        clips: How many clips to show, of different classes as far as they go.
    """

    def __init__(self, clips: int = 4) -> None:
        self.clips = clips
        self._shown: dict[int, Batch] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts with no clips."""
        self._shown = {}

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keeps the first clip of each of the first classes."""
        faces = "video" in batch and batch["video"].ndim == 5  # action units come without
        if not trainer.is_global_zero or not faces or batch["target"].ndim != 1:
            return
        for row, label in enumerate(batch["target"].tolist()):
            if label not in self._shown and len(self._shown) < self.clips:
                self._shown[label] = select_clip(batch, row)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Scores the kept clips once more and draws them."""
        outputs = {label: pl_module(clip) for label, clip in sorted(self._shown.items())}
        if not outputs or any("attention" not in output["aux"] for output in outputs.values()):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        titles = [
            f"{self._shown[label]['id'][0]}: {data.class_names[label]}, "
            f"predicted {data.class_names[int(output['logits'].argmax())]}"
            for label, output in outputs.items()
        ]
        video = torch.cat([self._shown[label]["video"] for label in outputs]).float().cpu()
        attention = torch.cat([output["aux"]["attention"] for output in outputs.values()]).float().cpu()
        draw_attention(Path(trainer.default_root_dir) / "plots" / "attention.png", video, attention, titles)
