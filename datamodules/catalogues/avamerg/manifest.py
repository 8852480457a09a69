"""The manifests of AvaMERG: JSON lists of conversations up to the turn whose emotion is asked for."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.catalogues.avamerg.media_files import MediaFiles
from datamodules.entries import ROLES, Entry
from datamodules.errors import DataError
from datamodules.reading.emotion_labels import CLASSLESS, KNOWN, canonical
from datamodules.reading.files import check_regular, plain
from datamodules.reading.plain_json import parse_json

ATTRIBUTES = ("age", "gender", "timbre", "id")
_EMPTY = ("[EMPTY]", "[NO CONTEXT]")  # what the authors' code writes for no text
_CHAIN = ("event_scenario", "emotion_cause", "goal_to_response")


@dataclass(frozen=True)
class ManifestEntry:
    """One conversation of a manifest.

    Attributes:
        entry: The conversation.
        sha256: Hash of it as the manifest has it.
        where: Manifest and number, for messages.
    """

    entry: Entry
    sha256: str
    where: str

    @property
    def content(self) -> dict[str, str]:
        """The fields that must be equal where a conversation is listed twice."""
        emotion, context = self.entry.columns.get("emotion", ""), str(self.entry.texts.get("context", ""))
        return {"emotion": emotion, "context": context, "hash": self.sha256}


def read_manifest(path: Path, split: str, files: MediaFiles) -> list[ManifestEntry]:
    """Return the conversations of a manifest, in order.

    Args:
        path: The manifest.
        split: That they belong to; empty where one manifest holds all.
        files: The media files of the source.

    Raises:
        DataError: It cannot be read, is empty, not as expected, or names an unknown emotion.
    """
    try:
        check_regular(path)
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); get the file anew") from None
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of conversations; docs/data.md shows the layout")
    if not content:
        raise DataError(f"{path}: no conversation in it; get the file anew")
    found = []
    for number, record in enumerate(content):
        where = f"{path}, conversation {number}"
        try:
            found.append(_conversation(record, split, where, files))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{where}: not as expected ({what}); docs/data.md shows the layout") from None
    return found


def _conversation(record: Any, split: str, where: str, files: MediaFiles) -> ManifestEntry:
    name, turn = str(record["conversation_id"]).strip(), record["turn"]
    sha256 = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can escape what no text can hold
        problem = "a text holds half of a surrogate pair"
        return ManifestEntry(Entry(plain(name), split=split, problem=problem), sha256, plain(where))
    where = f"{where} ({name})"
    chain = turn.get("chain_of_empathy") or {}
    word = str(chain.get("speaker_emotion") or "").strip()
    emotion = canonical(word, where) if word else ""
    dropped = f"{word} has no class" if emotion in CLASSLESS else "" if word else "it has no emotion"
    entry = Entry(
        name,
        texts={"context": _text(turn.get("context")), "chain": tuple(_text(chain.get(key)) for key in _CHAIN)},
        labels={"emotion": KNOWN.index(emotion)} if emotion else {},
        split=split,
        columns={"emotion": emotion, "topic": str(record.get("topic") or "").strip(), **_profiles(record)},
        parts=tuple(_utterance(one, where, files) for one in turn["dialogue"]),
        problem="" if turn["dialogue"] else "it has no utterance",
        dropped=dropped,
    )
    return ManifestEntry(entry, sha256, where)


def _profiles(record: Any) -> dict[str, str]:
    """Return ``speaker_age``, ..., ``listener_id``; empty where not known."""
    profiles = {}
    for who in ("speaker", "listener"):
        given = {str(key).lower(): value for key, value in (record.get(f"{who}_profile") or {}).items()}
        for attribute in ATTRIBUTES:
            value = given.get(attribute)
            profiles[f"{who}_{attribute}"] = "" if value is None else str(value).strip().lower()
    return profiles


def _text(value: Any) -> str:
    text = str(value or "").strip()
    return "" if text in _EMPTY else text


def _utterance(record: Any, where: str, files: MediaFiles) -> Entry:
    role = str(record["role"])
    if role not in ROLES:
        raise DataError(f"{where}: role {role!r} is not one of {', '.join(ROLES)}")
    sound = str(record.get("audio_path") or record.get("audio_name") or "")
    film = str(record.get("video_path") or record.get("video_name") or "")
    # The video manifests are the audio manifests with other names: either tells where both should be.
    sound = sound or film.replace("video", "audio").removesuffix(".mp4") + ".wav" * bool(film)
    film = film or sound.replace("audio", "video").removesuffix(".wav") + ".mp4" * bool(sound)
    media = {key: files.medium(named) for key, named in (("audio", sound), ("video", film)) if named}
    return Entry(str(int(record["index"])), media=media, texts={"role": role, "text": _text(record.get("text"))})
