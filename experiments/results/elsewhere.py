"""Settings that say where and on what a cell is made, not what it is: they are no part of its request.

Every setting that is not listed here by its full dotted path is part of the request. A callback of a list is named by
its class; of a path that ends in a class, everything is left out.
"""

import re
from typing import Any

ELSEWHERE = {
    "ckpt_path": "where a checkpoint lies; `needs` holds what it is, unless it is the run's own",
    "config": "the files are in the request themselves",
    "init_from": "where weights lie; `needs` holds what they are",
    "overwrite": "what happens to an earlier run",
    "seed_everything": "the request has it under `seed`",
    "data.init_args.cache": "whether frozen encoders run once or at every step: the same but for rounding",
    "data.init_args.fold": "the request has it under `fold`",
    "data.init_args.protocol": "likewise",
    "data.init_args.num_workers": "how many processes read",
    "data.init_args.root": "where the data lie; their fingerprint is in the request",
    "data.init_args.roots": "likewise",
    "data.init_args.store": "likewise",
    "model.init_args.init_from": "where checkpoints lie; `needs` holds what they are",
    "trainer.accelerator": "the machine",
    "trainer.default_root_dir": "where the run's folder is",
    "trainer.devices": "which of the machine, where it is one: several read as many batches to a step",
    "trainer.enable_model_summary": "what is printed",
    "trainer.enable_progress_bar": "what is printed",
    "trainer.log_every_n_steps": "how often loggers are told; epochs are always recorded",
    "trainer.logger": "who is told",
    "trainer.num_nodes": "likewise",
    "trainer.profiler": "what is measured",
    # Callbacks that only watch: a new plot does not make a new cell.
    "trainer.callbacks.AttentionPlot": "draws",
    "trainer.callbacks.History": "records",
    "trainer.callbacks.LearningRateMonitor": "records",
    "trainer.callbacks.ModelProfile": "measures",
    "trainer.callbacks.PredictionWriter": "records",
    "trainer.callbacks.ResultPlots": "draws",
    "trainer.callbacks.RichProgressBar": "prints",
    "trainer.callbacks.TQDMProgressBar": "prints",
    "trainer.callbacks.WebhookNotifier": "tells, and its URL is a secret",
    "trainer.callbacks.ModelCheckpoint.init_args.dirpath": "where checkpoints go",
    "trainer.callbacks.ModelCheckpoint.init_args.verbose": "what is printed",
    "trainer.callbacks.EarlyStopping.init_args.verbose": "what is printed",
}
_SEVERAL = ("trainer.devices", "trainer.num_nodes")
_CALLBACKS = "trainer.callbacks"
_KNOWN = ("callbacks", "lightning")  # packages of the classes above; another package may have one of the same name


def without_elsewhere(settings: Any, path: str = "") -> Any:
    """Return the settings that say what a cell is.

    Args:
        settings: Merged settings, or a part of them.
        path: Full dotted path of the part.

    Returns:
        The settings without those of `ELSEWHERE`, and without ``init_args`` that hold nothing else.
    """
    if isinstance(settings, dict):
        paths = {key: f"{path}.{key}" if path else str(key) for key in settings}
        kept = {
            str(key): without_elsewhere(settings[key], at)
            for key, at in paths.items()
            if at not in ELSEWHERE or (at in _SEVERAL and not _is_one(settings[key]))
        }
        return {key: value for key, value in kept.items() if key != "init_args" or value}
    if isinstance(settings, list):
        items = [(item, _item_path(item, path)) for item in settings]
        return [without_elsewhere(item, at) for item, at in items if at not in ELSEWHERE]
    return settings


def _is_one(count: Any) -> bool:
    """Return whether a number or list of devices, as Lightning reads it, is one device; for ``auto`` nobody knows."""
    if isinstance(count, list):
        return len(count) == 1
    return count is None or re.fullmatch(r"1|\d+,", str(count).strip()) is not None


def _item_path(item: Any, path: str) -> str:
    """Return the path of an item of a list: of a callback by its class, elsewhere that of the list and a mark."""
    name = item.get("class_path") if isinstance(item, dict) else item
    if path == _CALLBACKS and isinstance(name, str):
        package, _, last = name.rpartition(".")
        if not package or package.partition(".")[0] in _KNOWN:
            return f"{path}.{last}"
    return f"{path}[]"
