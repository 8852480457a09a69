"""Run frozen encoders over a corpus once and make training read their embeddings (contract 4).

``<corpus>/embeddings/<key>/`` holds ``<modality>.f32``, one row per item of the prepared store in its order (where an
encoder hands over all of its states, those of a whole item, zeros behind them), ``manifest.json`` and, written last,
``COMPLETE``. The key is a hash of everything the values depend on: the encoder and its weights, the preparation and its
fingerprint. Killed at any point, filling goes on after the last whole chunk.
"""

import hashlib
import inspect
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from atomic_files import write_atomic
from datamodules.base import EmotionDataModule
from datamodules.errors import DataError
from datamodules.locks import wait_and_hold
from datamodules.reading.files import sha256_file
from datamodules.store.reader import read_manifest
from experiments.errors import UsageError
from lightning_modules.base import EmotionTask
from lightning_modules.nn.encoders import read_weights

BATCH = 32  # items at a time; part of the key, since the rounding of a matrix product depends on it
# Where weights were read from and by what: the weights themselves are part of the key.
ELSEWHERE = ("weights", "source", "sha256", "_name_or_path", "name_or_path", "transformers_version")
CHUNK = 1024  # items between two marks from which an interrupted run goes on


def use_frozen_encoders(task: EmotionTask, data: EmotionDataModule, checkpoint: Path | None = None) -> None:
    """Replace the input of frozen encoders by their embeddings, computed now or read from the store.

    Args:
        task: The model; its encoders are filled from ``checkpoint``, or else from ``init_from``.
        data: Where items come from; its batches carry embeddings afterwards.
        checkpoint: Checkpoint of the whole model, where a run resumes or is evaluated.

    Raises:
        UsageError: If an encoder trains, or its input is augmented.
    """
    encoders = task.frozen_encoders()
    if not encoders or not data.cache:
        return
    if trained := [name for name, encoder in encoders.items() if any(p.requires_grad for p in encoder.parameters())]:
        raise UsageError(f"the encoder of {trained[0]} trains: its embeddings cannot be kept; give --data.cache false")
    if any(data.is_augmented(name) for name in encoders):
        more = ", or --data.cache false" if "cache" in vars(data) else ""
        raise UsageError(f"--data.augment: a frozen encoder sees every item once; give --data.augment false{more}")
    _fill(task, encoders, checkpoint)
    for modality, encoder in encoders.items():
        data.use_embeddings(modality, embeddings(encoder, data, modality))


