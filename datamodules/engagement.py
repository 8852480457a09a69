"""Engagement of people on video: DAiSEE and NoXi as one problem of three classes, by frame and by window.

DAiSEE (Gupta et al. 2016, https://arxiv.org/abs/1609.01885): clips of 10 s of learners before a webcam, one of four
levels per clip. NoXi (Cafaro et al. 2017, https://doi.org/10.1145/3136755.3136780): conversations of an expert and a
novice, five levels over time. The mappings onto disengaged, neutral, engaged are those of Dresvyanskiy, Karpov and
Minker (SPECOM 2024, https://openreview.net/forum?id=hzOQYdzfyg) and live in the catalogues; splits are the corpora's
own. Their loaders score uni-modal and fusion models on different windows; here ``require`` makes them the same.
"""

from pathlib import Path
from typing import Any, Literal

from datamodules.errors import DataError
from datamodules.reading.engagement_videos import CLASSES
from datamodules.shapes.grids.grid import Grid, official_grid
from datamodules.shapes.grids.grid_data import GridDataModule, Modality
from datamodules.shapes.grids.windows import FramesDataModule, WindowsDataModule
from datamodules.store.reader import joint_fingerprint


class EngagementDataModule(GridDataModule):
    """Videos of people who are disengaged, neutral or engaged.

    Args:
        roots: Folders of the corpora; their videos train one model.
        modalities: Which of ``face``, ``affect`` (the face for the emotion model) and ``kinesics`` to read.
        protocol: ``honest``: the epoch is selected on the official validation videos, which is what the paper does.
        store: Which of their stores: ``prepared`` by the recipe of the paper, or ``prepared-<recipe>``.
        **kwargs: See `GridDataModule`.
    """

    corpus = "engagement"
    group_name = "participants or sessions"
    protocols = ("honest",)

    def __init__(
        self,
        roots: list[str],
        modalities: list[Modality],
        protocol: Literal["paper", "honest"] = "honest",
        store: str = "prepared",
        **kwargs: Any,
    ) -> None:
        if not roots:
            raise DataError("--data.roots []: name at least one corpus folder, such as data/daisee")
        super().__init__(roots[0], modalities, protocol=protocol, **kwargs)
        self.roots = [Path(root) for root in roots]
        self.folders = [root / store for root in self.roots]

    def open_grid(self) -> Grid:
        """Return the videos of all corpora."""
        return official_grid(self.folders, self.kinesics)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the store, or of several in their order."""
        return joint_fingerprint([store.fingerprint for store in self.grid.stores])

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Catalogue, recipe and views of every store, by its corpus' folder."""
        stores = zip(self.roots, self.grid.stores, strict=True)
        return {root.name: dict(store.manifest["settings"]) for root, store in stores}

    @property
    def synthetic(self) -> bool:
        """Whether the stores say that they are stand-ins."""
        return self.grid.stores[0].synthetic

    @property
    def class_names(self) -> list[str]:
        """Disengaged, neutral, engaged."""
        return list(CLASSES)


class EngagementFrames(EngagementDataModule, FramesDataModule):
    """Single frames of engagement videos; see `FramesDataModule`."""


class EngagementWindows(EngagementDataModule, WindowsDataModule):
    """Windows over engagement videos; see `WindowsDataModule`."""
