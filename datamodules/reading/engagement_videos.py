"""The base of DAiSEE and NoXi: videos of people, labelled by three classes of engagement, with official splits.

The mappings onto these classes are those of Dresvyanskiy, Karpov and Minker (SPECOM 2024,
https://openreview.net/forum?id=hzOQYdzfyg).
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from datamodules.entries import Catalogue, Entry, Scan
from datamodules.errors import DataError
from datamodules.reading.recordings import check_groups, check_recordings, same_bytes

CLASSES = ("disengaged", "neutral", "engaged")


class EngagementVideos(Catalogue):
    """A corpus of such videos; one that comes twice is taken once.

    Attributes:
        key: What no two videos share, for messages.
        expected: What a folder without any video lacks, for messages.
    """

    recipe: ClassVar[str] = "engagement"
    unit: ClassVar[str] = "video"
    classes: ClassVar[tuple[str, ...]] = CLASSES
    columns: ClassVar[tuple[str, ...]] = ("split",)
    key: ClassVar[str]
    expected: ClassVar[str]

    @abstractmethod
    def videos(self, source: Path) -> Iterator[Entry]:
        """Yield the videos of a folder, their ids without the corpus.

        Raises:
            DataError: The folder or a table is missing or wrong.
        """

    def scan(self, source: Path) -> Scan:
        """List the videos, sorted by id; of two that differ under one id the second cannot be used.

        Raises:
            DataError: There is no video, all are of one group, or one recording is labelled with two groups or labels.
        """
        found: dict[str, Entry] = {}
        ignored = Counter[str]()
        for video in self.videos(source):
            known = found.setdefault(video.id, video)
            if known is video:
                continue
            if _labels(known) == _labels(video) and same_bytes(_path(known), _path(video)):
                ignored["copies of a video"] += 1
            else:
                problem = f"same {self.key} as {known.name}"
                found[video.name] = replace(video, id=video.name, labels={}, problem=problem)
        if not found:
            raise DataError(f"--source {source}: no {self.expected} (docs/data.md).")
        usable = [video for video in found.values() if not video.problem]
        check_groups([video.group for video in usable], f"--source {source}", "videos")
        by_id = [found[id] for id in sorted(found)]
        check_recordings(((_path(one), one.group, _labels(one)) for one in by_id if not one.problem), source)
        return Scan([replace(video, id=f"{self.name}/{id}") for id, video in sorted(found.items())], ignored)


def _path(video: Entry) -> Path:
    path = video.media["video"].path
    assert path is not None
    return path


def _labels(video: Entry) -> tuple[str, str, tuple[bytes, ...]]:
    return video.group, video.split, tuple(series.values.tobytes() for series in video.labels.values())
