"""Compares this working tree with an earlier commit: what is computed must be the same. CONTRIBUTING.md tells how.

    .venv/bin/python tests/equivalence.py --baseline COMMIT --work DIR

Both trees are driven through ``cli.py`` alone, on one machine, one thread a process, no GPU. What is not compared:
fingerprints and manifests of stores, ``config.yaml``, plots, FLOPs, times, HTML. Do not edit the tree while it runs.
"""

import argparse
import contextlib
import graphlib
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import yaml
from equivalence_facts import (
    Facts,
    FailedError,
    Verdicts,
    digest,
    first_difference,
    of_run,
    of_tensors,
    prepared_files,
    raw_files,
)
from filelock import FileLock, Timeout
from PIL import Image

HERE = Path(__file__).resolve().parents[1]

# Options of a variant below as a later tree spells them, by its name; used where --help no longer names the old ones.
LATER: dict[str, str] = {
    "avamerg-small": "--views.video.frames 2 --views.video.size 16 --views.audio.seconds 1 --views.text.tokens 8 "
    "--views.text.context_tokens 16",
    "empathetic-turns": "--views.text.text turns --views.text.tokens 16",
    "ravdess-paper": "--views.video.crop squashed --views.video.rows paper --views.video.size 32 "
    "--views.wave.rate 16000",
    "ravdess-detector": "--views.video.face detector --views.video.size 32 --views.video.margin 0.2 --max-skipped 96",
    "ravdess-whole": "--views.video.face none --views.video.size 32",
    "faces-small": "--views.face.size 32 --views.face.margin 20",
    "daisee-face": "--views.people.parts [face] --views.people.face_size 32 --views.people.face_margin 0",
    "noxi-body": "--views.people.parts '[body, joints]' --views.people.body_size 32 "
    "--views.people.body_margin '[10, 20]'",
    "vgaf-75": "--views.img.frames 75 --views.spec.segments '[5, 75]' --views.img.fit letterbox "
    "--views.img.dtype float32",
}
# Clips of a stand-in, small enough for two cores; of any other corpus as many as its table asks for.
CLIPS = {"avamerg": 40, "daisee": 9, "empathetic": 160, "faces": 120, "noxi": 6, "ravdess": 96, "ravdess_features": 96}
CLIPS |= {"vgaf": 27, "vgaf_frames": 12}
# Further preparations: corpus, options of a stand-in of its own (None: the one that is there), options of `prepare`.
VARIANTS: dict[str, tuple[str, str | None, str]] = {
    "ravdess-paper": ("ravdess", None, "--crop squashed --landmark-rows paper --size 32 --audio 16000"),
    "ravdess-detector": ("ravdess", None, "--face detector --size 32 --margin 0.2 --max-skipped 96"),
    "ravdess-whole": ("ravdess", None, "--face none --size 32"),
    "vgaf-75": ("vgaf", None, "--frames 75 --fit letterbox --dtype float32"),
    "daisee-face": ("daisee", None, "--parts face --face-size 32 --face-margin 0"),
    "noxi-body": ("noxi", None, "--parts body joints --body-size 32 --body-margin 10 20"),
    "faces-small": ("faces", None, "--size 32 --margin 20"),
    "avamerg-small": ("avamerg", None, "--frames 2 --size 16 --seconds 1 --text-tokens 8 --context-tokens 16"),
    "empathetic-turns": ("empathetic", None, "--level conversation --tokens 16"),
    "empathetic-prompts": ("empathetic", "--form prompts --clips 160", ""),
}
RESUMED = ("ravdess_audio", "emotiw_audio", "empathetic_text", "static_emotion", "engagement_face")
RESUMED_CORPORA = ("ravdess", "vgaf")
RESUMED_EPOCHS = 6
OUTDATED = "were run with other settings"


