"""What page and JSON share: models, clips that are held, and the answers about them."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datamodules.errors import DataError, MediaError
from datamodules.reading.media_files import KINDS, kind_of
from datamodules.standins.ravdess import make_clip
from experiments.predict.loaded.model import Model
from experiments.serve.asked.held import Clip, Shelf, answer_about, changes, faces_of, read_clip
from experiments.serve.asked.limits import Desk, Limits, check_length
from experiments.serve.asked.said import Said

LOG = logging.getLogger("affectzoo.serve")
EXAMPLES = {"happy": "01-01-03-02-01-01-01", "sad": "01-01-04-02-01-01-02", "angry": "01-01-05-02-01-01-03"}
SEED = 17  # other clips than those of any table
DEEP = tuple("abcde")  # boxes are looked for in folders above a clip; none is anybody else's


class Service:
    """Models that are asked about clips of anybody.

    Args:
        models: By title.
        limits: What is taken.
        folder: Private; clips are in it while they are read.

    Attributes:
        modalities: That any of the models reads.
        fields: Known values of what may be told of a clip, by name.
        examples: Stand-in clips by title.
    """

    def __init__(self, models: Mapping[str, Model], limits: Limits, folder: Path) -> None:
        self.models, self.limits = dict(models), limits
        self.clips = Path(tempfile.mkdtemp(prefix="clips-", dir=folder))
        self.desk, self.shelf = Desk(limits.waiting), Shelf(limits.kept, limits.held)
        self.modalities = list(dict.fromkeys(name for model in models.values() for name in model.modalities))
        self.fields: dict[str, list[str]] = {}
        for model in models.values():
            for name, values in model.fields.items():
                if values:  # a corpus may know nothing of its clips
                    self.fields[name] = sorted({*self.fields.get(name, []), *values})
        self.examples = _examples(folder / "examples")
        self.reads_text = any(model.reader.reads_text for model in models.values())

    def check(self, told: Mapping[str, str], off: Collection[str]) -> None:
        """Refuse what no model reads.

        Raises:
            DataError: There is some.
        """
        for name in off:
            if name not in self.modalities:
                raise DataError(f"without {name}: the modalities are {', '.join(self.modalities)}")
        may = [*(["text"] if self.reads_text else []), *self.fields]
        if unknown := sorted(set(told) - set(may)):
            raise DataError(f"{unknown[0]}: nothing of that name is read here; besides its file a clip may have "
                            f"{', '.join(may) or 'nothing'}")  # fmt: skip

    def read(self, file: Any, name: str, kind: str) -> Clip:
        """Return what the models need of an uploaded file, of which nothing is left behind.

        Args:
            file: Open for reading.
            name: Of its owner.
            kind: MIME type, where the name has no ending that is known.

        Raises:
            DataError: It is none that can be read, or too long.
        """
        usual = ".ogg" if kind.startswith("audio/") else ".mp4"
        suffix = Path(name).suffix.lower()
        if (kind.startswith("audio/") and kind_of(Path(name)) != "audio") or (suffix not in KINDS and kind != ""):
            suffix = usual if kind.startswith(("audio/", "video/")) else suffix
        with tempfile.TemporaryDirectory(dir=self.clips) as folder:
            place = Path(folder, *DEEP)
            place.mkdir(parents=True)
            path = place / f"clip{suffix}"
            with path.open("wb") as to:
                shutil.copyfileobj(file, to, 1 << 20)
            return self.read_file(path, name)

    def read_file(self, path: Path, name: str) -> Clip:
        """Return what the models need of a file.

        Raises:
            DataError: It is none that can be read, or too long.
        """
        try:
            if not kind_of(path):
                raise MediaError(path, "neither video, sound nor picture, by the ending of its name")
            seconds = 0.0 if kind_of(path) == "picture" else check_length(path, self.limits.seconds)
        except MediaError as error:
            raise DataError(f"{name}: {error.reason}") from None
        clip = read_clip(list(self.models.values()), path, name, seconds)
        reasons = [made.reason for part in clip.parts for _, made in part.pairs]
        if all(reasons):
            raise DataError(f"{name}: {reasons[0]}")
        return clip

    def answers(
        self,
        clip: Clip | None,
        told: Mapping[str, str],
        off: Collection[str] = (),
        step: Callable[[float, str], object] = lambda share, title: None,
    ) -> list[Said]:
        """Return what every model says.

        Args:
            clip: Which; None of a text alone.
            told: What is known of it besides.
            off: Modalities to do without.
            step: Is told the share that is done, and what comes next.

        Raises:
            DataError: There is nothing to be asked about.
        """
        found = []
        for place, (title, model) in enumerate(self.models.items()):
            step(place / len(self.models), title)
            part = clip.parts[place] if clip else None
            answer = answer_about(model, part, told, off)
            name, seconds = (clip.name, clip.seconds) if clip else ("text", 0.0)
            answer = type(answer)(**{**vars(answer), "file": name, "seconds": seconds})
            faces = None if answer.problem else faces_of(model, part)
            found.append(Said(title, model, answer, changes(model, part, told, answer, off), faces))
        return found


@contextmanager
def no_words_of_clips() -> Iterator[None]:
    """Have a bug logged without what the clip or its owner had to do with it."""
    try:
        yield
    except (DataError, OSError):
        raise
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else "?"
        LOG.error("an answer failed: %s at %s", type(error).__name__, place)
        raise DataError("it failed; the terminal of the server tells where") from None


def _examples(folder: Path) -> dict[str, Path]:
    """Make stand-in clips with the landmarks that models of the stand-in look for; return them by title."""
    (folder / "landmarks").mkdir(parents=True, exist_ok=True)
    found = {}
    for title, name in EXAMPLES.items():
        film, landmarks = make_clip(name, SEED)
        path = folder / f"{name}.mp4"
        path.write_bytes(film)
        (folder / "landmarks" / f"{name}.csv").write_bytes(landmarks)
        found[f"SYNTHETIC, {title}"] = path
    return found
