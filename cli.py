"""The one entry point: training commands, preparation, stand-in corpora, tables and reports.

Before it knows the command it imports nothing heavier than the standard library.
"""

from __future__ import annotations  # whatever Python is started, it reads this file and says that it is the wrong one

import contextlib
import errno
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)
PACKAGES = ("affectzoo", "lightning_modules", "datamodules", "callbacks", "experiments")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a limit on files
TRAINING = {
    "fit": "train an experiment and test the selected checkpoint",
    "validate": "score a checkpoint on the clips that select the epoch",
    "test": "score a checkpoint on the test fold",
    "predict": "write a checkpoint's predictions and embeddings; with --clips, what it says of raw files",
}
PER_CORPUS = {
    "prepare": "raw corpus -> prepared store",
    "synth": "make a stand-in corpus in a corpus' raw format",
}
FOLDERS = {"prepare": ("prepare", "catalogues"), "synth": ("standins",)}  # of datamodules, where their corpora are
MODELS = {
    "export": "a trained model as a folder that anyone can load: weights, settings, a card",
    "serve": "a page where trained models are asked about clips",
    "export-features": "arrays or embeddings of a prepared corpus as features to train on",
}
TABLES = {
    "reproduce": "run the missing cells of paper tables, then report",
    "report": "Markdown, LaTeX and HTML tables from result files",
}


def corpora(command: str) -> list[str]:
    """Return the corpora that a per-corpus command knows: the file stems of its folders."""
    found = (path for package in FOLDERS[command] for path in (HERE / "datamodules" / package).glob("[!_]*"))
    return sorted({path.stem for path in found})


def overview() -> str:
    """Return the text of ``--help``."""
    lines = ["usage: python cli.py COMMAND ...", ""]
    for title, commands in (("training", TRAINING), ("data", PER_CORPUS), ("models", MODELS), ("tables", TABLES)):
        lines.append(f"{title}:")
        for name, text in commands.items():
            more = f" ({', '.join(corpora(name))})" if name in PER_CORPUS else ""
            lines.append(f"  {name:<10} {text}{more}")
    experiments = sorted(path.stem for path in (HERE / "experiments").glob("[!_]*.yaml"))
    lines += ["", f"experiments: {', '.join(experiments)}", ""]
    lines += [
        "python cli.py fit --config experiments/cfnsr.yaml --data.fold 3",
        "python cli.py predict --ckpt_path runs/cfnsr/paper-fold3-seed0 --clips clip.mp4",
        "python cli.py COMMAND --help tells the options of a command",
    ]
    return "\n".join(lines)


def per_corpus(command: str, arguments: Sequence[str]) -> int:
    """Run ``prepare`` or ``synth`` for one corpus; return the exit code."""
    known = corpora(command)
    if not arguments or arguments[0] in ("-h", "--help"):  # told without any package
        print(f"usage: cli.py {command} [-h] CORPUS ...\n\n{PER_CORPUS[command]}\n\ncorpora: {', '.join(known)}\n")
        print(f"cli.py {command} CORPUS --help tells the options of a corpus")
        return 0 if arguments else 2
    from option_parser import Parser

    parser = Parser(prog=f"cli.py {command}")
    parser.add_argument("corpus", choices=known, metavar="CORPUS")
    corpus = parser.parse_args([arguments[0].replace("-", "_")]).corpus
    if command == "prepare" and not (HERE / "datamodules" / "prepare" / f"{corpus}.py").exists():
        return int(importlib.import_module("datamodules.prepare_command").main(corpus, arguments[1:]))
    from datamodules.cores import usable_cores

    module = importlib.import_module(f"datamodules.{FOLDERS[command][0]}.{corpus}")
    parser = Parser(prog=f"cli.py {command} {arguments[0]}", description=(module.__doc__ or "").split("\n")[0])
    cores = usable_cores()
    parser.add_argument(
        "--workers", type=int, default=cores, metavar="N", help="processes (default: the cores of this job)"
    )
    if command == "prepare":
        parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of the raw corpus")
        parser.add_argument("--out", type=Path, metavar="DIR", help=f"corpus folder (default: data/{corpus})")
    else:
        out = Path("data", "synthetic", corpus)
        parser.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"folder to fill (default: {out})")
        parser.add_argument("--clips", type=int, metavar="N", help="number of clips (default: as many as the corpus)")
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed (default: 0)")
    module.add_arguments(parser)
    args = parser.parse_args(list(arguments[1:]))
    with naming(args.out or Path("data", corpus)):
        return int(module.run(args))


def on_tables(command: str, arguments: Sequence[str]) -> int:
    """Run ``reproduce`` or ``report``; return the exit code."""
    from option_parser import Parser

    module = importlib.import_module(f"experiments.{command}.command")
    parser = Parser(prog=f"cli.py {command}", description=TABLES[command])
    module.add_arguments(parser)
    args = parser.parse_args(list(arguments))
    with naming(args.runs):
        return int(module.run(args, **_reporting(command)))


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name a folder in a system error that names no file, as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise


