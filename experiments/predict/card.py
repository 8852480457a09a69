"""The card of an exported model: what it is, how it was scored, what it is for and what not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from datamodules.errors import DataError
from experiments.predict.legend import legend
from experiments.predict.loaded.model import Model
from experiments.results.cell import Cell, read_cell, read_result
from experiments.results.needs import recorded_request
from experiments.results.opened.checkpoint import Checkpoint
from experiments.results.result_check import STAND_IN
from experiments.scores.run_score import Scored, score_classes, score_values
from experiments.settings.config import PROJECT

LIMITS = """## Intended use and limits

Research. It tells how people look or sound to those who labelled the corpus, not what anybody feels; on faces, voices,
languages and recordings of another kind than the corpus' own it was not tried. It is not for decisions about people, at
work or in education least of all."""
_SYNTHETIC = "**SYNTHETIC: trained on drawn faces and voices; what it says of a real person means nothing.**"
_PERCENT = ("Accuracy", "UAR", "Macro F1")
# Names by which the hub knows the licences of corpora here; any other is told in words.
_HUB_LICENCE = re.compile(r"(CC BY(?:-(?:NC|SA|ND))*) ([\d.]+)")
_HUB_TASKS = {"video": "video-classification", "face": "image-classification", "audio": "audio-classification",
              "text": "text-classification"}  # fmt: skip


def card(model: Model, checkpoint: Checkpoint, pictures: list[str]) -> str:
    """Return the card as Markdown with the front matter of the Hugging Face hub, made of the result of the run.

    Args:
        model: Of the checkpoint.
        checkpoint: In the folder of its run; of one elsewhere less is told.
        pictures: Names of pictures beside the card.
    """
    about = model.about
    corpus = str(about["corpus"])
    cell = _cell_of(checkpoint)
    scored = list(_scored(cell, about["selection"])) if cell else []
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(model, corpus, scored), sort_keys=False, allow_unicode=True)}---",
        f"# {type(model.task).__name__} on {_escaped(corpus)}",
        *([_SYNTHETIC] if about["synthetic"] else []),
        'Load it with `affectzoo.load("DIR")`, ask it with `python cli.py predict --ckpt_path DIR --clips PATH`.',
        "\n".join(f"- {_escaped(line)}" for line in legend(model)),
        _scores(about, scored, _folds(checkpoint, about["selection"])),
        _confusion(model.classes, scored),
        _calibration(about["calibration"]),
        LIMITS,
        _training(checkpoint),
        "## Data\n\n" + "\n\n".join(_licence(name) for name in _corpora(corpus, checkpoint)),
        f"## Citation\n\n{_citation(str(about['experiment']), corpus)}",
        "\n".join([f"![{name}]({name})" for name in pictures]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(model: Model, corpus: str, scored: list[tuple[str, Scored]]) -> dict[str, Any]:
    """Return what the hub reads of a card; scores of a stand-in are nothing to be listed there."""
    about, title = model.about, f"{type(model.task).__name__} on {corpus}"
    known = _HUB_LICENCE.match(_licence_of(corpus))
    licence = {"license": "-".join(known.groups()).lower().replace(" ", "-")} if known else {"license": "other"}
    named = {} if known else {"license_name": "as-the-corpus", "license_link": "README.md"}
    kinds = [_HUB_TASKS[name] for name in _HUB_TASKS if name in model.modalities]
    tags = [
        "emotion-recognition",
        *(["multimodal"] * (len(model.modalities) > 1)),
        *(["synthetic"] * about["synthetic"]),
    ]
    found = {"library_name": "affectzoo", **licence, **named, "tags": tags}
    found |= {"pipeline_tag": kinds[0]} if kinds else {}
    metrics = [
        {
            "type": one.metric.lower().replace(" ", "_"),
            "name": f"{one.metric}{' of ' * bool(task)}{task}",
            "value": one.value,
        }
        for task, of in scored
        for one in of.metrics
    ]
    if not metrics or about["synthetic"]:
        return found
    task = {"type": kinds[0] if kinds else "other", "name": "emotion recognition"}
    data = {"name": f"{corpus}, protocol {about['protocol']}, fold {about['fold']}", "type": corpus}
    return {**found, "model-index": [{"name": title, "results": [{"task": task, "dataset": data, "metrics": metrics}]}]}


def _cell_of(checkpoint: Checkpoint) -> Cell | None:
    """Return the run that a checkpoint lies in; None where its result is not there, or damaged."""
    try:
        return read_cell(checkpoint.path.absolute().parent.parent) if checkpoint.result else None
    except DataError:
        return None


def _scored(cell: Cell, selection: str | None) -> Iterator[tuple[str, Scored]]:
    """Yield the scores of classes, under no name, and of every value."""
    key, found = (0, 0), cell.predictions.get(selection or "")
    names = cell.result["class_names"]
    if names and found is not None and len(found.ids):
        yield "", score_classes({key: found}, len(names))
    for task, values in cell.values.get(selection or "", {}).items():
        mean = cell.result["baselines"].get(f"mean_{task}")
        yield task, score_values({key: values}, {} if mean is None else {key: mean})


def _scores(about: dict[str, Any], scored: list[tuple[str, Scored]], folds: str) -> str:
    if not scored:
        told = f", {about['n_test']} test clips" if about["n_test"] else ""
        rows = [f"| {_escaped(name)} | {value:.4g} |" for name, value in about["score"].items()]
        begun = f"Protocol {about['protocol']}, fold {about['fold']}{told}; no run lay beside the checkpoint."
        return "\n".join(["## Score", "", begun, *(["", "| | |", "| --- | ---: |", *rows] * bool(rows))])
    clips, groups = max((of.clips, of.groups) for _, of in scored)
    told = (
        f"Protocol {about['protocol']}, fold {about['fold']}: {clips} test clips of {groups} people or groups that it "
    )
    told += f"was not trained on; checkpoint {about['selection']}"
    told += ", its epoch chosen on the same clips: optimistic." if about["selection"] == "best" else "."
    rows = []
    for task, of in scored:
        for one in of.metrics:
            form = "{:.2f} %" if one.metric in _PERCENT else "{:.4g}"
            times = 100 if one.metric in _PERCENT else 1
            cells = [form.format(times * value) if np.isfinite(value) else "-" for value in
                     (one.value, *one.interval, one.baseline)]  # fmt: skip
            span = f"{cells[1]} to {cells[2]}" if "-" not in cells[1:3] else "-"
            rows.append(f"| {one.metric}{' of ' * bool(task)}{_escaped(task)} | {cells[0]} | {span} | {cells[3]} |")
    head = ["| | this model | 95 % interval | a constant answer |", "| --- | ---: | ---: | ---: |"]
    note = (
        "Interval: bootstrap over people or groups. A constant answer: the most frequent class, or the mean of train."
    )
    return "\n".join(["## Score", "", told, "", *head, *rows, "", note, folds])


def _folds(checkpoint: Checkpoint, selection: str | None) -> str:
    """Return what the same model got on all folds whose runs lie beside its own."""
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
        return "One fold of one run: others will differ."
    mean, least, most = np.mean(found), min(found), max(found)
    return (
        f"The same recipe trained on each of {len(found)} folds, other people held out in each: accuracy "
        f"{mean:.2f} % in the mean ({least:.2f} to {most:.2f} %)."
    )


def _confusion(names: list[str], scored: list[tuple[str, Scored]]) -> str:
    """Return the confusion matrix of the run's test clips as a table; empty where there are none."""
    counts = next((of.total for task, of in scored if not task), None)
    if counts is None or len(names) != len(counts):
        return ""
    cells = [_escaped(name) for name in names]
    rows = [
        f"| {name} | {' | '.join(f'{of:g}' for of in row)} |" for name, row in zip(cells, counts.tolist(), strict=True)
    ]
    head = [f"| true, then predicted | {' | '.join(cells)} |", f"| --- {'| ---: ' * len(names)}|"]
    return "\n".join(["## Confusion matrix", "", *head, *rows])


