"""The one loop from a raw corpus to a store: catalogue x recipe, resumable, parallel, every entry accounted for."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.cores import usable_cores
from datamodules.entries import SPLITS, Catalogue, Entry
from datamodules.errors import DataError, Stopped, UnusableError
from datamodules.reading.files import hash_of
from datamodules.reading.plain_json import parse_json
from datamodules.reading.tables import table_text
from datamodules.recipe import Recipe
from datamodules.sinks.base import Filled, StoreSink
from datamodules.store.decoding import jobs_of
from datamodules.store.making import Prepared, Views, complete, prepare_job
from datamodules.store.parallel import ordered
from datamodules.store.plan import MISSING, Plan, plan
from datamodules.store.preview import write_contact_sheet
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter
from datamodules.views.base import EntryView, MediaView
from datamodules.views.tokens import TokenIds
from error_texts import first_names

SCHEMA = 2
TEXTS_A_JOB = 512  # entries of which nothing is decoded


def prepare(
    catalogue: Catalogue,
    recipe: Recipe,
    source: Path,
    out: Path | None = None,
    *,
    workers: int | None = None,
    max_skipped: int = 0,
    preview: Path | None = None,
) -> Store:
    """Prepare a raw corpus, or resume a stopped preparation; print how much was used, skipped and ignored.

    Args:
        catalogue: How the source is laid out.
        recipe: What is kept of every entry.
        source: The raw folder.
        out: Folder of the corpus; ``data/<corpus>`` where not given, of a stand-in ``data/synthetic/<corpus>``.
        workers: Processes; all cores where not given.
        max_skipped: How many unusable entries are accepted.
        preview: Where a contact sheet of the pictures goes.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
        UnusableError: More than `max_skipped` entries, or all, cannot be used.
        Stopped: It was interrupted.
    """
    began = time.monotonic()
    for option, value, least in (("workers", workers, 1), ("max-skipped", max_skipped, 0)):
        if value is not None and value < least:
            raise DataError(f"--{option} {value}: at least {least}")
    todo = plan(catalogue, recipe, source, out)
    if todo.scan.fault:
        _write_beside(todo)
        raise DataError(f"{todo.scan.fault}{_all_in(todo)}")
    shown = [name for name, view in todo.recipe.views.items() if view.preview]
    if preview and not shown:
        raise DataError(f"--preview: no pictures are kept of {source}; leave the option out.")
    told = dict.fromkeys(view.describe_source() for view in todo.recipe.views.values())
    summary = "".join(f", {text}" for text in told if text)
    absent = [name for name in recipe.views if name not in todo.recipe.views]
    summary += f", without the views {', '.join(absent)}" if absent else ""
    print(f"{len(todo.scan.entries)} {catalogue.unit}s{summary}")
    try:
        store = _fill(todo, workers or usable_cores(), max_skipped)
        filled = todo.recipe.sink.finish(todo.out, store)
    except OSError as error:  # a write to a full disk names no file
        error.filename = error.filename or str(todo.folder)
        raise
    _summarise(todo, store, filled, began)
    if preview:
        write_contact_sheet(store, preview, list(todo.scan.classes), shown[0])
        print(f"contact sheet: {preview}")
    return store


def _fill(todo: Plan, workers: int, max_skipped: int) -> Store:
    unit, entries, sink = f"{todo.catalogue.unit}s", todo.scan.entries, todo.recipe.sink
    sink.check(todo.out, entries, todo.arrays)
    dtypes = sink.arrays(todo.arrays)
    writer = StoreWriter(todo.folder, dtypes, todo.settings, todo.synthetic, todo.columns, SCHEMA)
    with closing(writer):
        _write_beside(todo)
        fresh = not writer.complete
        try:
            _write(writer, todo, workers)
        except KeyboardInterrupt:
            raise Stopped(
                f"stopped after {len(writer.done)} of {len(entries)} {unit}; the same command carries on"
            ) from None
        dropped = {entry.id for entry in entries if entry.dropped}
        unusable = [row for row in writer.skipped if row["id"] not in dropped]
        if fresh and len(unusable) > max_skipped:
            without = f", or do without them: --max-skipped {len(unusable)}" if writer.rows else ""
            raise UnusableError(
                f"{len(unusable)} {unit} cannot be used, the first {first_names([unusable[0]['file']])} "
                f"({unusable[0]['reason']}); all are in {writer.write_skipped()}.\n"
                f"Repair or remove them and run again{without}"
            )
        if not writer.rows:
            raise UnusableError(f"none of the {len(entries)} {unit} is left; {writer.write_skipped()} says why")
        used = {row["id"] for row in writer.rows}
        sink.after(todo.source, todo.out, [entry for entry in entries if entry.id in used], todo.arrays)
        if fresh and MISSING in todo.columns:
            _write_missing(todo, writer.rows)
        for name, view in todo.recipe.views.items():
            for file, text in view.kept().items() if fresh else ():
                write_atomic(todo.folder / f"{name}.{file}", text)
        needed = [name for view in todo.recipe.views.values() for name in view.needed()]
        writer.finish({name: version(name) for name in dict.fromkeys([*needed, *sink.packages])})
    return Store(todo.folder)


def _write_beside(todo: Plan) -> None:
    """Write what a catalogue wants beside the store, before anything is decoded."""
    for name, text in todo.scan.beside.items():
        todo.out.mkdir(parents=True, exist_ok=True)
        write_atomic(todo.out / name, text)


def _all_in(todo: Plan) -> str:
    return f"; all are in {todo.out / next(iter(todo.scan.beside))}" if todo.scan.beside else ""


def _write(writer: StoreWriter, todo: Plan, workers: int) -> None:
    entries, unit = todo.scan.entries, todo.catalogue.unit
    known = [entry for entry in entries if entry.id in writer.done]
    paths = sorted({path for entry in known for path in entry.files()})
    with ThreadPoolExecutor() as threads:
        hashes = dict(zip(paths, threads.map(hash_of, paths), strict=True))
    writer.check_sources([entry.id for entry in entries], {entry.id: entry.digest(hashes) for entry in known})
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} {unit}s")
    views, recipe = todo.recipe.views.items(), todo.recipe
    here = {name: view for name, view in views if isinstance(view, EntryView)}
    elsewhere = {name: view for name, view in views if isinstance(view, MediaView)}
    rest = entries[len(writer.done) :]
    text_jobs = [rest[first : first + TEXTS_A_JOB] for first in range(0, len(rest), TEXTS_A_JOB)]
    jobs = jobs_of(rest) if elsewhere else text_jobs
    texts = any(isinstance(view, TokenIds) for view in here.values())
    make = partial(_make, views=elsewhere, optional=recipe.optional, texts=texts, sink=recipe.sink, out=todo.out)
    results = ordered(make, jobs, workers if elsewhere else 1)
    with closing(results), tqdm(total=len(entries), initial=len(writer.done), unit=unit, disable=None) as bar:
        for job, prepared in zip(jobs, results, strict=True):
            complete(job, here, prepared)
            for entry, one in zip(job, prepared, strict=True):
                _record(writer, todo, entry, one)
            bar.update(len(job))


def _make(
    entries: Sequence[Entry], views: Views, optional: tuple[str, ...], texts: bool, sink: StoreSink, out: Path
) -> list[Prepared]:
    """Decode in a worker; what the sink writes there does not travel."""
    return [
        replace(one, arrays=sink.write_files(out, entry, one.arrays)) if one.arrays else one
        for entry, one in zip(entries, prepare_job(entries, views, optional, texts), strict=True)
    ]


def _record(writer: StoreWriter, todo: Plan, entry: Entry, made: Prepared) -> None:
    if made.reason:
        writer.skip(entry.id, entry.name, made.reason, made.sha256)
        return
    columns = {"split": entry.split, MISSING: json.dumps(made.missing) if made.missing else "[]", **entry.columns}
    label = entry.label if made.label is None else made.label
    writer.add(entry.id, entry.group, label, made.arrays, made.sha256, made.padded, columns)


def _write_missing(todo: Plan, rows: Sequence[dict[str, str]]) -> None:
    """Write entry, part, medium, file and reason of everything that an entry had to go without."""
    columns = (todo.catalogue.unit, "utterance", "modality", "file", "reason")
    lacking = ([row["id"], *one] for row in rows for one in parse_json(row[MISSING]))
    write_atomic(todo.folder / "missing.csv", table_text(columns, lacking))


def _missing_files(todo: Plan, store: Store) -> Iterator[str]:
    """Yield how many entries went without a view, and by medium how many files of how many parts could not be used."""
    rows = store.rows if MISSING in todo.columns else []
    lost = Counter((what, bool(part)) for row in rows for part, what, _, _ in parse_json(row[MISSING]))
    pieces = [piece for entry in todo.scan.usable for piece in (entry, *entry.parts)]
    for (what, of_part), count in sorted(lost.items()):
        named = sum(what in piece.media for piece in pieces)
        yield (
            f"{count} of {named} {what} files missing or unusable (missing.csv)"
            if of_part
            else (f"{count} without {what} (missing.csv)")
        )


def _summarise(todo: Plan, store: Store, filled: Filled, began: float) -> None:
    """Print how many entries are used, skipped and ignored, and where the arrays are."""
    unit, counts = f"{todo.catalogue.unit}s", store.manifest["counts"]
    dropped = Counter(entry.dropped for entry in todo.scan.entries if entry.dropped)
    splits = Counter(row["split"] for row in store.rows if row.get("split"))
    summary = f"{counts['used']} {unit} used"
    summary += f" ({', '.join(f'{splits[name]} {name}' for name in SPLITS)})" if splits else ""
    summary += f", {counts['skipped'] - dropped.total()} skipped"
    summary += f", {counts['padded']} padded" if counts["padded"] else ""
    summary += "".join(f", {count} left out: {reason}" for reason, count in sorted(dropped.items()))
    summary += "".join(f", {count} {what} ignored" for what, count in sorted(todo.scan.ignored.items()))
    summary += "".join(f", {text}" for text in _missing_files(todo, store))
    summary += "".join(f", {text}" for name, view in todo.recipe.views.items() if (text := view.summarise(name, store)))
    print(f"{summary}; {filled.summary(time.monotonic() - began)}")
