"""What a model is asked about, as entries: files by name, parts of them, texts, arrays in memory."""

import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from glob import glob
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any

import av
import numpy as np

from datamodules.asked import Reader
from datamodules.catalogues.clips.clip_entries import media_of
from datamodules.entries import Entry
from datamodules.errors import DataError, MediaError
from datamodules.media.container import MAX_SECONDS, probe
from datamodules.media.finder import check_person
from datamodules.media.people_in_picture import PERSON
from datamodules.media.segments import Span
from datamodules.reading.files import plain
from datamodules.reading.media_files import MediaFiles, kind_of
from datamodules.reading.numbers import number
from datamodules.reading.tables import read_table

Row = Mapping[str, Any]
OF_FILES = ("file", "audio", "start", "end", "text", PERSON)
OF_ARRAYS = ("frames", "fps", "wave", "rate")
TABLES = (".csv", ".tsv")


def rows_of(names: Sequence[str], reader: Reader) -> list[dict[str, Any]]:
    """Return a row for every clip: of files, folders, patterns, tables with a column file or text, what `reader` finds.

    Raises:
        DataError: One is not there, or holds no clip.
    """
    found: list[dict[str, Any]] = []
    for name in names:
        path = Path(name)
        if path.exists() and (given := reader.rows(path)) is not None:
            found += given
        elif path.is_dir():
            found += _rows_of_folders([path], name)
        elif path.suffix.lower() in TABLES and path.is_file():
            found += _rows_of_table(path)
        elif path.exists():
            found.append({"file": name})
        elif matches := sorted(glob(name, recursive=True)):
            files = [{"file": match} for match in matches if not Path(match).is_dir()]
            found += files or _rows_of_folders([Path(match) for match in matches], name)
        else:
            raise DataError(f"--clips {name}: no such file or folder")
    return found


def _rows_of_folders(folders: Sequence[Path], name: str) -> list[dict[str, Any]]:
    clips = [clip for folder in folders for clip in MediaFiles(folder).clips]
    if not clips:
        raise DataError(f"--clips {name}: no video, sound or picture in this folder")
    return [{"file": str(clip)} for clip in clips]


def _rows_of_table(path: Path) -> list[dict[str, Any]]:
    rows = read_table(path, (), "--clips")
    if not rows:
        raise DataError(f"--clips {path}: no row below its header; a row names a clip")
    found = []
    for row in rows:
        if not (row.get("file") or row.get("text")):
            raise DataError(f"{row.where}: no column file or text with a value; name the clip there")
        files = {name: str(path.parent / row[name]) for name in ("file", "audio") if row.get(name)}
        times = {name: number(row[name], f"{row.where}: {name}") for name in ("start", "end") if row.get(name)}
        found.append({name: value for name, value in row.items() if value} | files | times)
    return found


def check_row(row: Row, reader: Reader) -> None:
    """Refuse what nobody reads.

    Raises:
        DataError: There is some, or no clip.
    """
    known = {
        *OF_FILES,
        *OF_ARRAYS,
        *reader.takes,
        *reader.fields,
        *(name.removeprefix("speaker_") for name in reader.fields),
    }
    if unknown := sorted(set(row) - known):
        may = ", ".join([*OF_FILES[1:], *reader.takes, *reader.fields])
        raise DataError(f"{unknown[0]}: nothing of that name is read; a clip may have {may}")
    if row.get(PERSON):
        check_person(PERSON, str(row[PERSON]))
        check_tells_people_apart(reader, row[PERSON])
    if not any(row.get(name) is not None for name in ("file", "text", "frames", "wave", *reader.takes)):
        raise DataError("no clip: give a file, a text, frames or a wave")


def check_tells_people_apart(reader: Reader, person: Any) -> None:
    """Refuse a person where nobody is told from others.

    Raises:
        DataError: The faces of the model's training were not found by BlazeFace.
    """
    if not reader.person:
        raise DataError(f"person {person}: BlazeFace tells people apart, and the faces that this model was trained on "
                        "were found otherwise; leave it out")  # fmt: skip


def in_file(row: Row, path: Path) -> Row:
    """Return what is asked about with its arrays in memory, if it has some, in a file."""
    if row.get("frames") is None and row.get("wave") is None:
        return row
    return {name: value for name, value in row.items() if name not in OF_ARRAYS} | {"file": write_arrays(row, path)}