def _calibration(of: dict[str, Any]) -> str:
    if not of:
        return "## Calibration\n\nNone was kept: its probabilities may be too high."
    where = "clips of the test itself, which is optimistic" if of["split"] == "test" else "clips that select the epoch"
    rows = [
        f"| temperature | {of['temperature']:.3f} |",
        f"| calibration error (ECE, 15 bins) before | {of['ece']:.4f} |",
        f"| after | {of['ece_calibrated']:.4f} |",
        f"| unsure below | {of['threshold']:.1%} |",
    ]
    told = f"Fitted on {of['clips']} {where}. Below the threshold more answers were wrong than right."
    return "\n".join(["## Calibration", "", told, "", "| | |", "| --- | ---: |", *rows])


def _training(checkpoint: Checkpoint) -> str:
    """Return the settings of the run that differ from those of all, as its request has them, and what it ran on."""
    result = checkpoint.result
    if not result:
        return ""
    chosen = f"{result['n_val']} others" if result["n_val"] else "the test clips"
    told = f"{result['n_train']} clips trained it, {chosen} chose the epoch; seed {result['seed']}, "
    told += f"{result['parameters']['total']:,} parameters, {result['device']}, commit {result['commit']}, "
    told += ", ".join(f"{name} {of}" for name, of in result["versions"].items())
    try:
        asked = recorded_request(checkpoint.path.absolute().parent.parent)
    except DataError:
        asked = {}
    settings = asked.get("settings", {})
    if begun := result.get("began_with"):
        told += f"; it began with the weights of a training on {_escaped(begun)}, which is fine-tuning"
    trainer = {name: of for name, of in settings.get("trainer", {}).items() if name not in ("callbacks", "plugins")}
    text = yaml.safe_dump({**settings, "trainer": trainer}, sort_keys=False, allow_unicode=True)
    return f"## Training\n\n{told}.\n\n```yaml\n{text}```" if settings else f"## Training\n\n{told}."


