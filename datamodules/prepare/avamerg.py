"""AvaMERG (Zhang et al. 2025, https://arxiv.org/abs/2502.04976): manifests and media -> one store.

Every wav and mp4 that a manifest names is looked for. One that is missing or does not decode leaves its utterance
without that modality and stands in ``prepared/missing.csv``; nothing is filled in.
"""

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.avamerg_manifest import ATTRIBUTES, ROLES, Dialogue, Media, read_manifests
from datamodules.emotion_labels import KNOWN
from datamodules.frames import to_rgb
from datamodules.matches import tell_unmatched
from datamodules.media import read_clip, spread
from datamodules.media_file import MediaError
from datamodules.parallel import ordered
from datamodules.plain_json import parse_json
from datamodules.prepare._fill import check_common, corpus_root, fill
from datamodules.store import DataError, Store, is_stand_in, plain, sha256_file
from datamodules.store_writer import StoreWriter
from datamodules.tokens import Tokens

CORPUS = "avamerg"
RATE = 16_000
TOKENIZER = "bert-base-uncased"
ARRAYS = {
    "text": "i32",  # (u, L) token ids
    "context": "i32",  # (L')
    "chain": "i32",  # (L') of context and chain of empathy together
    "role": "u8",  # (u,) from 1, in the order of ROLES
    "audio": "i16",  # all utterances one after the other
    "audio_end": "i32",  # (u,) where each ends; one without sound ends where it begins
    "video": "u8",  # (v, T, S, S, 3) of the utterances that have one
    "video_seen": "u8",  # (u,)
}
COLUMNS = ("split", "emotion", "topic", *(f"{who}_{name}" for who in ("speaker", "listener") for name in ATTRIBUTES))


