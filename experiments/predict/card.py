"""The card of an exported model: what it is, how it was scored, what it is for and what not."""

import re
from pathlib import Path

import numpy as np

from datamodules.errors import DataError
from experiments.predict.legend import legend
from experiments.predict.loaded.checkpoint import Checkpoint
from experiments.predict.loaded.model import Model
from experiments.results.cell import predictions_of, read_result
from experiments.results.needs import recorded_request
from experiments.settings.config import PROJECT

LIMITS = """## Intended use and limits

Research. It tells how people look or sound to those who labelled the corpus, not what anybody feels; on faces, voices,
languages and recordings of another kind than the corpus' own it was not tried. It is not for decisions about people, at
work or in education least of all."""
_METRICS = {"accuracy": "accuracy", "uar": "UAR", "f1": "macro F1"}


def card(model: Model, checkpoint: Checkpoint) -> str:
    """Return the card as Markdown, made of the result of the run; no face and no clip is in it."""
    about = model.about
    mark = "**SYNTHETIC: trained on drawn faces and voices; what it says of a real person means nothing.**"
    parts = [
        "---\nlibrary_name: affectzoo\ntags: [emotion-recognition, multimodal]\n---",
        f"# {type(model.task).__name__} on {about['corpus']}",
        *([mark] if about["synthetic"] else []),
        'Load it with `affectzoo.load("DIR")`, ask it with `python cli.py predict --ckpt_path DIR --clips PATH`.',
        "\n".join(f"- {line}" for line in legend(model)),
        _scores(model, checkpoint),
        _confusion(checkpoint, about["selection"]),
        LIMITS,
        f"## Data\n\n{_licence(str(about['corpus']))}",
        f"## Citation\n\n{_citation(str(about['experiment']))}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores(model: Model, checkpoint: Checkpoint) -> str:
    about = model.about
    if not about["score"]:
        return "## Score\n\nNot known: no result lay beside the checkpoint."
    named = {title: 100 * about["score"][name] for name, title in _METRICS.items() if name in about["score"]}
    values = {name: value for name, value in about["score"].items() if name.startswith(("ccc_", "mae_"))}
    rows = [f"| {title} | {value:.2f} % |" for title, value in named.items()]
    rows += [f"| {name.replace('_', ' of ', 1)} | {value:.4g} |" for name, value in values.items()]
    told = f"Protocol {about['protocol']}, fold {about['fold']}, {about['n_test']} test clips; "
    told += f"checkpoint {about['selection']}"
    told += ", chosen on the same clips: optimistic." if about["selection"] == "best" else "."
    folds = _folds(checkpoint, about["selection"])
    return "\n".join(["## Score", "", told, "", "| | |", "| --- | ---: |", *rows, *folds])


def _folds(checkpoint: Checkpoint, selection: str | None) -> list[str]:
    """Return what the same model got on all folds whose runs lie beside its own; nothing where there is one alone."""
    run = checkpoint.path.absolute().parent.parent
    found = []
    for folder in run.parent.glob(re.sub(r"fold\d+", "fold*", run.name)):
        try:
            asked = [{**recorded_request(one), "fold": None} for one in (folder, run)]
            if asked[0] == asked[1] and (folder / "result.json").is_file():
                found.append(100 * read_result(folder)["selections"][selection]["accuracy"])
        except (DataError, KeyError):
            continue
    if len(found) < 2:
        return []
    mean, least, most = np.mean(found), min(found), max(found)
    told = f"accuracy {mean:.2f} % in the mean ({least:.2f} to {most:.2f} %)"
    return ["", f"The same recipe trained on each of {len(found)} folds, other people held out in each: {told}."]


def _confusion(checkpoint: Checkpoint, selection: str | None) -> str:
    """Return the confusion matrix of the run's test clips as a table; empty where there are none."""
    names = checkpoint.result.get("class_names", [])
    path = checkpoint.path.absolute().parent.parent / f"predictions-{selection}.csv"
    if not names or not path.is_file():
        return ""
    try:
        found = predictions_of(path, checkpoint.result)
    except DataError:
        return ""
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (found.targets, found.predicted), 1)
    cells = [_escaped(name) for name in names]
    rows = [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(cells, counts.tolist(), strict=True)]
    head = [f"| true, then predicted | {' | '.join(cells)} |", f"| --- {'| ---: ' * len(names)}|"]
    return "\n".join(["## Confusion matrix", "", *head, *rows])


def _escaped(name: str) -> str:
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", name)


def _licence(corpus: str) -> str:
    page = PROJECT / "docs" / "data" / f"{corpus}.md"
    told = re.search(r"\*\*Licence\.\*\* (.+?)\n\n", page.read_text("utf-8"), re.DOTALL) if _is_page(page) else None
    return f"Licence of {corpus}: {told[1]}" if told else f"The licence of {corpus} holds for what was learned from it."


def _is_page(page: Path) -> bool:
    return page.is_file() and page.parent == PROJECT / "docs" / "data"


def _citation(experiment: str) -> str:
    path = PROJECT / "experiments" / f"{experiment}.yaml"
    if not path.is_file() or path.parent != PROJECT / "experiments":
        return "The paper of the model, as its file in `lightning_modules` names it."
    lines = path.read_text("utf-8").split("\ntrainer:")[0].splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
