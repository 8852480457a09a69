"""RECOLA, SEMAINE, SEWA: gold standard of 100 values a second and videos."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datamodules.catalogues.faces.corpus import Corpus, Files, frame_times, number
from datamodules.entries import Entry
from datamodules.errors import DataError, MediaError
from datamodules.reading.files import VIDEOS
from datamodules.reading.matches import one_of_each
from datamodules.reading.names import check_name
from datamodules.reading.tables import Place, Table, settle


def stills(files: Files, ignored: Counter[str], prefix: str, every: int, short: tuple[str, str]) -> Iterator[Entry]:
    """Yield every n-th frame that has both labels.

    ``<prefix>_labels_{arousal,valence}_100Hz_gold_shifted.csv`` have two columns, ``<recording>_<seconds>`` and the
    value. A frame takes the labels of its time rounded to a hundredth of a second; recordings are kept apart by their
    whole name.

    Args:
        files: Of the corpus.
        ignored: Counts what is ignored, by kind.
        prefix: Of the label files.
        every: Take every n-th frame.
        short: How the name of a recording begins, and the stem of its video file in place of that.
    """
    labels: dict[str, dict[str, dict[int, float]]] = {}
    for axis in ("arousal", "valence"):
        values, copies = settle(_values(files.require(f"{prefix}_labels_{axis}_100Hz_gold_shifted.csv")))
        if copies:
            ignored[f"{files.corpus} values that come twice"] += copies
        labels[axis] = defaultdict(dict)
        for (recording, hundredth), value in values.items():
            labels[axis][recording][hundredth] = value
    names = sorted(labels["arousal"].keys() | labels["valence"].keys())
    recordings = {name: name.replace(*short, 1) if name.startswith(short[0]) else name for name in names}
    wanted = set(recordings.values())
    videos = one_of_each(path for path in files if path.suffix.lower() in VIDEOS and path.stem in wanted)
    for recording, stem in recordings.items():
        arousal, valence = (labels[axis].get(recording, {}) for axis in ("arousal", "valence"))
        path = videos.get(stem, files.folder / f"{stem}.mp4")
        files.named.add(path)
        try:
            times = frame_times(path, every)
        except MediaError as error:
            yield files.still(stem, path, subject=stem, problem=error.reason)
            continue
        for time in times:
            now = round(100 * time)
            if now not in arousal or now not in valence:
                ignored[f"{files.corpus} frames without labels"] += 1
                continue
            clip, own = f"{stem}/{time:07.2f}", (arousal[now], valence[now])
            yield files.still(clip, path, arousal=own[0], valence=own[1], subject=stem, time=time, search=True)


def _values(path: Path) -> Iterator[tuple[tuple[str, int], float, Place]]:
    """Yield recording and hundredth of a second, the value, and where it stands, row by row; a header may be there.

    Raises:
        DataError: A row is none of a recording and a time, or its value no number.
    """
    for row in Table(path, ("recording_seconds", "value"), headerless=True):
        recording, _, seconds = row["recording_seconds"].rpartition("_")
        try:
            hundredth = round(100 * float(seconds))
        except (OverflowError, ValueError):
            if row.line == 1:
                continue
            raise DataError(f"{row.where}: {row['recording_seconds']!r} is not like 'P16_0.04'.") from None
        check_name(recording, row.where)
        yield (recording, hundredth), number(row["value"], row.where), row.place


RECOLA = Corpus("recola", partial(stills, prefix="REC", every=8, short=("REC00", "P")))
SEWA = Corpus("sewa", partial(stills, prefix="SEW", every=17, short=("", "")))
SEMAINE = Corpus("semaine", partial(stills, prefix="SEM", every=17, short=("", "")))
