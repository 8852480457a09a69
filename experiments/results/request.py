"""The request of a cell, what it is asked to be, in a form that can be compared: standard library and YAML only.

A request holds the merged settings (``_trainer.yaml``, the experiment, its overlays, the overrides), fold, seed and
protocol, the split file, the fingerprint of the prepared data and the requests of the cells whose checkpoints it
starts from. Where results go and on which machine they are made is not part of it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.store.reader import joint_fingerprint, read_manifest
from experiments.errors import TooMuch
from experiments.results.elsewhere import without_elsewhere
from experiments.results.needs import checkpoint_hash, resolve_checkpoints, resumed, source_needs
from experiments.settings.class_paths import shorten_class_paths
from experiments.settings.config import CLASS_KEYS, PROJECT, Config, merge, override, parse_value, read_yaml
from experiments.settings.redaction import drop, hide, is_secret

_DIFF_LINES = 8


def read_config(configs: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> Config:
    """Merge the files of a run and the options over them.

    Args:
        configs: YAML files, each laid over the ones before it.
        overrides: Values by dotted option name, laid over the files.

    Returns:
        The merged settings, with arguments of model and data under ``init_args`` however they were written.

    Raises:
        DataError: If a file is missing or not readable.
    """
    return _laid(*configs, *(overrides or {}).items())


def read_command(arguments: Sequence[str], configs: Sequence[Path] = ()) -> Config:
    """Merge what a command line asks for as `read_config` does: what stands later wins.

    Args:
        arguments: What follows ``cli.py fit``.
        configs: YAML files under it.

    Raises:
        DataError: If a file is missing or not readable.
    """
    options = ((key, value) if key != "config" else Path(value) for key, value in _options(arguments))
    return _laid(*configs, *options)


def data_roots(config: Config, default: Path) -> list[Path]:
    """Return the corpus folders that merged settings name."""
    options = config.get("data", {}).get("init_args", {})
    several = options.get("roots") if not options.get("root") else None  # of another class that the settings began with
    return [Path(root) for root in several or [options.get("root") or default]]


def data_manifest(root: Path, store: str = "prepared") -> Config | None:
    """Return the manifest of the prepared data of a corpus; None where there is no finished store."""
    folder = root / store
    if not (folder / "COMPLETE").exists():
        return None
    return read_manifest(folder / "manifest.json", fingerprint=str, synthetic=bool)


def data_fingerprint(roots: Sequence[Path], store: str = "prepared") -> str | None:
    """Return the fingerprint of the prepared data of one or several corpora; None where one has no finished store."""
    manifests = [manifest for root in roots if (manifest := data_manifest(root, store)) is not None]
    if len(manifests) < len(roots):
        return None
    return joint_fingerprint([manifest["fingerprint"] for manifest in manifests])


def split_hash(config: Config, corpus: str, project: Path = PROJECT) -> str | None:
    """Return the SHA-256 of the split file that merged settings name, or else of the corpus'; None without one."""
    named = config.get("data", {}).get("init_args", {}).get("splits")
    path = Path(named) if named else project / "datamodules" / "splits" / f"{corpus}.csv"
    return sha256_file(path) if path.is_file() else None


def make_request(
    config: Config,
    *,
    fold: int,
    seed: int,
    protocol: str,
    data: str | None,
    split: str | None,
    needs: Mapping[str, str],
) -> Config:
    """Return the request of a cell: what it is asked to be (contract 5).

    Args:
        config: Merged settings of `read_config`.
        fold: Test fold, counted from 0.
        seed: Seed of the run.
        protocol: ``paper`` or ``honest``.
        data: Fingerprint of the prepared data.
        split: Hash of the split file.
        needs: Hash of the request, per submodule that starts from another cell's checkpoint.
    """
    sections = {
        name: section for name, section in without_elsewhere(shorten_class_paths(config)).items() if not is_secret(name)
    }
    # Whom a trainer tells is no part of what a run is; an address that a model or data read is.
    settings = {name: drop(section, mark=name != "trainer") for name, section in sections.items()}
    return {
        "fold": fold,
        "seed": seed,
        "protocol": protocol,
        "data": data,
        "split": split,
        "needs": {**needs, **source_needs(config, fold=fold, seed=seed, protocol=protocol)},
        "settings": settings,
    }