@dataclass
class Side:
    """One of the two trees and the folder in which its commands are typed.

    Attributes:
        name: For messages.
        code: Its ``cli.py`` lies here.
        folder: Its ``data/`` and ``runs/``; what was done there is not done again.
    """

    name: str
    code: Path
    folder: Path

    def run(self, *words: str, cwd: str = ".", renew: Sequence[str] = (), again: bool = False) -> str:
        """Stdout of a command, run once or again: ``CODE`` is the path of the tree, ``renew`` is removed before."""
        key = hashlib.sha256(json.dumps([words, cwd]).encode()).hexdigest()[:16]
        done = self.folder / "done" / key
        if done.exists() and not again:
            return done.read_text()
        for name in renew:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        process = self.start(*words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, said = process.communicate()
        if process.returncode:
            last = [line for line in said.splitlines() if line.strip()][-1:] or ["(silent)"]
            raise FailedError(f"{shlex.join(words)} ended with {process.returncode}: {last[0]}")
        done.parent.mkdir(exist_ok=True)
        done.write_text(out)
        return out

    def start(self, *words: str, cwd: str = ".", **options: Any) -> subprocess.Popen[str]:
        """Starts a command: one thread, no GPU, no account."""
        (self.folder / cwd).mkdir(parents=True, exist_ok=True)
        quiet = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
        filled = [f"{self.code}/{word[5:]}" if word.startswith("CODE/") else word for word in words]
        command = [sys.executable, str(self.code / "cli.py"), *filled]
        return subprocess.Popen(command, cwd=self.folder / cwd, env=os.environ | quiet, text=True, **options)

    def run_killed(self, *words: str, ready: Callable[[], bool], out: str) -> bool:
        """Whether a command could be killed once it was ready and before it was done; its folder is removed before."""
        shutil.rmtree(self.folder / out, ignore_errors=True)
        silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = self.start(*words, start_new_session=True, **silent)  # its workers are killed with it
        while process.poll() is None and not ready():
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def known(self, command: str) -> list[str]:
        """Corpora that ``synth`` or ``prepare`` knows, as the overview tells."""
        found = re.search(rf"^ +{command} .*\((.*)\)$", self.run("--help"), re.MULTILINE)
        if not found:
            raise FailedError(f"--help of {self.name} does not tell the corpora of {command}")
        return found[1].split(", ")

    def options(self, command: str, corpus: str, name: str, words: str) -> list[str]:
        """Options as this tree spells them."""
        told = set(re.findall(r"--[\w.-]+", self.run(command, corpus, "--help")))
        found = shlex.split(words)
        return (
            found if {word for word in found if word.startswith("--")} <= told else shlex.split(LATER.get(name, words))
        )

    def planned(self) -> dict[str, dict[str, list[str]]]:
        """By corpus, the ``synth`` and ``prepare`` commands that the tables' stand-ins are made by."""
        plans: dict[str, dict[str, list[str]]] = {}
        for table in sorted((self.code / "experiments" / "tables").glob("*.yaml")):
            out = self.run("reproduce", table.stem, "--data", "synthetic", "--dry-run", cwd="empty")
            for line in out.splitlines():
                words = shlex.split(line) if line.startswith("no stand-in at ") else []
                for command in {"synth", "prepare"} & set(words):
                    found = words[words.index(command) :]
                    plans.setdefault(found[1], {}).setdefault(command, found)
        for corpus in self.known("synth"):
            out = f"data/synthetic/{corpus}"
            plan = plans.setdefault(corpus, {"synth": ["synth", corpus, "--out", out]})
            if corpus in self.known("prepare"):
                plan.setdefault("prepare", ["prepare", corpus, "--source", out, "--out", out])
            if corpus in CLIPS:
                plan["synth"] = [*without(plan["synth"], "--clips"), "--clips", str(CLIPS[corpus])]
        return plans


def without(words: Sequence[str], option: str) -> list[str]:
    """Words without an option and its value."""
    at = words.index(option) if option in words else len(words)
    return [*words[:at], *words[at + 2 :]]


@dataclass
class Net:
    """Both sides, what is wanted of them, and the verdicts."""

    baseline: Side
    tree: Side
    only: set[str]
    quick: bool
    verdicts: Verdicts

    def both(self, collect: Callable[[Side], Any]) -> list[Any]:
        """What a function finds on the baseline and here."""
        return at_once(lambda: collect(self.baseline), lambda: collect(self.tree))

    def wanted(self, *names: str) -> bool:
        """Whether any of these was asked for."""
        return not self.only or bool(self.only & set(names))

    # --- stand-ins and stores ---

    def corpora(self, needed: set[str]) -> None:
        """Compares stand-ins and what is prepared from them."""
        old, new = self.baseline.planned(), self.tree.planned()
        for corpus in dict.fromkeys([*old, *new]):
            if not self.wanted(corpus) and corpus not in needed:
                continue
            if corpus not in old:
                self.verdicts.say("new", f"synth {corpus}", "not in the baseline")
                continue
            self.verdicts.compare(f"synth {corpus}", *self.both(lambda side, c=corpus: made(side, c)))
            if "prepare" in old[corpus]:
                found = self.both(lambda side, c=corpus: prepared(side, c))
                self.verdicts.compare_kinds(f"prepare {corpus}", *found)
                if self.wanted(corpus) and corpus in RESUMED_CORPORA and not self.quick:
                    self.resumed_preparation(corpus, found[1])
        for name, (corpus, *_) in VARIANTS.items():
            if self.wanted(corpus, name) and not self.quick:
                self.verdicts.compare_kinds(f"prepare {name}", *self.both(lambda side, n=name: variant(side, n)))

    def resumed_preparation(self, corpus: str, straight: Any) -> None:
        """Compares a preparation that was killed and typed again with the straight one."""
        out, side = f"resumed/{corpus}", self.tree
        if isinstance(straight, FailedError):
            return
        words = [*without(side.planned()[corpus]["prepare"], "--out"), "--out", out]

        def begun() -> bool:
            files = [path for path in (side.folder / out).rglob("*") if path.suffix in (".pt", ".u8", ".i16", ".f32")]
            return any(path.stat().st_size for path in files if path.exists())

        killed = side.run_killed(*words, ready=begun, out=out)
        what = f"prepare {corpus}, killed and resumed"
        try:
            if not killed:
                raise FailedError("it was done before it could be killed")
            side.run(*words, again=True)
            self.verdicts.compare_kinds(what, straight, prepared_files(side.folder / out, {}), ["arrays"])
        except FailedError as error:
            self.verdicts.compare(what, {}, error)

    # --- experiments ---

    def experiments(self, names: Sequence[str]) -> None:
        """Compares runs, what the baseline's checkpoints say here, and runs that were killed."""
        for name in names:
            if not (self.tree.code / overlay(name)).exists():
                self.verdicts.compare(f"fit {name}", {overlay(name): ""}, {})
                continue
            found = self.both(lambda side, n=name: of_run(fitted(side, n)))
            self.verdicts.compare_kinds(f"fit {name}", *found)
            if self.wanted(name, "experiments") and not isinstance(found[0], FailedError):
                self.loaded(name, found[0])
                if name in RESUMED and not (self.quick and name != RESUMED[0]):
                    self.resumed(name)

    def loaded(self, name: str, before: dict[str, Facts]) -> None:
        """Compares what the baseline's checkpoint says here with what it said there."""
        checkpoint = str(fitted(self.baseline, name) / "checkpoints" / "best.ckpt")

        def said(side: Side, command: str) -> Facts:
            out = f"loaded/{command}/{name}"
            place = ["--ckpt_path", checkpoint, "--trainer.default_root_dir", out]
            side.run(command, *configs(name), *place, renew=[out])
            files = {path.name: path.read_text() for path in sorted((side.folder / out).glob("*.csv"))}
            return files | {path.name: "\n".join(of_tensors(path)) for path in (side.folder / out).glob("*.pt")}

        scored = {file: text for file, text in before["predictions"].items() if "last" not in file}
        calls = [lambda: said(self.tree, "test")]
        if not self.quick:
            calls += [lambda: said(self.baseline, "predict"), lambda: said(self.tree, "predict")]
        tested, *predicted = at_once(*calls)
        if isinstance(tested, dict):  # what `fit` said of its selected checkpoint is what `test` says of it
            tested = dict(zip(scored, tested.values(), strict=False))
        self.verdicts.compare(f"checkpoint of the baseline, test {name}", scored, tested)
        if predicted:
            self.verdicts.compare(f"checkpoint of the baseline, predict {name}", *predicted)

    def resumed(self, name: str) -> None:
        """Compares a run of more epochs, validation groups and all, and the same run killed after its first."""
        official = "protocol:" in (self.baseline.code / "experiments" / f"{name}.yaml").read_text()
        words = ["fit", *configs(name), "--trainer.max_epochs", str(RESUMED_EPOCHS)]
        words += [] if official else ["--data.protocol", "honest"]
        words += sources(self.baseline, name)

        def straight(side: Side) -> dict[str, Facts]:
            out = f"straight/{name}"
            side.run(*words, "--trainer.default_root_dir", out, renew=[out])
            return of_run(side.folder / out)

        found = self.both(straight)
        self.verdicts.compare_kinds(f"fit {name}, {RESUMED_EPOCHS} epochs, honest", *found)
        out, side = f"resumed/{name}", self.tree
        place = ["--trainer.default_root_dir", out]
        last = side.folder / out / "checkpoints" / "last.ckpt"
        killed = side.run_killed(*words, *place, ready=last.exists, out=out)
        what = f"fit {name}, killed and resumed"
        try:
            metrics = side.folder / out / "metrics.csv"
            rows = (metrics.read_text().count("\n") - 1 if metrics.exists() else 0) if killed else RESUMED_EPOCHS
            if rows >= RESUMED_EPOCHS:
                raise FailedError("it was done before it could be killed")
            side.run(*words, *place, again=True)
            kinds = ["predictions", "metrics", "result", "weights"]
            what = f"fit {name}, killed after {max(rows, 1)} of {RESUMED_EPOCHS} epochs and resumed"
            self.verdicts.compare_kinds(what, found[1], of_run(side.folder / out), kinds)
        except (FailedError, OSError) as error:
            self.verdicts.compare(what, {}, FailedError(str(error)))

    # --- committed results ---

    def results(self) -> None:
        """Compares tables of committed results, and has the report recompute their request hashes."""
        self.verdicts.compare_kinds("report of docs/results", *self.both(reported))
        self.verdicts.compare_kinds("README", *self.both(readme))
        found = self.both(hashes)
        self.verdicts.compare_kinds("committed request hashes", *found)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What functions find, two at a time; the failure where a command failed or its files are not as they should be."""

    def safely(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FailedError as error:
            return error
        except (OSError, LookupError, ValueError, RuntimeError, StopIteration, UnpicklingError) as error:
            return FailedError(f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(safely, calls))


def overlay(name: str) -> str:
    """Path of an experiment's overlay."""
    return f"experiments/synthetic/{name}.yaml"


def configs(name: str) -> list[str]:
    """The options that name an experiment on its stand-in."""
    return ["--config", f"CODE/experiments/{name}.yaml", "--config", f"CODE/{overlay(name)}"]


def needs(side: Side, name: str) -> set[str]:
    """Experiments whose checkpoints one starts from."""
    files = [side.code / "experiments" / f"{name}.yaml", side.code / overlay(name)]
    return {found for path in files for found in re.findall(r"runs/(?:synthetic/)?(\w+)/\{cell\}", path.read_text())}


def sources(side: Side, name: str) -> list[str]:
    """Options that have a run of any protocol start from the checkpoints there are."""
    given = [
        yaml.safe_load(path.read_text())
        for path in (side.code / "experiments" / f"{name}.yaml", side.code / overlay(name))
    ]
    parts: dict[str, str] = {}
    for content in given:
        parts |= content.get("model", {}).get("init_args", {}).get("init_from") or {}
    words = []
    for part, path in parts.items():
        source = re.findall(r"(\w+)/\{cell\}", path)[0]
        checkpoint = fitted(side, source).relative_to(side.folder) / "checkpoints" / "best.ckpt"
        words += [f"--model.init_from.{part}", str(checkpoint)]
    return words


def made(side: Side, corpus: str, folder: str | None = None, words: Sequence[str] = ()) -> Facts:
    """The files of a stand-in, as they were before anything was prepared."""
    root = side.folder / (folder or f"data/synthetic/{corpus}")
    told = side.folder / "raw" / f"{root.name}.json"
    if not told.exists():
        more = drawn_pictures(side) if corpus == "vgaf_frames" else []
        name = str(root.relative_to(side.folder))
        side.run(*(words or side.planned()[corpus]["synth"]), *more, renew=[name])
        told.parent.mkdir(exist_ok=True)
        told.write_text(json.dumps(raw_files(root)))
    found: Facts = json.loads(told.read_text())
    return found


def drawn_pictures(side: Side) -> list[str]:
    """Backgrounds and cut-out faces for the generator of VGAF's synthetic clips, and the options that name them."""
    rng, root = np.random.default_rng(0), side.folder / "pictures"
    for name, shape, ending in (
        *((f"backgrounds/{place}", (96, 96, 3), "jpg") for place in ("park", "room")),
        *((f"faces/{emotion}", (40, 40, 4), "png") for emotion in ("Positive", "Neutral", "Negative")),
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / name / f"{number}.{ending}")
    options = "--backgrounds pictures/backgrounds --faces pictures/faces --frames-per-video 3"
    options += " --min-faces 2 --max-faces 3"
    return side.options("synth", "vgaf_frames", "vgaf_frames", options)


def prepared(side: Side, corpus: str) -> dict[str, Facts]:
    """What the preparation of the tables' stand-in wrote."""
    raw = made(side, corpus)
    side.run(*side.planned()[corpus]["prepare"])
    return prepared_files(side.folder / "data" / "synthetic" / corpus, raw)


def variant(side: Side, name: str) -> dict[str, Facts]:
    """What a preparation with other options wrote."""
    corpus, synth, options = VARIANTS[name]
    source, out = f"data/synthetic/{corpus}", f"variants/{name}"
    if synth is None:
        made(side, corpus)
    else:
        source = f"variants/{name}-raw"
        made(
            side,
            corpus,
            source,
            ["synth", corpus, "--out", source, *side.options("synth", corpus, f"{name}-raw", synth)],
        )
    words = side.options("prepare", corpus, name, options)
    side.run("prepare", corpus, "--source", source, "--out", out, *words, renew=[out])
    return prepared_files(side.folder / out, {})


def fitted(side: Side, name: str) -> Path:
    """Folder of the run of an experiment: two epochs, or none where it trains nothing."""
    nothing = re.search(r"^  max_epochs: 0\b", (side.code / "experiments" / f"{name}.yaml").read_text(), re.MULTILINE)
    folder = f"runs/synthetic/{name}"
    side.run("fit", *configs(name), "--trainer.max_epochs", "0" if nothing else "2", renew=[folder])
    return next((side.folder / folder).glob("*/result.json")).parent


def reported(side: Side) -> dict[str, Facts]:
    """Markdown and LaTeX of every table, from the committed results."""
    (side.folder / "README.md").write_text((side.code / "README.md").read_text())
    side.run("report", "--results", "CODE/docs/results", "--readme", "README.md", "--out", "report", renew=["report"])
    files = sorted((side.folder / "report").iterdir())
    return {kind: {p.name: p.read_text() for p in files if p.suffix == f".{kind}"} for kind in ("md", "tex")}


def readme(side: Side) -> dict[str, Facts]:
    """The generated blocks of the README as they stand in the tree, and as the report renews them."""
    blocks = re.compile(r"<!-- table:(\w+) -->(.*?)<!-- /table:\1 -->", re.DOTALL)
    own, renewed = (folder.joinpath("README.md").read_text() for folder in (side.code, side.folder))
    if own != renewed:
        raise FailedError(f"report --readme changes it: {first_difference({'README.md': own}, {'README.md': renewed})}")
    return {"generated blocks": dict(blocks.findall(renewed))}


def hashes(side: Side) -> dict[str, Facts]:
    """Rows whose committed request hashes the report finds outdated: none, and each one after a hash was changed."""
    files = sorted((side.code / "docs" / "results").glob("*/*.json"))
    count = sum(path.read_text().count('"request_hash"') for path in files)
    changed = side.folder / "changed"
    for path in files:
        copy = changed / path.relative_to(side.code / "docs" / "results")
        copy.parent.mkdir(parents=True, exist_ok=True)
        other = lambda found: found[1] + ("1" if found[2] == "0" else "0")  # noqa: E731
        copy.write_text(re.sub(r'("request_hash":")(.)', other, path.read_text(), count=1))
    side.run("report", "--results", "changed", "--out", "report-changed", renew=["report-changed"])
    rows = [path.read_text().count(OUTDATED) for path in sorted((side.folder / "report").glob("*.md"))]
    control = [path.read_text().count(OUTDATED) for path in sorted((side.folder / "report-changed").glob("*.md"))]
    if sum(control) != len(files):
        raise FailedError(f"the report notices {sum(control)} of {len(files)} rows with a changed hash")
    if sum(rows):
        raise FailedError(f"the hashes of {sum(rows)} rows are recomputed otherwise")
    return {f"{count} recomputed": {path.stem: path.parent.name for path in files}}


# --- the command line -------------------------------------------------------------------------------------------------


def git(*words: str, **options: Any) -> str:
    """What git says of this repository."""
    return subprocess.run(
        ["git", *words], cwd=HERE, check=True, text=True, stdout=subprocess.PIPE, **options
    ).stdout.strip()


def state_of_tree() -> str:
    """Hash of the working tree, files that git does not know yet included."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"GIT_INDEX_FILE": f"{folder}/index"}
        git("add", "--all", env=env)
        return git("write-tree", env=env)


@contextlib.contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A worktree of a commit in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "baseline"
        git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


def main() -> int:
    """Compares; 0 if all is equal or expected, 1 if something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--baseline", required=True, metavar="COMMIT", help="what this tree is compared with")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="corpora, variants, experiments, results")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep stand-ins and results here for the next time")
    parser.add_argument("--quick", action="store_true", help="no variants, no predict, one resumed run")
    parser.add_argument("--expected", type=Path, metavar="YAML", help="pattern of a line: why it differs")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, commit = time.monotonic(), git("rev-parse", f"{args.baseline}^{{commit}}")
    packages = sorted(f"{of.name} {of.version}" for of in metadata.distributions())
    scripts = [path.read_text() for path in sorted(Path(__file__).parent.glob("equivalence*.py"))]
    setting = digest("\n".join([sys.version, *scripts, *packages]).encode())[:8]
    verdicts = Verdicts(yaml.safe_load(args.expected.read_text()) or {} if args.expected else {})
    with contextlib.ExitStack() as stack:
        work = (args.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        work.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(FileLock(work / "lock", timeout=0))
        except Timeout:
            raise SystemExit(f"--work {work}: another comparison is at work there") from None
        here = f"tree-{state_of_tree()[:12]}-{setting}"
        for old in work.glob("tree-*"):
            if old.name != here:
                shutil.rmtree(old)
        sides = [("baseline", stack.enter_context(worktree(commit)), f"{commit[:12]}-{setting}"), ("here", HERE, here)]
        for *_, folder in sides:
            (work / folder).mkdir(parents=True, exist_ok=True)
        net = Net(
            *(Side(name, code, work / folder) for name, code, folder in sides), set(args.only), args.quick, verdicts
        )
        try:
            run_all(net)
        except FailedError as error:
            verdicts.say("DIFFERS", "the plan of it all", str(error))
    for pattern in verdicts.expected.keys() - verdicts.met if not (args.only or args.quick) else ():
        verdicts.say("DIFFERS", pattern, "expected to differ, and nothing of this name does: take it off the list")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.counts.items()))
    print(f"{commit[:12]} and this tree: {counts or 'nothing compared'}; {(time.monotonic() - started) / 60:.1f} min")
    return 1 if verdicts.counts.get("DIFFERS") or not verdicts.counts.get("equal") else 0


def run_all(net: Net) -> None:
    """Compares all that is wanted and what it needs."""
    names = sorted(path.stem for path in (net.baseline.code / "experiments" / "synthetic").glob("*.yaml"))
    graph = {name: needs(net.baseline, name) for name in names}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    known = {*names, *VARIANTS, *net.baseline.known("synth"), "results", "experiments"}
    if unknown := net.only - known:
        raise SystemExit(f"--only {' '.join(sorted(unknown))}: there are {', '.join(sorted(known))}")
    chosen: set[str] = set()
    pending = [name for name in names if net.wanted(name, "experiments")]
    while pending:
        chosen.add(name := pending.pop())
        pending += graph[name] - chosen
    texts = [(net.baseline.code / overlay(name)).read_text() for name in chosen]
    net.corpora({corpus for text in texts for corpus in re.findall(r"data/synthetic/(\w+)", text)})
    net.experiments([name for name in order if name in chosen])
    for path in sorted((net.tree.code / "experiments" / "synthetic").glob("*.yaml")) if not net.only else ():
        if path.stem not in names:
            net.verdicts.say("new", f"fit {path.stem}", "not in the baseline")
    if net.wanted("results"):
        net.results()


if __name__ == "__main__":
    sys.exit(main())