def entry_of(row: Row, name: str, reader: Reader) -> tuple[Entry, float]:
    """Return what is asked about as an entry, and its length in seconds; 0 where that is not known.

    Args:
        row: File and what else is known of it.
        name: Its id.
        reader: What the model reads.
    """
    if (given := reader.given(row, name)) is not None:
        return given, 0.0
    media, problem, seconds = {}, "", 0.0
    if row.get("file") is not None:
        path, part = Path(row["file"]), Span(row.get("start"), row.get("end"))
        try:
            if path.is_dir():
                raise MediaError(path, "a folder; give its files, as a list")
            if not kind_of(path):
                raise MediaError(path, "neither video, sound nor picture, by the ending of its name")
            media = media_of(path, Path(row.get("audio") or path), part, str, search=True)
            if kind_of(path) != "picture":
                whole = _length(path, path.stat().st_mtime_ns if path.exists() else 0)
                seconds = (whole if part.end is None else part.end) - (part.start or 0.0)
                if seconds > MAX_SECONDS:
                    raise MediaError(path, f"lasts {seconds:.0f} s; at most {MAX_SECONDS:.0f} s are read: give a part "
                                           "of it by start and end")  # fmt: skip
        except MediaError as error:
            problem = error.reason
    elif reader.media and len(reader.media) == len(reader.views):
        problem = f"no file; the model reads {', '.join(reader.modalities)}, no text"
    text = row.get("text")
    names = ("prompt", *(view.text for view in reader.views.values() if hasattr(view, "text")))
    texts = dict.fromkeys(names, str(text)) if text is not None and not isinstance(text, float) else {}
    columns = {
        f"meta_{field}": str(row.get(field, row.get(field.removeprefix("speaker_"), ""))) for field in reader.fields
    }
    if row.get(PERSON):
        columns[PERSON] = str(row[PERSON])
    told = plain(str(row.get("file") or row.get("text", ""))[:200])
    return Entry(name, name=told, media=media, texts=texts, columns=columns, problem=problem), max(0.0, seconds)


@lru_cache(maxsize=4)
def _length(path: Path, _: int) -> float:
    """Return how long a file is, as it is at a time: windows of it ask one after the other."""
    return probe(path).seconds


def unknown_values(entry: Entry, reader: Reader) -> dict[str, str]:
    """Return, by field, what is said of a clip and was never said in training."""
    said = {field: entry.columns.get(f"meta_{field}", "") for field in reader.fields}
    return {
        field: f"{value!r} was not in training, which had {', '.join(reader.fields[field][:10])}"
        for field, value in said.items()
        if value and value not in reader.fields[field]
    }


def write_arrays(row: Row, path: Path) -> Path:
    """Write frames and a wave without loss into a file, so that they are read as any other; return it.

    Args:
        row: ``frames`` uint8 RGB ``(T, H, W, 3)`` with ``fps``; ``wave`` ``(S,)``, float in -1..1 or int16, with
            ``rate``.
        path: Of the file.

    Raises:
        DataError: They are of another kind.
    """
    frames, wave = row.get("frames"), row.get("wave")
    if frames is not None and not (isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.ndim == 4
                                   and frames.shape[3] == 3 and len(frames)):  # fmt: skip
        raise DataError("frames: give an array uint8 (T, H, W, 3), RGB")
    for name, of in (("fps", frames), ("rate", wave)):
        if of is not None and not (isinstance(row.get(name), Real) and isfinite(row[name]) and row[name] > 0):
            raise DataError(f"{name}: give the number of {'frames' if name == 'fps' else 'samples'} a second")
    if wave is not None:
        wave = np.asarray(wave)
        if wave.ndim != 1 or not len(wave) or wave.dtype.kind not in "fi" or not np.isfinite(wave).all():
            raise DataError("wave: give samples (S,), float in -1..1 or int16, all finite")
        if wave.dtype != np.int16:
            wave = (np.asarray(wave, np.float64).clip(-1, 1) * 32767).round().astype(np.int16)
    if frames is None:
        path = path.with_suffix(".wav")
    with av.open(str(path), "w") as file:
        if frames is not None:
            video: Any = file.add_stream("ffv1", rate=Fraction(float(row["fps"])).limit_denominator(1001))
            (video.height, video.width), video.pix_fmt = frames.shape[1:3], "bgr0"
        if wave is not None:
            sound: Any = file.add_stream("pcm_s16le", rate=int(row["rate"]), layout="mono")
        if frames is not None:
            for picture in frames:
                file.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
            file.mux(video.encode(None))
        if wave is not None:
            for start in range(0, len(wave), 4096):
                samples = av.AudioFrame.from_ndarray(wave[None, start : start + 4096], "s16", "mono")
                samples.sample_rate, samples.pts = int(row["rate"]), start
                file.mux(sound.encode(samples))
            file.mux(sound.encode(None))
    return path


def folder_for_arrays() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that is removed when it is closed."""
    return tempfile.TemporaryDirectory(prefix="affectzoo-")
