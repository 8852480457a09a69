"""Faces of ten emotion corpora (Dresvyanskiy et al., SPECOM 2024): eight categories, arousal and valence.

RECOLA, SEWA, SEMAINE and AFEW-VA have arousal and valence; SAVEE, ExpW, FER+ and RAF-DB categories; AffectNet and
EMOTIC both. `prepare faces` makes one store of them, with one split of all.
"""

from functools import cached_property
from typing import Any

import numpy as np

from datamodules.catalogues.faces.corpus import CATEGORIES
from datamodules.errors import DataError
from datamodules.shapes.stills import StillsDataModule
from datamodules.store.reader import Store


class EmotionFacesDataModule(StillsDataModule):
    """Stills of emotion corpora from the prepared store.

    ``target`` holds ``category`` float ``(B, 8)``, ``arousal`` and ``valence`` ``(B,)``. Ids are ``<corpus>/<clip>``;
    the group is the subject, or the still where nobody is named.

    Args:
        root: Folder of the corpora.
        corpora: Names of the corpora to take; all of the store where not given.
        **kwargs: See `StillsDataModule`.
    """

    corpus = "faces"
    group_name = "subjects"
    values = ("arousal", "valence")

    def __init__(self, root: str = "data/faces", corpora: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        if corpora is not None and not corpora:
            raise DataError("--data.corpora []: name at least one, or leave the option out")
        self.requested = corpora

    @property
    def class_names(self) -> list[str]:
        """The eight categories in the paper's order."""
        return list(CATEGORIES)

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Category, arousal and valence: what the targets are by task."""
        value = {"kind": "value", "unit": "", "range": [-1, 1]}
        category = {"kind": "classes", "classes": self.class_names}
        return {"category": category, "arousal": value, "valence": value}

    def check_store(self, store: Store) -> None:
        """Refuse a store that holds no faces, or faces of other categories."""
        settings = store.manifest["settings"]  # those of schema 1 know no catalogue
        made_by = settings.get("catalogue", {**settings, "name": settings.get("corpus")})
        if made_by.get("name") != "faces" or made_by.get("categories") != list(CATEGORIES):
            raise DataError(
                f"{store.folder} holds {made_by.get('name')}, not faces of this version; prepare them again"
            )

    @cached_property
    def corpora(self) -> list[str]:
        """Names of the corpora that are used.

        Raises:
            DataError: If the store lacks one that was asked for.
        """
        held = sorted({clip.partition("/")[0] for clip in self.store.ids})
        if absent := sorted(set(self.requested or []) - set(held)):
            raise DataError(f"--data.corpora: {', '.join(absent)} not in {self.root}; there are {', '.join(held)}")
        return held if self.requested is None else [name for name in held if name in self.requested]

    @property
    def taken(self) -> np.ndarray:
        """Which stills are of these corpora, bool ``(N,)``."""
        return np.array([clip.partition("/")[0] in self.corpora for clip in self.store.ids])
