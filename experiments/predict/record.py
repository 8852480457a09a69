"""Answers as they come, so that a command that was killed carries on after the last of them."""

import json
from pathlib import Path
from typing import Any

from atomic_files import write_atomic
from datamodules.errors import DataError
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.clips import Row
from experiments.predict.out_folder import unwritable

NAME = ".answers.jsonl"


class Record:
    """The answers of a folder, one a line, behind the digest of the model that gave them.

    Args:
        folder: Where they are written.
        model: Digest of the checkpoint.

    Raises:
        DataError: The folder holds answers of another model, or cannot be written.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
            whole = [line for line in lines if line.endswith("\n")]  # the last may have been cut short
            if whole and _parsed(whole[0]).get("model") != model:
                raise DataError(f"--out {folder} holds the answers of another model; name another folder")
            for line in whole[1:]:
                if asked := (found := _parsed(line)).get("asked"):
                    self.known[asked] = found["answer"]
            write_atomic(path, "".join(whole) or json.dumps({"model": model}) + "\n")
            self.file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise unwritable(folder, error) from None

    def __enter__(self) -> "Record":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.file.close()

    def find(self, row: Row) -> Answer | None:
        """Return the answer about a clip, if there is one and no file of it has changed since."""
        found = self.known.get(question(row))
        return Answer(**{**found, "over_time": tuple(found["over_time"])}) if found else None

    def add(self, row: Row, answer: Answer) -> None:
        """Keep an answer."""
        self.file.write(json.dumps({"asked": question(row), "answer": answer.to_dict()}) + "\n")
        self.file.flush()


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def question(row: Row) -> str:
    """Return what is asked, with size and time of its files."""
    given = row.get("features", {})
    files = [one.get(name) for one in (row, *row.get("dialogue", ())) for name in ("file", "audio")]
    files += [str(of).partition(":")[0] for of in given.values()]
    states = [(stat.st_size, stat.st_mtime_ns) for file in files if (stat := _stat(file))]
    return json.dumps([sorted((name, str(value)) for name, value in row.items()), states])


def _stat(path: Any) -> Any:
    try:
        return Path(path).stat() if path else None
    except OSError:
        return None
