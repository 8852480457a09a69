"""What the files of a store or a run hold, and how the equivalence net compares two of them."""

import csv
import fnmatch
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Facts = dict[str, str]
UNCOMPARED = {"manifest.json", "checksums.json", "COMPLETE", "lock"}  # fingerprints, versions, digests of the rest


class FailedError(Exception):
    """A command that did not end well: the last line of what it said."""


# --- what files hold --------------------------------------------------------------------------------------------------


def digest(content: bytes) -> str:
    """A short name of some bytes."""
    return hashlib.sha256(content).hexdigest()


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of nested containers by dotted name, in order."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors(item, f"{name}.{key}" if name else str(key))


def of_tensors(path: Path, section: str | None = None) -> tuple[str, str]:
    """Names, types and shapes of a ``.pt`` file's tensors in order, a line each; and digests of their values."""
    content = torch.load(path, map_location="cpu", weights_only=section is None)  # our own files, made a minute ago
    named = list(tensors(content[section] if section else content))
    if not named and section is None:
        return repr(content), repr(content)
    shapes = [f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in named]
    raw = [tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for _, tensor in named]
    return "\n".join(shapes), "\n".join(f"{n} {digest(r)}" for (n, _), r in zip(named, raw, strict=True))


def columns(text: str, drop: Callable[[str], bool]) -> str:
    """A table without some of its columns."""
    rows = list(csv.reader(io.StringIO(text)))
    keep = [at for at, name in enumerate(rows[0]) if not drop(name)] if rows else []
    return "\n".join(",".join(row[at] for at in keep if at < len(row)) for row in rows)


def raw_files(root: Path) -> Facts:
    """Digest of every file of a folder."""
    return {str(p.relative_to(root)): digest(p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()}


def prepared_files(root: Path, raw: Facts) -> dict[str, Facts]:
    """What a preparation wrote: arrays, tables, and the digests of sources that the tables hold."""
    found: dict[str, Facts] = {"arrays": {}, "tables": {}, "source digests": {}}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        kept_by_fits = name.startswith("embeddings/")  # of frozen encoders, there after a fit alone
        if not path.is_file() or path.name in UNCOMPARED or name in raw or name.endswith(".lock") or kept_by_fits:
            continue
        if path.suffix == ".pt":
            found["arrays"][name] = "\n".join(of_tensors(path))
        elif path.suffix in (".csv", ".txt"):
            text = path.read_text()
            found["tables"][name] = columns(text, lambda column: "sha256" in column)
            if "sha256" in text.split("\n", 1)[0]:
                found["source digests"][name] = columns(text, lambda column: column != "id" and "sha256" not in column)
        else:
            found["arrays"][name] = digest(path.read_bytes())
    return found


def of_run(folder: Path) -> dict[str, Facts]:
    """What a run computed."""
    result, request = (json.loads((folder / name).read_text()) for name in ("result.json", "request.json"))
    metrics = (folder / "metrics.csv").read_text() if (folder / "metrics.csv").exists() else ""
    for name in ("data", "needs"):  # fingerprints of stores, which may change, are in them
        request.pop(name, None)
    found: dict[str, Facts] = {
        "predictions": {path.name: path.read_text() for path in sorted(folder.glob("predictions-*.csv"))},
        "metrics": {"metrics.csv": columns(metrics, lambda name: "seconds" in name)},
        "result": {
            name: json.dumps(result[name])
            for name in ("parameters", "class_names", "group_name", "corpus", "synthetic", "selections", "leaked")
        }
        | {name: str(result[name]) for name in ("n_train", "n_val", "n_test")},
        "request": {"request.json": json.dumps(request, indent=1, sort_keys=True)},
        "state dict": {},
        "weights": {},
    }
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        found["state dict"][path.name], found["weights"][path.name] = of_tensors(path, "state_dict")
    return found


# --- comparing --------------------------------------------------------------------------------------------------------


@dataclass
class Verdicts:
    """Lines of the report, printed as they come."""

    expected: Mapping[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def say(self, verdict: str, what: str, detail: str) -> None:
        """Prints and counts one line."""
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        print(f"{verdict:8} {what}{f': {detail}' if detail else ''}", flush=True)

    def compare(self, what: str, before: Facts | FailedError, after: Facts | FailedError) -> None:
        """Compares what the baseline has with what this tree has."""
        if difference := first_difference(before, after):
            patterns = [pattern for pattern in self.expected if fnmatch.fnmatchcase(what, pattern)]
            self.met.update(patterns)
            reason = f" (expected: {self.expected[patterns[0]]})" if patterns else ""
            self.say("expected" if patterns else "DIFFERS", what, difference + reason)
        else:
            self.say("equal", what, f"{len(before)} files or values" if isinstance(before, dict) else "")

    def compare_kinds(self, what: str, before: Any, after: Any, kinds: Sequence[str] = ()) -> None:
        """Compares kind by kind; where a side failed, all in one."""
        if isinstance(before, FailedError) or isinstance(after, FailedError):
            self.compare(what, before, after)
            return
        for kind in kinds or dict.fromkeys([*before, *after]):
            if before.get(kind) or after.get(kind):
                self.compare(f"{what}: {kind}", before.get(kind, {}), after.get(kind, {}))


def first_difference(before: Facts | FailedError, after: Facts | FailedError) -> str:
    """Where two sides differ first; empty where they are equal. Nothing on both sides is no equality."""
    failed = [f"{name}: {of}" for name, of in (("baseline", before), ("here", after)) if isinstance(of, FailedError)]
    if isinstance(before, FailedError) or isinstance(after, FailedError):
        return "; ".join(failed)
    if not before and not after:
        return "nothing to compare"
    for name in dict.fromkeys([*before, *after]):
        if name not in after or name not in before:
            return f"{name} is missing {'here' if name in before else 'in the baseline'}"
        old, new = before[name].split("\n"), after[name].split("\n")
        for number, (was, now) in enumerate(zip(old, new, strict=False), start=1):
            if was != now:
                return f"{name}, line {number}: {was[:160]!r} became {now[:160]!r}"
        if len(old) != len(new):
            return f"{name}: {len(old)} lines became {len(new)}"
    return ""
