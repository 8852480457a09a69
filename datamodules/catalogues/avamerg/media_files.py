"""The paths of AvaMERG's wavs and mp4s: manifests name them by paths of another machine."""

import os
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from datamodules.entries import Media


@dataclass(frozen=True)
class MediaFiles:
    """The media files of a source folder.

    Attributes:
        folder: The source folder.
        by_name: Paths by file name.
    """

    folder: Path
    by_name: dict[str, list[Path]]

    @classmethod
    def under(cls, folder: Path) -> "MediaFiles":
        """Index the media files of a folder in one walk."""
        by_name: dict[str, list[Path]] = {}
        for place, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".wav", ".mp4")):
                    by_name.setdefault(name, []).append(Path(place, name))
        return cls(folder, by_name)

    @property
    def paths(self) -> list[Path]:
        """All media files of the folder."""
        return [path for paths in self.by_name.values() for path in paths]

    def medium(self, named: str) -> Media:
        """Return the file that a manifest names, with the reason if it is missing."""
        path, reason = self.find(named)
        return Media(path, name=named, problem=reason)

    def find(self, named: str) -> tuple[Path | None, str]:
        """Return the file that a manifest names, inside the folder whatever the manifest says.

        Args:
            named: A path with slashes of either kind, or a name. A link inside the folder is the user's own and is
                followed: the cache of a hub is made of them.

        Returns:
            The path, or None and the reason.
        """
        parts = PureWindowsPath(named).parts
        if not parts:
            return None, "the manifest names no file"
        inside = self.folder.joinpath(*parts)
        try:
            there = inside.is_file()
        except (OSError, ValueError) as error:
            return None, f"no file can have this name ({getattr(error, 'strerror', None) or error})"
        if there and not PureWindowsPath(named).is_absolute() and ".." not in parts:
            return inside, ""
        found = self.by_name.get(parts[-1], [])
        if len(found) == 1:
            return found[0], ""
        return None, f"{len(found)} files have this name" if found else "no such file"
