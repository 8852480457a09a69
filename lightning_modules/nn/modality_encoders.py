"""The encoders of a model that takes any: a module a modality, each from what the data hand over to vectors."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_modules.base import EmotionTask
from lightning_modules.errors import TaskError
from lightning_modules.nn.inputs import kind_of
from lightning_modules.nn.networks.layer_groups import Frozen, Stages


class ModalityEncoders(nn.ModuleDict):
    """Encoders by modality, in the order they are named in.

    The data may hand over a modality as what its frozen encoder made ahead: embeddings ``(B, D)``, or states
    ``(B, T, D)`` of one that pools none.

    Args:
        encoders: By modality. Each says its ``channels`` and which shapes it ``accepts``.
        input_shapes: Shape of one clip by modality.
        model: Name of the model, for error messages.
        fewest: How many modalities it takes at least.
        most: And at most; any number where None.
        states: Whether it has a use for many states a modality.

    Raises:
        TaskError: If there are too few or too many, the data lack a modality, or an encoder cannot read it or gives
            many states where one vector is wanted.
    """

    def __init__(
        self,
        encoders: dict[str, nn.Module],
        input_shapes: dict[str, list[int]],
        model: str,
        fewest: int = 2,
        most: int | None = None,
        states: bool = False,
    ) -> None:
        super().__init__(encoders)
        if len(encoders) < fewest or (most is not None and len(encoders) > most):
            number = f"{fewest} modalities or more" if most is None else f"at most {most}"
            raise TaskError(f"model.encoders: {model} fuses {number}; it was given {len(encoders)}")
        for modality, encoder in encoders.items():
            shape = input_shapes.get(modality)
            if shape is None:
                has = ", ".join(input_shapes)
                raise TaskError(f"model.encoders.{modality}: the data hand over {has}; add it to --data.modalities")
            check_encoder(encoder, modality, shape)
            if gives_states(encoder) and not states:
                raise TaskError(
                    f"model.encoders.{modality}: {model} fuses one vector a modality; pooling none gives many: take "
                    "mean"
                )

    @property
    def channels(self) -> dict[str, int]:
        """Length of each modality's vector."""
        return {modality: int(encoder.channels) for modality, encoder in self.items()}  # type: ignore[arg-type]

    def encode(self, task: EmotionTask, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the vector ``(B, D)`` or the states ``(B, T, D)`` of every modality, zero where a clip lacks it.

        Args:
            task: The model.
            batch: A batch of contract 1.
        """
        found: dict[str, Tensor] = {}
        for modality, encoder in self.items():
            values = task.observed(batch, modality)
            if not (_is_frozen(encoder) and _made_ahead(values, encoder)):
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
                load_pretrained(encoder)


class EncodedTask(EmotionTask):
    """The base of models that take any encoders, by modality."""

    encoders: ModalityEncoders | None

    def take_encoders(self, encoders: dict[str, nn.Module] | None, **limits: Any) -> None:
        """Keep the encoders, where there are any.

        Args:
            encoders: By modality.
            **limits: See `ModalityEncoders`.
        """
        keep_plain(self, encoders)
        self.encoders = None
        if encoders:
            self.encoders = ModalityEncoders(encoders, self.input_shapes, type(self).__name__, **limits)

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders that never train."""
        return self.encoders.frozen() if isinstance(self.encoders, ModalityEncoders) else {}

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load pretrained encoders, then what checkpoints hold.

        Args:
            checkpoints: Path by submodule.
        """
        if isinstance(self.encoders, ModalityEncoders):
            self.encoders.load_pretrained(checkpoints)
        super().start_from(checkpoints)


def load_pretrained(encoder: nn.Module) -> None:
    """Load the pretrained weights of an encoder that can have any."""
    load: Any = getattr(encoder, "load_pretrained", None)
    if load is not None:
        load()


def kinds_read(encoders: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the kind that each of the encoders in the settings reads."""
    return {modality: kind_of(of) for modality, of in (encoders or {}).items()}


def gives_states(encoder: nn.Module) -> bool:
    """Return whether an encoder hands over all of its states in place of one vector."""
    return getattr(encoder, "pooling", None) == "none"


def check_encoder(encoder: nn.Module, modality: str, shape: list[int]) -> None:
    """Refuse what is no encoder, and one that cannot read what the data hand over.

    Args:
        encoder: Of the modality.
        modality: Its key.
        shape: Of one item.

    Raises:
        TaskError: If it is none, or cannot read it.
    """
    kind = type(encoder).__name__
    accepts, channels = getattr(encoder, "accepts", None), getattr(encoder, "channels", None)
    if accepts is None or not isinstance(channels, int):
        raise TaskError(f"model.encoders.{modality}: {kind} is no encoder: it does not say what it reads")
    if not accepts(shape) or (_is_frozen(encoder) and shape == [channels]):
        raise TaskError(f"model.encoders.{modality}: {kind} cannot read {modality} of shape {list(shape)}")


def _made_ahead(values: Tensor, encoder: Any) -> bool:
    return values.ndim == (3 if gives_states(encoder) else 2) and values.shape[-1] == encoder.channels


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
        task.lost_parts.append("encoders")
        return
    kept = {}
    for modality, of in given.items():
        resolved = getattr((encoders or {}).get(modality), "resolved", {})
        kept[modality] = {**of, "init_args": {**(of.get("init_args") or {}), **resolved}} if resolved else of
    if kept:
        task.hparams["encoders"] = kept