def _with_own_configs(arguments: Sequence[str]) -> list[str]:
    """Return a command line whose configs are found beside the code where the working folder has none of that name."""
    words = list(arguments)
    for at, word in enumerate(words):
        option, equals, path = word.partition("=") if word.startswith("--config=") else ("", "", word)
        follows = bool(equals) or words[at - 1] == "--config"
        if at and follows and not Path(path).is_file() and (own := HERE / path).is_file():
            words[at] = f"{option}{equals}{own}"
    return words


def _look_for_configs(arguments: Sequence[str]) -> None:
    """Refuse a config that is not there, seconds before torch could."""
    request = importlib.import_module("experiments.results.request")
    for path in request.parse_command(list(arguments))[0]:
        if not path.is_file():
            error = importlib.import_module("datamodules.store.reader").DataError
            raise error(f"--config {path}: there is no such file; the experiments are in experiments/*.yaml")


def _is_about_clips(arguments: Sequence[str]) -> bool:
    """Return whether raw files are asked about: some are named, or nothing is of which a run would be made."""
    options = {word.partition("=")[0].partition(".")[0] for word in arguments}
    return "--clips" in options or not options & {"-c", "--config", "--model", "--data"}


def dispatch(arguments: Sequence[str]) -> int:
    """Pass a command line to the code that carries it out."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0 if arguments else 2
    command = arguments[0]
    if command in PER_CORPUS or command in TABLES:
        if list(arguments[1:]) not in ([], ["-h"], ["--help"]):
            importlib.import_module("experiments.settings.plain_yaml").check_words(arguments)
        return (per_corpus if command in PER_CORPUS else on_tables)(command, arguments[1:])
    if command == "predict" and _is_about_clips(arguments[1:]):
        return int(importlib.import_module("experiments.predict.command").run(arguments[1:]))
    if command in MODELS:
        place = "serve.command" if command == "serve" else f"predict.{command.replace('-', '_')}"
        return int(importlib.import_module(f"experiments.{place}").run(arguments[1:]))
    if command in TRAINING:
        arguments = _with_own_configs(arguments)
        _look_for_configs(arguments[1:])
        return int(importlib.import_module("experiments.train.command").main(arguments))
    known = ", ".join((*TRAINING, *PER_CORPUS, *MODELS, *TABLES))
    print(f"error: there is no command {command!r}; the commands are {known}", file=sys.stderr)
    return 2


def _reporting(command: str) -> dict[str, Any]:
    """Return the reporting function as an argument of a command of tables, unless it is the report itself."""
    if command == "report":
        return {}
    return {"report": importlib.import_module("experiments.report.command").report_on}


def _unwrapped_message(error: BaseException) -> str:
    """Return the message of an error, also where a loader's process wrapped its own traceback around it."""
    text = str(error)
    return re.split(r"\n[\w.]+: ", text.rstrip())[-1] if "Original Traceback (most recent call last)" in text else text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Command line without the program's name; that of the process where not given.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage.
    """
    if sys.version_info[:2] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        print(f"error: Python {oldest} or newer is needed; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if str(HERE) not in sys.path:  # python -I leaves it out
        sys.path.insert(0, str(HERE))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may be no UTF-8
    words = sys.argv[1:] if arguments is None else list(arguments)
    if foreign := foreign_package():
        print(f"error: {foreign}", file=sys.stderr)
        return 2
    try:
        return dispatch(words)
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "interrupted; the same command carries on", file=sys.stderr)
        return 130
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        text, code = explained
        with contextlib.suppress(ImportError):  # of the wrong Python, which gets to see no secret
            text = importlib.import_module("experiments.settings.redaction").hide_message(text, words)
        print(f"error: {text}", file=sys.stderr)
        return code


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit code of an error that a user can cause.

    Args:
        error: What ended a command.

    Returns:
        The message and the exit code; None of anything else, which is a bug.
    """
    from error_texts import chain

    causes = list(chain(error))
    full = [cause for cause in causes if isinstance(cause, OSError) and cause.errno in FULL]
    for cause in causes:
        if hasattr(cause, "exit_code"):  # what a user can cause carries one
            return _unwrapped_message(cause), 1 if full else int(cause.exit_code)
    if full:
        where = "".join([f"{cause.filename}: " for cause in full if cause.filename][:1])
        return f"{where}{full[0].strerror}; make room, then run the same command", 1
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror or error}", 2 if named else 1
    if isinstance(error, ModuleNotFoundError) and error.name and not _is_ours(error.name):
        ready = ". .venv/bin/activate" if (HERE / ".venv").is_dir() else "make test"
        return (
            f"this Python ({sys.executable or sys.prefix}) has no {error.name}: this project runs in .venv, which "
            f"every make target sets up.\nActivate it ({ready}), or use make alone",
            2,
        )
    return None


def foreign_package() -> str:
    """Return an error message if a package of ours would be imported from elsewhere; empty if none would."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (found and found.submodule_search_locations) or ()]
        if found is None or HERE / name not in places:
            where = found.origin if found else "nowhere"
            return (
                f"the package `{name}` is another one here ({where}); this project wants an environment of its own, "
                "and to be started where no folder has that name"
            )
    return ""


def _is_ours(module: str) -> bool:
    top = HERE / module.partition(".")[0]
    return top.is_dir() or top.with_suffix(".py").is_file()


if __name__ == "__main__":
    sys.exit(main())
