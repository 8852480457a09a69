"""The role, speaker or listener, of each utterance of a dialogue."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datamodules.entries import ROLES, Entry
from datamodules.views.base import EntryView


@dataclass(frozen=True)
class Roles(EntryView):
    """Place in `entries.ROLES` from 1, uint8 ``(U,)``; a clip is what a speaker says."""

    of_parts: ClassVar[bool] = True

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {name: "u8"}

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return the roles."""
        roles = [part.texts.get("role", ROLES[0]) for part in entry.pieces(of_parts=True)]
        return {name: np.array([ROLES.index(role) + 1 for role in roles], np.uint8)}
