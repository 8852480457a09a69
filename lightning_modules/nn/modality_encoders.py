"""The encoders of a fusion that takes any: a module a modality, each from what the data hand over to one vector."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.networks.layer_groups import Frozen, Stages


class ModalityEncoders(nn.ModuleDict):
    """Encoders by modality, in the order they are named in.

    The data may hand over a modality as embeddings ``(B, D)`` that its frozen encoder made ahead.

    Args:
        encoders: By modality. Each says its ``channels`` and which shapes it ``accepts``.
        input_shapes: Shape of one clip by modality.
        model: Name of the model, for error messages.
        fewest: How many modalities it takes at least.

    Raises:
        TaskError: If there are too few, the data lack a modality, or an encoder cannot read it or gives no one vector.
    """

    def __init__(
        self, encoders: dict[str, nn.Module], input_shapes: dict[str, list[int]], model: str, fewest: int = 2
    ) -> None:
        super().__init__(encoders)
        if len(encoders) < fewest:
            raise TaskError(f"model.encoders: {model} fuses {fewest} modalities or more; it was given {len(encoders)}")
        for modality, encoder in encoders.items():
            shape, kind = input_shapes.get(modality), type(encoder).__name__
            if shape is None:
                has = ", ".join(input_shapes)
                raise TaskError(f"model.encoders.{modality}: the data hand over {has}; add it to --data.modalities")
            accepts, channels = getattr(encoder, "accepts", None), getattr(encoder, "channels", None)
            if accepts is None or not isinstance(channels, int):
                raise TaskError(f"model.encoders.{modality}: {kind} is no encoder: it does not say what it reads")
            if not accepts(shape) or (_is_frozen(encoder) and shape == [channels]):
                raise TaskError(f"model.encoders.{modality}: {kind} cannot read {modality} of shape {list(shape)}")
            if getattr(encoder, "pooling", None) == "none":
                raise TaskError(
                    f"model.encoders.{modality}: {model} fuses one vector a modality; pooling none gives many: take "
                    "mean"
                )

    @property
    def channels(self) -> dict[str, int]:
        """Length of each modality's vector."""
        return {modality: int(encoder.channels) for modality, encoder in self.items()}  # type: ignore[arg-type]

    def encode(self, task: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the vector ``(B, D)`` of every modality, zero where a clip lacks it.

        Args:
            task: The model.
            batch: A batch of contract 1.
        """
        found: dict[str, Tensor] = {}
        for modality, encoder in self.items():
            values: Tensor = task.observed(batch, modality)
            if not (_is_frozen(encoder) and list(values.shape[1:]) == [encoder.channels]):
                length = batch.get("length", {}).get(modality)
                values = encoder(values, length) if getattr(encoder, "reads_length", False) else encoder(values)
            found[modality] = task.observed({**batch, modality: values}, modality)
        return found

    def frozen(self) -> dict[str, nn.Module]:
        """Return the encoders of which nothing trains."""
        return {modality: encoder for modality, encoder in self.items() if _is_frozen(encoder)}

    def stages(self) -> Stages:
        """Return the stages of every encoder, named by its modality; frozen ones stay so in any schedule."""
        return {name: parts for modality, of in self.items() for name, parts in encoder_stages(modality, of).items()}

    def load_pretrained(self, checkpoints: dict[str, str]) -> None:
        """Load the pretrained weights of the encoders that no checkpoint is for."""
        for modality, encoder in self.items():
            if modality not in checkpoints and f"encoders.{modality}" not in checkpoints:
                load: Any = getattr(encoder, "load_pretrained", None)
                if load is not None:
                    load()


def encoder_stages(name: str, encoder: nn.Module) -> Stages:
    """Return the stages of one encoder: those it names itself, with a prefix, or all of it as one.

    Args:
        name: Prefix, or name of the one.
        encoder: The encoder.
    """
    own: Any = getattr(encoder, "stages", None)
    if _is_frozen(encoder):
        return {name: [Frozen(encoder)]}
    return {f"{name}_{stage}": parts for stage, parts in own().items()} if own is not None else {name: [encoder]}


def _is_frozen(encoder: nn.Module) -> bool:
    return bool(getattr(encoder, "frozen", False))


def keep_plain(task: Any, encoders: Mapping[str, nn.Module] | None) -> None:
    """Have the arguments that a checkpoint holds be plain values, and whole without the files they were read from.

    Args:
        task: The model, whose argument ``encoders`` names classes or was given modules.
        encoders: Its encoders by modality.
    """
    given = task.hparams.get("encoders") or {}
    if any(isinstance(value, nn.Module) for value in given.values()):
        task.hparams.pop("encoders")
        return
    kept = {}
    for modality, of in given.items():
        resolved = getattr((encoders or {}).get(modality), "resolved", {})
        kept[modality] = {**of, "init_args": {**(of.get("init_args") or {}), **resolved}} if resolved else of
    if kept:
        task.hparams["encoders"] = kept
