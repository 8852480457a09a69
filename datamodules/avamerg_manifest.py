"""Reads the manifests of AvaMERG: conversations with their media and the profiles of the two who talk."""

import hashlib
import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from datamodules.emotion_labels import CLASSLESS, canonical
from datamodules.plain_json import parse_json
from datamodules.store import DataError, check_regular, plain
from datamodules.tables import settle

SPLITS = ("train", "val", "test")
ROLES = ("speaker", "listener", "listener_response")
ATTRIBUTES = ("age", "gender", "timbre", "id")
SHARES, SEED = (0.6, 0.2), 42  # train and test; the rest validates: how the authors' code splits one manifest
_EMPTY = ("[EMPTY]", "[NO CONTEXT]")  # what the authors' code writes for no text


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Attributes:
        index: Its number in the conversation.
        role: One of `ROLES`; the response comes after the label's turn.
        text: What is said, empty where nothing is known.
        audio: Path or name of the wav as the manifest has it, empty where it names none.
        video: Likewise of the mp4.
    """

    index: int
    role: str
    text: str
    audio: str
    video: str


@dataclass(frozen=True)
class Dialogue:
    """One conversation up to its last turn.

    Attributes:
        id: Its name.
        split: train, val or test.
        emotion: One of `emotion_labels.KNOWN`.
        context: What happened, in a sentence or two.
        chain: What a language model wrote about the emotion, its cause and the goal of the answer: it names the label.
        topic: Of the conversation.
        profiles: ``speaker_age``, ..., ``listener_id``; empty where not known.
        utterances: In order.
        sha256: Hash of the conversation as the manifest has it.
        problem: Why it cannot be used; empty where it can.
        dropped: Why there is no class for it; empty where there is one.
        where: Manifest and number, for messages.
    """

    id: str
    split: str
    emotion: str
    context: str
    chain: tuple[str, ...]
    topic: str
    profiles: dict[str, str]
    utterances: tuple[Utterance, ...]
    sha256: str
    problem: str = ""
    dropped: str = ""
    where: str = ""


@dataclass
class Media:
    """Where the files of a source folder lie; manifests name them by paths of another machine.

    Attributes:
        folder: The source folder.
        by_name: Paths by file name.
    """

    folder: Path
    by_name: dict[str, list[Path]] = field(default_factory=dict)

    @classmethod
    def under(cls, folder: Path) -> "Media":
        """Walks a folder once."""
        media = cls(folder)
        for place, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".wav", ".mp4")):
                    media.by_name.setdefault(name, []).append(Path(place, name))
        return media

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


def read_manifests(folder: Path) -> list[Dialogue]:
    """Reads the manifest of each split, or one manifest that is split 60 / 20 / 20 by conversation.

    Args:
        folder: Holds them, or a folder ``json`` with them; a file belongs to the split that its name has in it.

    Returns:
        The conversations, split by split, in the order of the files.

    Raises:
        DataError: If there is no manifest or more than one for a split, one is empty, not as expected or names an
            unknown emotion, or a conversation is in two splits or there twice and differs.
    """
    paths = [path for place in (folder, folder / "json") for path in sorted(place.glob("*.json"))]
    named = {split: [path for path in paths if split in path.stem.lower()] for split in SPLITS}
    if not paths:
        raise DataError(f"--source {folder}: no .json manifest in it; docs/data.md shows the layout")
    if any(named.values()):
        for split, found in named.items():
            if len(found) != 1:
                names = ", ".join(path.name for path in found) or "none"
                raise DataError(
                    f"--source {folder}: expected one manifest with {split!r} in its name, found {names}.\n"
                    "Audio and video are looked for whichever of the two a manifest names: keep one of them"
                )
        dialogues = [one for split, (path,) in named.items() for one in _read(path, split)]
    elif len(paths) == 1:
        dialogues = _drawn(_read(paths[0], ""))
    else:
        raise DataError(f"--source {folder}: which of {', '.join(path.name for path in paths)} is the manifest?")
    split_of: dict[str, str] = {}
    known: list[Dialogue] = []
    for one in dialogues:
        if split_of.setdefault(one.id, one.split) != one.split:
            raise DataError(
                f"--source {folder}: conversation {one.id} is in both {split_of[one.id]} and {one.split}; "
                "take it out of one of the manifests"
            )
        known.append(one)
    return _without_repetitions(known)


def _without_repetitions(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    settle(
        (one.id, {"emotion": one.emotion, "context": one.context, "hash": one.sha256}, one.where) for one in dialogues
    )
    times: dict[str, int] = {}
    kept = []
    for one in dialogues:
        times[one.id] = times.get(one.id, 0) + 1
        if times[one.id] > 1:
            one = replace(one, id=f"{one.id}#{times[one.id]}", problem=f"conversation {one.id} was there before")
        kept.append(one)
    return kept


def _drawn(dialogues: list[Dialogue]) -> list[Dialogue]:
    names = sorted({one.id for one in dialogues})
    random.Random(SEED).shuffle(names)
    train, test = (int(share * len(names)) for share in SHARES)
    split = dict.fromkeys(names, "val") | dict.fromkeys(names[:train], "train")
    split |= dict.fromkeys(names[train : train + test], "test")
    return [replace(one, split=split[one.id]) for one in dialogues]


def _read(path: Path, split: str) -> list[Dialogue]:
    try:
        check_regular(path)
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); get the file anew") from None
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of conversations; docs/data.md shows the layout")
    if not content:
        raise DataError(f"{path}: no conversation in it; get the file anew")
    dialogues = []
    for number, entry in enumerate(content):
        try:
            dialogues.append(_dialogue(entry, split, f"{path}, conversation {number}"))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{path}, conversation {number}: not as expected ({what}); docs/data.md shows the layout"
            ) from None
    return dialogues


def _dialogue(entry: Any, split: str, where: str) -> Dialogue:
    name, turn = str(entry["conversation_id"]).strip(), entry["turn"]
    sha256 = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can escape what no text can hold
        reason = "a text holds half of a surrogate pair"
        return Dialogue(plain(name), split, "", "", (), "", {}, (), sha256, problem=reason, where=plain(where))
    where = f"{where} ({name})"
    chain = turn.get("chain_of_empathy") or {}
    word, dropped, emotion = str(chain.get("speaker_emotion") or "").strip(), "", ""
    if not word:
        dropped = "it has no emotion"
    else:
        emotion = canonical(word, where)
        if emotion in CLASSLESS:
            dropped = f"{word} has no class"
    profiles = {}
    for who in ("speaker", "listener"):
        given = {str(key).lower(): value for key, value in (entry.get(f"{who}_profile") or {}).items()}
        for attribute in ATTRIBUTES:
            value = given.get(attribute)
            profiles[f"{who}_{attribute}"] = "" if value is None else str(value).strip().lower()
    return Dialogue(
        id=name,
        split=split,
        emotion=emotion,
        context=_text(turn.get("context")),
        chain=tuple(_text(chain.get(key)) for key in ("event_scenario", "emotion_cause", "goal_to_response")),
        topic=str(entry.get("topic") or "").strip(),
        profiles=profiles,
        utterances=tuple(_utterance(one, where) for one in turn["dialogue"]),
        sha256=sha256,
        dropped=dropped,
        problem="" if turn["dialogue"] else "it has no utterance",
        where=where,
    )


def _text(value: Any) -> str:
    text = str(value or "").strip()
    return "" if text in _EMPTY else text


def _utterance(entry: Any, where: str) -> Utterance:
    role = str(entry["role"])
    if role not in ROLES:
        raise DataError(f"{where}: role {role!r} is not one of {', '.join(ROLES)}")
    sound = str(entry.get("audio_path") or entry.get("audio_name") or "")
    film = str(entry.get("video_path") or entry.get("video_name") or "")
    # The video manifests are the audio manifests with other names: either tells where both should be.
    sound = sound or film.replace("video", "audio").removesuffix(".mp4") + ".wav" * bool(film)
    film = film or sound.replace("audio", "video").removesuffix(".wav") + ".mp4" * bool(sound)
    return Utterance(int(entry["index"]), role, _text(entry.get("text")), sound, film)