def request_from_command(
    arguments: Sequence[str], *, corpus: str, project: Path = PROJECT, data: str | None = None
) -> Config:
    """Return the request that a ``fit`` command line makes; the same as its planner's for a cell of a table.

    Args:
        arguments: What follows ``cli.py fit``.
        corpus: Name of the corpus, for the split file and the data folder where the settings name none.
        project: Folder that holds ``experiments/``.
        data: Fingerprint of the prepared data; read from the manifest where not given.

    Raises:
        DataError: If a config file is missing or not readable.
    """
    config = read_command(arguments, [project / "experiments" / "_trainer.yaml"])
    options = config.get("data", {}).get("init_args", {})
    if data is None:
        data = data_fingerprint(data_roots(config, Path("data", corpus)))
    sources = config.get("model", {}).get("init_args", {}).get("init_from") or {}
    fold, seed = int(options.get("fold", 0)), int(config.get("seed_everything") or 0)
    protocol = str(options.get("protocol", "paper"))
    sources = resolve_checkpoints(sources, fold=fold, seed=seed, protocol=protocol)
    request = make_request(
        config,
        fold=fold,
        seed=seed,
        protocol=protocol,
        data=data,
        split=split_hash(config, corpus, project),
        needs={name: checkpoint_hash(Path(path)) for name, path in sources.items()},
    )
    return resumed(request, Path(config["ckpt_path"])) if config.get("ckpt_path") else request


def parse_command(arguments: Sequence[str]) -> tuple[list[Path], Config]:
    """Split a command line into its config files and its other options.

    Args:
        arguments: ``--key value`` and ``--key=value`` options.

    Returns:
        The files in order, and the values by dotted name.

    Raises:
        DataError: If a value is a bomb.
    """
    options = list(_options(arguments))
    configs = [Path(value) for key, value in options if key == "config"]
    return configs, {key: value for key, value in options if key != "config"}


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of every option, in order; a config file's is its path."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("-c"):  # the short form of --config
            word = f"--config={word[2:].removeprefix('=')}" if word[2:] else "--config"
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        try:
            yield key, value if key == "config" else parse_value(value)
        except TooMuch as error:
            raise DataError(f"--{key}: {error}") from error


def difference(old: Config, new: Config) -> str:
    """Return what changed between two requests: lines ``name: old -> new``, the first few of them."""
    before, after = dict(_flat(hide(old))), dict(_flat(hide(new)))
    pairs = {name: (before.get(name, "not set"), after.get(name, "not set")) for name in {**before, **after}}
    lines = [_change(name, *pairs[name]) for name in sorted(pairs) if pairs[name][0] != pairs[name][1]]
    more = [f"... and {len(lines) - _DIFF_LINES} more"] if len(lines) > _DIFF_LINES else []
    return "\n".join(lines[:_DIFF_LINES] + more)


_CLASSES = ("model", "data")


def _laid(*layers: Path | tuple[str, Any]) -> Config:
    """Return settings of files and dotted options, each laid over those before it."""
    merged: Config = {}
    for layer in layers:
        if isinstance(layer, Path):
            content = read_yaml(layer)
            merged = merge(
                merged, {key: _as_class(value) if key in _CLASSES else value for key, value in content.items()}
            )
        else:
            names = layer[0].split(".")
            merged = override(merged, names, layer[1])
            if names[0] in _CLASSES:
                merged[names[0]] = _as_class(merged[names[0]])
    _refuse_files(merged)
    return merged


def _refuse_files(config: Config) -> None:
    """Refuse settings in a file of their own: the parser would read it, and a request would hold only its name."""
    for name, value in _flat(config):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and (one.endswith((".yaml", ".yml", ".json")) or name == "trainer"):
                raise DataError(
                    f"--{name} {one}: settings in a file of their own are not what a run is compared by; "
                    "lay the file over the experiment with --config"
                )


def _as_class(value: Any) -> Config:
    if not isinstance(value, dict):
        return {"class_path": value}
    arguments = {key: item for key, item in value.items() if key not in CLASS_KEYS}
    known: Config = {key: item for key, item in value.items() if key in CLASS_KEYS}
    return merge(known, {"init_args": arguments}) if arguments else known


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not name):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for position, item in enumerate(value):
            yield from _flat(item, f"{name}[{position}]")
    else:
        yield name.removeprefix("settings."), value


def _change(name: str, *values: Any) -> str:
    if all(isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) for value in values):
        return f"{name}: changed"  # two hashes tell a reader nothing
    return f"{name}: " + " -> ".join(value if isinstance(value, str) else json.dumps(value) for value in values)
