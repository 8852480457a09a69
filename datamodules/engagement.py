"""Engagement of people on video: DAiSEE and NoXi as one problem of three classes, by frame and by window.

DAiSEE (Gupta et al. 2016, https://arxiv.org/abs/1609.01885): clips of 10 s of learners before a webcam, one of four
levels per clip. NoXi (Cafaro et al. 2017, https://doi.org/10.1145/3136755.3136780): conversations of an expert and a
novice, five levels over time. The mappings onto disengaged, neutral, engaged are those of Dresvyanskiy, Karpov and
Minker (SPECOM 2024, https://openreview.net/forum?id=hzOQYdzfyg) and live in the catalogues; splits are the corpora's
own. Their loaders score uni-modal and fusion models on different windows; here ``require`` makes them the same.
"""

from datamodules.reading.engagement_videos import CLASSES
from datamodules.shapes.grid_data import GridDataModule
from datamodules.shapes.windows import FramesDataModule, WindowsDataModule


class EngagementDataModule(GridDataModule):
    """Videos of people who are disengaged, neutral or engaged."""

    corpus = "engagement"
    group_name = "participants or sessions"
    protocols = ("honest",)

    @property
    def class_names(self) -> list[str]:
        """Disengaged, neutral, engaged."""
        return list(CLASSES)


class EngagementFrames(EngagementDataModule, FramesDataModule):
    """Single frames of engagement videos; see `FramesDataModule`."""


class EngagementWindows(EngagementDataModule, WindowsDataModule):
    """Windows over engagement videos; see `WindowsDataModule`."""