@dataclass(frozen=True)
class Settings:
    """What decides the bytes of the media."""

    frames: int
    size: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """The media of one conversation.

    Attributes:
        audio: int16 ``(n,)`` per utterance, 16 kHz mono, empty where there is none.
        video: uint8 ``(T, S, S, 3)`` per utterance, None where there is none.
        missing: Index of the utterance, modality, file and reason of what could not be used.
        sha256: Hash of the conversation and of the files that were there.
    """

    audio: list[np.ndarray]
    video: list[np.ndarray | None]
    missing: list[tuple[str, str, str, str]]
    sha256: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what is special to this corpus."""
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        help="folder of a transformers tokenizer, package:NAME/FOLDER or a name on the hub (default: DIR/tokenizer if "
        f"there, else {TOKENIZER})",
    )
    parser.add_argument("--text-tokens", type=int, metavar="N", help="ids of an utterance (default: 128; stand-in 32)")
    parser.add_argument("--context-tokens", type=int, metavar="N", help="ids of a context (default: 256; stand-in 48)")
    parser.add_argument("--frames", type=int, metavar="N", help="frames of an utterance (default: 8; stand-in 4)")
    parser.add_argument("--size", type=int, metavar="N", help="side of a frame in pixels (default: 224; stand-in 32)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="longest audio kept (default: 10)")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable conversations")


def source_hash(dialogue: Dialogue, media: Media) -> str:
    """Hash of a conversation and, where it is used, of its media files in order."""
    if dialogue.problem or dialogue.dropped:
        return dialogue.sha256
    digest = hashlib.sha256(dialogue.sha256.encode())
    for one in dialogue.utterances:
        for named in (one.audio, one.video):
            path, content = media.find(named)[0], ""
            with contextlib.suppress(OSError):  # unreadable: `read_media` says why
                content = sha256_file(path) if path else ""
            digest.update(f"{content}\n".encode())
    return digest.hexdigest()


def read_media(dialogue: Dialogue, media: Media, settings: Settings) -> Found:
    """Decodes what a conversation has."""
    audio: list[np.ndarray] = []
    video: list[np.ndarray | None] = []
    missing: list[tuple[str, str, str, str]] = []
    for one in dialogue.utterances if not (dialogue.problem or dialogue.dropped) else ():
        sound, film = np.empty(0, np.int16), None
        path, reason = media.find(one.audio)
        if path:
            try:
                sound = read_clip(path, rates=(RATE,)).waves[RATE][: round(settings.seconds * RATE)]
                reason = "" if sound.any() else "silent"
            except MediaError as error:
                reason = error.reason
        if reason:
            sound = np.empty(0, np.int16)
        if reason and one.audio:
            missing.append((str(one.index), "audio", plain(one.audio), reason))
        path, reason = media.find(one.video)
        if path:
            try:
                shown = read_clip(path, spread(settings.frames)).frames
                film = np.stack([to_rgb(frame, squash=settings.size) for frame in shown])
            except MediaError as error:
                reason = error.reason
        if reason and one.video:
            missing.append((str(one.index), "video", plain(one.video), reason))
        audio.append(sound)
        video.append(film)
    return Found(audio, video, missing, source_hash(dialogue, media))


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    began = time.monotonic()
    if not args.source.is_dir():
        raise DataError(f"--source {args.source}: no such folder; docs/data.md says what it holds")
    synthetic = is_stand_in(args.source, CORPUS)
    defaults = (32, 48, 4, 32) if synthetic else (128, 256, 8, 224)
    asked = (args.text_tokens, args.context_tokens, args.frames, args.size)
    text, context, frames, size = (
        own if own is not None else usual for own, usual in zip(asked, defaults, strict=True)
    )
    for name, value, least in (("text-tokens", text, 4), ("context-tokens", context, 4), ("frames", frames, 1),
                               ("size", size, 8), ("seconds", args.seconds, 0.1)):  # fmt: skip
        if value < least:
            raise DataError(f"--{name} {value}: at least {least}")
    check_common(args)
    dialogues = read_manifests(args.source)
    media = Media.under(args.source)
    own = args.source / "tokenizer"
    tokens = Tokens(args.tokenizer or (str(own) if own.is_dir() else TOKENIZER))
    settings = Settings(frames, size, args.seconds)
    recorded = {**vars(settings), "text_tokens": text, "context_tokens": context, "rate": RATE}
    recorded["tokenizer"] = tokens.settings
    root = corpus_root(args, CORPUS, synthetic=synthetic)
    print(f"{len(dialogues)} conversations, {sum(map(len, media.by_name.values()))} media files")
    named = any(said.audio or said.video for one in dialogues for said in one.utterances)
    if named and not any(media.by_name.values()):
        print(
            f"warning: --source {args.source}: none of the media files that its manifests name; text alone is kept",
            file=sys.stderr,
        )
    used = {media.find(name)[0] for one in dialogues for said in one.utterances for name in (said.audio, said.video)}
    found, there = (
        {path.relative_to(args.source).as_posix() for path in paths if path}
        for paths in (used, [path for paths in media.by_name.values() for path in paths])
    )
    tell_unmatched(str(args.source), found, there, "file", "conversation")
    writer = StoreWriter(root / "prepared", ARRAYS, recorded, synthetic, columns=(*COLUMNS, "missing"))
    dropped = {one.id for one in dialogues if one.dropped}
    workers = args.workers or os.cpu_count() or 1
    write = partial(_write, writer, dialogues, media, settings, tokens, (text, context), workers)
    code = fill(
        writer,
        write,
        args,
        len(dialogues),
        "conversations",
        ("av", "numpy", "transformers", "tokenizers"),
        left_out=dropped,
        last=lambda: write_missing(writer.folder / "missing.csv", writer.rows),
    )
    if code:
        return code
    unusable = [row for row in writer.skipped if row["id"] not in dropped]
    _summary(Store(root / "prepared"), dialogues, len(unusable), time.monotonic() - began)
    return 0


def _write(
    writer: StoreWriter,
    dialogues: Sequence[Dialogue],
    media: Media,
    settings: Settings,
    tokens: Tokens,
    lengths: tuple[int, int],
    workers: int,
) -> None:
    known = [one for one in dialogues if one.id in writer.done]
    writer.check_sources([one.id for one in dialogues], {one.id: source_hash(one, media) for one in known})
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} conversations")
    todo = dialogues[len(writer.done) :]
    results = ordered(partial(read_media, media=media, settings=settings), todo, workers)
    with (
        contextlib.closing(results),
        tqdm(total=len(dialogues), initial=len(writer.done), unit="dialogue", disable=None) as bar,
    ):
        for one, found in zip(todo, results, strict=True):
            if reason := one.problem or one.dropped:
                writer.skip(one.id, f"{one.split}.json: {one.id}", reason, found.sha256)
            else:
                columns = {"split": one.split, "emotion": one.emotion, "topic": one.topic, **one.profiles}
                columns["missing"] = json.dumps(found.missing)
                arrays = _arrays(one, found, tokens, lengths, (settings.frames, settings.size))
                writer.add(one.id, one.id, KNOWN.index(one.emotion), arrays, found.sha256, columns=columns)
            bar.update()


def _arrays(
    one: Dialogue, found: Found, tokens: Tokens, lengths: tuple[int, int], shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    frames, size = shape
    films = [film for film in found.video if film is not None]
    ends = np.cumsum([len(sound) for sound in found.audio])
    return {
        "text": tokens([said.text for said in one.utterances], lengths[0]),
        "context": tokens([one.context], lengths[1])[0],
        "chain": tokens([tokens.joined([one.context, *one.chain])], lengths[1])[0],
        "role": np.array([ROLES.index(said.role) + 1 for said in one.utterances], np.uint8),
        "audio": np.concatenate(found.audio),
        "audio_end": ends.astype(np.int32),
        "video": np.stack(films) if films else np.empty((0, frames, size, size, 3), np.uint8),
        "video_seen": np.array([film is not None for film in found.video], np.uint8),
    }


def write_missing(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Writes conversation, utterance, modality, file and reason of all media that could not be used."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["conversation", "utterance", "modality", "file", "reason"])
    for row in rows:
        writer.writerows([row["id"], *entry] for entry in parse_json(row["missing"]))
    write_atomic(path, text.getvalue())


def _summary(store: Store, dialogues: Sequence[Dialogue], unusable: int, seconds: float) -> None:
    splits = ", ".join(f"{sum(row['split'] == name for row in store.rows)} {name}" for name in ("train", "val", "test"))
    dropped = Counter(one.dropped for one in dialogues if one.dropped)
    said = f"{len(store)} conversations used ({splits}), {unusable} unusable"
    said += "".join(f", {count} dropped ({reason})" for reason, count in sorted(dropped.items()))
    named = [said for one in dialogues for said in one.utterances if not (one.problem or one.dropped)]
    lost = Counter(modality for row in store.rows for _, modality, _, _ in parse_json(row["missing"]))
    said += "".join(
        f"; {lost[name]} of {sum(bool(getattr(one, name)) for one in named)} {name} files missing or unusable"
        for name in ("audio", "video")
    )
    print(
        f"{said}, all in {store.folder / 'missing.csv'}; {seconds:.0f} s; fingerprint {store.fingerprint[:12]}"
        f"{' (SYNTHETIC)' * store.synthetic}; {store.folder}"
    )
