"""Checks of the fields of ``result.json``."""

import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 1
STAND_IN = " (SYNTHETIC)"  # ends what a run began with, where that was trained on a stand-in

# Field of result.json -> type; a tuple ending in None marks what some machines cannot measure.
RESULT: dict[str, Any] = {
    "schema": int,
    "experiment": str,
    "row": (str, None),
    "fold": int,
    "seed": int,
    "protocol": str,
    "synthetic": bool,
    "leaked": bool,  # the model saw what its labels were made of, or what came after them
    "transductive": bool,  # the clips of the test, without their labels, are part of what its input was made by
    "corpus": str,
    "class_names": list,  # none where there are values alone
    "outputs": dict,  # task -> what it means: kind, classes, unit, range; empty in results of an earlier version
    "provenance": dict,  # of features that others made: modality -> tool, version, settings
    "group_name": str,  # what the groups are: speakers or clips
    # selection -> {epoch, accuracy, uar, f1, ..., mae_<task>, rmse_<task>, pearson_<task>, ccc_<task>}; no epoch where
    # nothing was trained, no metric of what no test clip is labelled for
    "selections": dict,
    # metric -> what the most frequent class of the test clips, and the training labels' mean, would get there; and
    # mean_<task>, that mean
    "baselines": dict,
    # temperature, ece, ece_calibrated, threshold, clips and split that it was fitted on; empty where it was not
    "calibration": dict,
    "began_with": (str, None),  # corpus of the training whose weights it began with
    "n_train": int,
    "n_val": int,
    "n_test": int,
    "parameters": dict,  # total, trainable, stages: {name: n}
    "flops": (int, float, None),  # forward pass of one clip
    "latency_ms": (int, float, None),  # median, one clip
    "peak_memory_mb": (int, float, None),
    "seconds": (int, float),  # wall time of the run
    "device": str,
    "versions": dict,
    "commit": (str, None),
    "data_fingerprint": str,
    "request_hash": str,
}
# Fields that results of an earlier version lack.
LATER: dict[str, Any] = {
    "leaked": False,
    "transductive": False,
    "outputs": {},
    "provenance": {},
    "baselines": {},
    "calibration": {},
    "began_with": None,
}
_METRICS = ("accuracy", "uar", "f1")


def valued(result: Mapping[str, Any]) -> list[str]:
    """Return the tasks of a result whose labels are values."""
    return [task for task, of in result["outputs"].items() if of["kind"] == "value"]


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _odd_output(outputs: Mapping[str, Any]) -> str:
    for task, of in outputs.items():
        kind, ends = (of.get("kind"), of.get("range")) if isinstance(of, dict) else (None, None)
        whole = ends is None or (isinstance(ends, list) and len(ends) == 2 and all(map(_finite, ends)))
        if kind not in ("classes", "soft", "value") or not whole:
            return f"outputs.{task} is {of!r}"
    return ""


def problem(result: Mapping[str, Any]) -> str:
    """Return what is wrong with a result by itself; empty if nothing is."""
    if result.get("schema") != SCHEMA:
        return f"schema {result.get('schema')}, this version reads {SCHEMA}"
    if unknown := result.keys() - RESULT.keys():
        return f"unknown field {', '.join(sorted(unknown))}"
    for name, kinds in RESULT.items():
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if name not in result:
            return f"{name} is missing"
        value = result[name]
        if not (None in allowed if value is None else type(value) in allowed):
            return f"{name} is {value!r}"
    names = result["class_names"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return f"class_names is {names!r}"
    if wrong := _odd_output(result["outputs"]):
        return wrong
    if odd := [name for name, value in result["baselines"].items() if not _finite(value)]:
        return f"baselines.{odd[0]} is {result['baselines'][odd[0]]!r}"
    values = valued(result)
    if not names and not values:
        return f"class_names is {names!r}"
    for name in ("total", "trainable", "stages"):
        if type(result["parameters"].get(name)) is not (dict if name == "stages" else int):
            return f"parameters.{name} is {result['parameters'].get(name, 'missing')!r}"
    if not result["selections"]:
        return "selections is empty"
    for selection, metrics in result["selections"].items():
        if not isinstance(metrics, dict):
            return f"selections.{selection} is {metrics!r}"
        if absent := ({"epoch"} if values else {"epoch", *_METRICS}) - set(metrics):
            return f"selections.{selection} lacks {', '.join(sorted(absent))}"
        for name in _METRICS if not values else metrics.keys() - {"epoch"}:
            if not _finite(metrics[name]):
                return f"selections.{selection}.{name} is {metrics[name]!r}"
        if type(metrics["epoch"]) not in (int, type(None)):
            return f"selections.{selection}.epoch is {metrics['epoch']!r}"
    return ""