def _corpora(corpus: str, checkpoint: Checkpoint) -> list[str]:
    """Return the corpus, and that of the training whose weights this one began with, but for a stand-in."""
    begun = checkpoint.result.get("began_with")
    return [corpus, begun] if begun and begun != corpus and not begun.endswith(STAND_IN) else [corpus]


def _escaped(text: str) -> str:
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", text)


def _licence(corpus: str) -> str:
    told, named = _licence_of(corpus), _escaped(corpus)
    return f"Licence of {named}: {told}" if told else f"The licence of {named} holds for what was learned from it."


def _licence_of(corpus: str) -> str:
    """Return the first sentence on the licence on the page of a corpus; empty where there is none."""
    told = re.search(r"\*\*Licences?\.\*\* (.+?)(?:\.\s|\n\n)", _page_of(corpus), re.DOTALL)
    return f"{' '.join(told[1].split()).rstrip('.')}." if told else ""


def _page_of(corpus: str) -> str:
    """Return the page of a corpus, or of the corpora that it is one of; empty where there is none."""
    pages = sorted((PROJECT / "docs" / "data").glob("*.md"), key=lambda page: page.stem != corpus)
    for page in pages:
        text = page.read_text("utf-8")
        if page.stem == corpus or re.search(rf"prepare {re.escape(corpus)}\b", text):
            return text
    return ""


def _citation(experiment: str, corpus: str) -> str:
    path = PROJECT / "experiments" / f"{experiment}.yaml"
    model = "the paper that the model's file in `lightning_modules` names."
    if path.is_file() and path.parent == PROJECT / "experiments":
        lines = path.read_text("utf-8").split("\ntrainer:")[0].splitlines()
        model = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    first = next(iter(_page_of(corpus).split("\n\n")[1:2]), "")
    told = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(first.split()))
    return f"Model: {model}" + (f"\n\nCorpus: {told}" if told else "")


def pictures_of(checkpoint: Checkpoint) -> list[Path]:
    """Return the pictures that a run left, some of which show faces of its clips."""
    return sorted((checkpoint.path.absolute().parent.parent / "plots").glob("*.png")) if checkpoint.result else []