def embeddings(encoder: nn.Module, data: EmotionDataModule, modality: str) -> Tensor:
    """Return an encoder's embedding of every item of a modality, memory-mapped.

    Args:
        encoder: Maps items ``(N, ...)`` to ``(N, D)``.
        data: Where the items come from.
        modality: Which of its modalities.

    Returns:
        float32 ``(items, D)``, or ``(items, T, D)`` of states, in the order of the store.
    """
    encoder.eval()
    count = data.count_items(modality)
    key = _key(encoder, data, modality)
    folder = Path(data.root) / "embeddings" / key[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with wait_and_hold(folder):  # ranks and cells that want the same
            path = folder / f"{modality}.f32"
            if (folder / "COMPLETE").exists():
                rank_zero_info(f"{modality}: {count:,} embeddings of {type(encoder).__name__} are in {folder}")
            else:
                rank_zero_info(
                    f"{modality}: {count:,} items once through the frozen {type(encoder).__name__}: {folder}"
                )
                try:
                    shape = _compute(encoder, data, modality, path)
                except DataError as error:  # a file that was damaged says so itself
                    raise UsageError(str(error)) from error
                except ValueError as error:  # of the encoder or the data, not of the disk
                    raise UsageError(
                        f"the frozen {type(encoder).__name__} cannot read {modality} of shape "
                        f"{list(data.items(modality, 0, 1).shape[1:])}: {error}"
                    ) from error
                manifest = {"schema": 1, "key": key, "modality": modality, "items": count, "width": math.prod(shape)}
                manifest |= {"steps": shape[0]} if len(shape) > 1 else {}
                manifest |= {"source": data.fingerprint, "synthetic": data.synthetic, "encoder": str(encoder)}
                manifest["sha256"] = sha256_file(path)
                write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
                write_atomic(folder / "COMPLETE", key + "\n")
        kept = read_manifest(folder / "manifest.json", items=int, width=int)
        width = int(kept["width"])
        if path.stat().st_size != 4 * count * width:
            raise ValueError(f"{path.name} is not {count} x {width} values")
        # What an earlier version kept has no digest: it is taken as it is.
        if kept.get("sha256", found := sha256_file(path)) != found:
            raise ValueError(f"{path.name} is not what was computed")
        shape = [count, *([int(kept["steps"]), -1] if "steps" in kept else [width])]
        # Copy on write: torch wants memory it may write to.
        return torch.from_numpy(np.memmap(path, np.float32, "c", shape=(count, width)).reshape(shape))
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: the embeddings cannot be kept or read ({error}); delete that folder") from error


def _compute(encoder: nn.Module, data: EmotionDataModule, modality: str, path: Path) -> list[int]:
    """Fill the file from where it ends; return the shape of what there is of an item."""
    count = data.count_items(modality)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device)

    def said(start: int, stop: int) -> Tensor:
        made: Tensor = encoder(data.items(modality, start, stop).to(device)).float().cpu()
        # How many states there are may depend on the longest item of a batch.
        return F.pad(made, (0, 0, 0, shape[0] - made.shape[1])) if made.ndim == 3 else made

    with torch.no_grad():
        whole = torch.ones_like(data.items(modality, 0, 1))  # without padding
        shape = list(encoder(whole.to(device)).shape[1:])
        size = 4 * math.prod(shape)
        done = path.stat().st_size // (size * CHUNK) * CHUNK if path.exists() else 0
        with path.open("r+b" if done else "wb") as file:
            file.truncate(size * done)  # a part of a chunk may not have been written whole
            file.seek(0, 2)
            for start in range(done, count, CHUNK):
                stop = min(start + CHUNK, count)
                parts = [said(at, min(at + BATCH, stop)) for at in range(start, stop, BATCH)]
                file.write(torch.cat(parts).numpy().tobytes())
                file.flush()
    encoder.cpu()
    return shape


def _key(encoder: nn.Module, data: EmotionDataModule, modality: str) -> str:
    digest = hashlib.sha256()
    about: list[Any] = [data.fingerprint, modality, data.count_items(modality), str(encoder), BATCH]
    about += [more] if (more := data.items_key(modality)) else []
    about.append(_settings(encoder))
    digest.update(json.dumps([*about, list(data.items(modality, 0, 1).shape[1:])]).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else b"")
        digest.update(repr(tensor.item()).encode() if not tensor.ndim else b"")
    return digest.hexdigest()


def _settings(encoder: nn.Module) -> dict[str, str]:
    """Return the options of an encoder that neither its text nor its tensors show: how it pools, ..."""
    found = {}
    for name, module in encoder.named_modules():
        for option in inspect.signature(type(module).__init__).parameters:
            value = vars(module).get(option)
            if hasattr(value, "to_dict"):  # a configuration of transformers
                value = {key: of for key, of in value.to_dict().items() if key not in ELSEWHERE}
            if option not in ELSEWHERE and isinstance(value, str | int | float | list | tuple | dict):
                found[f"{name}.{option}"] = str(value)
    return found


def _fill(task: EmotionTask, encoders: dict[str, nn.Module], checkpoint: Path | None) -> None:
    if checkpoint is None:
        task.start(task.init_from)
        return
    state = read_weights(checkpoint)
    for encoder in encoders.values():
        name = next(name for name, module in task.named_modules() if module is encoder)
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        encoder.load_state_dict(own)
