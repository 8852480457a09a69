"""The base of the models of dialogues: an embedding per utterance and modality, profiles, padding.

A dialogue is ``(B, U, ...)``: U utterances of text (token ids), audio (16 kHz waves) and video (a few frames), each of
which may be missing, the roles of their speakers, and facts about speaker and listener, ``meta`` ``(B, F)`` with
0 = unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights
from lightning_modules.nn.inputs import kind_of, several
from lightning_modules.nn.modality_encoders import encoder_stages, gives_states, keep_plain, load_pretrained
from lightning_modules.nn.networks.layer_groups import Frozen

SPEAKER = 1  # in ``role``: 0 nobody, 1 the speaker, whose emotion it is, 2 the listener


class DialogueTask(EmotionTask):
    """A model over the utterances of a dialogue.

    The data hand a modality over raw, or as embeddings ``(B, U, D)`` that its frozen encoder made ahead.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"text": [U, L], "audio": [U, S], "video": [U, 3, T, H, W], "meta": [F]}``; linked from the
            data.
        modalities: Those it reads.
        encoders: Make an utterance's embedding, by modality: `UtteranceEncoder`. Those not read are left out.
        freeze_encoders: Whether they stay as they are; otherwise they train. Or those that stay, by modality. One with
            an option ``freeze`` says so itself.
        metadata_dropout: Share of training dialogues whose metadata are unknown, all of them.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lack something, or an encoder is missing or cannot read them.
    """

    usual: ClassVar[tuple[str, ...]] = ("text", "audio", "video")  # what is read where nobody names it

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        modalities: list[str],
        encoders: dict[str, nn.Module],
        freeze_encoders: bool | list[str] = True,
        metadata_dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        keep_plain(self, encoders)
        self.modalities = modalities
        self.metadata_dropout = metadata_dropout
        name = type(self).__name__
        if lacking := [of for of in (*modalities, "meta") if of not in input_shapes]:
            raise TaskError(
                f"{name} reads {', '.join(lacking)}, which the data lack; they hand over {', '.join(input_shapes)}"
            )
        if lacking := [modality for modality in modalities if modality not in encoders]:
            raise TaskError(
                f"model.encoders: {name} needs encoders of {', '.join(lacking)}; it has {', '.join(encoders)}"
            )
        for modality in modalities:
            encoder, shape = encoders[modality], input_shapes[modality][1:]
            accepts: Any = getattr(encoder, "accepts", None)
            if accepts is None or not accepts(shape):
                raise TaskError(
                    f"model.encoders: {type(encoder).__name__} cannot read {modality} of shape {shape}; "
                    "change its options, or those of the data"
                )
            if gives_states(encoder):
                raise TaskError(
                    f"model.encoders.{modality}: {name} reads one vector an utterance; pooling none gives many"
                )
        self.encoders = nn.ModuleDict({modality: encoders[modality] for modality in modalities})
        named = freeze_encoders if isinstance(freeze_encoders, list) else modalities if freeze_encoders else []
        if unknown := [modality for modality in named if modality not in modalities]:
            raise TaskError(
                f"model.freeze_encoders: {name} has no encoder of {', '.join(unknown)}; it has {', '.join(modalities)}"
            )
        self.frozen = frozenset(of for of in modalities if getattr(encoders[of], "frozen", of in named))
        for modality in self.frozen:
            self.encoders[modality].requires_grad_(False).eval()
        self.channels = {modality: int(encoders[modality].channels) for modality in modalities}  # type: ignore[arg-type]

    @classmethod
    def reads(cls, modalities: Sequence[str] | None = None, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return utterances_read(modalities or cls.usual, encoders or {})

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders by modality; none of those that train."""
        return {modality: encoder for modality, encoder in self.encoders.items() if modality in self.frozen}

    def encoder_stages(self) -> Stages:
        """Return one stage per encoder; frozen ones stay so in any schedule."""
        stages: Stages = {}
        for modality, encoder in self.encoders.items():
            name = f"encoder_{modality}"
            stages |= {name: [Frozen(encoder)]} if modality in self.frozen else encoder_stages(name, encoder)
        return stages

    def train(self, mode: bool = True) -> "DialogueTask":
        """Switch everything but frozen encoders, which stay in eval mode."""
        super().train(mode)
        for encoder in self.frozen_encoders().values():
            encoder.eval()
        return self

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load pretrained encoders, then what checkpoints hold.

        Args:
            checkpoints: Path by part: ``model`` for the whole model, a modality for its encoder alone, of any model of
                dialogues, or the name of a submodule.

        Raises:
            TaskError: If a file does not fit, or cannot be had.
        """
        if "model" in checkpoints:
            load_weights(self, checkpoints["model"])
        for modality, encoder in self.encoders.items():
            if modality in checkpoints:
                load_weights(encoder, checkpoints[modality], prefix=f"encoders.{modality}.")
            elif "model" not in checkpoints:
                load_pretrained(encoder)
        super().start_from({part: of for part, of in checkpoints.items() if part not in {"model", *self.encoders}})

    def on_fit_start(self) -> None:
        """Start as every task; warn where a frozen encoder has random weights."""
        super().on_fit_start()
        if not self.trainer.ckpt_path and "model" not in self.init_from and not self.initial:
            for modality, encoder in self.frozen_encoders().items():
                if encoder.weights is None and modality not in self.init_from:
                    rank_zero_warn(
                        f"the frozen encoder of {modality} has random weights; name pretrained ones in its `weights`"
                    )

    def parts_read(self) -> set[str]:
        """Return the listener; a model that reads the speaker alone, or the context too, overrides this."""
        return {"listener"}

    def present(self, batch: Batch, modality: str) -> Tensor:
        """Return which utterances have a modality, bool ``(B, U)``.

        Args:
            batch: A batch of contract 1.
            modality: Its key.
        """
        values: Tensor = batch[modality]
        there: Tensor = torch.arange(values.shape[1], device=values.device) < batch["length"]["utterances"][:, None]
        for mask in (batch.get("utterance_mask", {}).get(modality), batch["mask"].get(modality)):
            if mask is not None:
                there = there & mask.view(len(there), -1)
        return there

    def embedded(self, batch: Batch, modality: str) -> Tensor:
        """Return the utterances of one modality as embeddings, zero where one lacks it.

        Args:
            batch: A batch of contract 1, the modality raw or embedded.
            modality: Its key.

        Returns:
            ``(B, U, D)``.
        """
        return self._encode(batch[modality], self.present(batch, modality), modality)

    def _encode(self, values: Tensor, there: Tensor, modality: str) -> Tensor:
        size = self.channels[modality]
        if modality in self.frozen and values.is_floating_point() and values.ndim == 3 and values.shape[2] == size:
            return values.masked_fill(~there.unsqueeze(2), 0)
        if torch.compiler.is_exporting():  # a graph computes padding too: it has no tensors of unknown size
            items = values.masked_fill(~there.view(*there.shape, *[1] * (values.ndim - 2)), 0).flatten(0, 1)
            dense: Tensor = self.encoders[modality](items).unflatten(0, there.shape)
            return dense.masked_fill(~there.unsqueeze(2), 0)
        items = values[there]  # padding costs nothing
        if not len(items):
            return torch.zeros(*there.shape, size, device=values.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and modality not in self.frozen):
            said: Tensor = self.encoders[modality](items)
        made = said.new_zeros(*there.shape, size)
        made[there] = said
        return made

    def metadata(self, batch: Batch) -> Tensor:
        """Return the indices ``(B, F)``, 0 where a dialogue has none; dropped at random in training."""
        meta = self.observed(batch, "meta")
        if self.training and self.metadata_dropout:
            lost = torch.rand(len(meta), 1, device=meta.device) < self.metadata_dropout
            meta = meta.masked_fill(lost, 0)
        return meta


def utterances_read(modalities: Sequence[str], encoders: Mapping[str, Any]) -> dict[str, str]:
    """Return the kinds of modalities by utterance, as their encoders in the settings read them, and ``meta``."""
    kinds = {name: several("utterances", kind_of(encoders[name])) if name in encoders else "" for name in modalities}
    return {**kinds, "meta": "facts"}


def utterances(batch: Batch) -> Tensor:
    """Return the number of utterances ``(B,)``, at least 1."""
    length: Tensor = batch["length"]["utterances"]
    return length.clamp_min(1)


def last_step(states: Tensor, length: Tensor) -> Tensor:
    """Return the states ``(B, U, D)`` at the last valid step: ``(B, D)``."""
    return states[torch.arange(len(states), device=states.device), length - 1]


def recurrent(lstm: nn.LSTM, steps: Tensor, length: Tensor) -> Tensor:
    """Return the states ``(B, U, D')`` of an LSTM over the valid steps of ``(B, U, D)``, zeros after them."""
    if torch.compiler.is_exporting():
        return _dense(lstm, steps, length)
    packed = nn.utils.rnn.pack_padded_sequence(steps, length.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=steps.shape[1])
    return states


def _dense(lstm: nn.LSTM, steps: Tensor, length: Tensor) -> Tensor:
    """Return what `recurrent` does, computed over the padding too: what runs backward begins at the last valid step."""
    places = torch.arange(steps.shape[1], device=steps.device)
    valid = (places < length[:, None]).unsqueeze(2)
    turned = torch.where(valid, length[:, None, None] - 1 - places[:, None], places[:, None])
    none = steps.new_zeros(1, len(steps), lstm.hidden_size)
    for layer in range(lstm.num_layers):
        made = []
        for suffix in ("", "_reverse")[: 1 + lstm.bidirectional]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights: list[Tensor] = [lstm.get_parameter(f"{name}_l{layer}{suffix}") for name in names]
            shown = steps.gather(1, turned.expand_as(steps)) if suffix else steps
            states = torch.lstm(shown, (none, none), weights, True, 1, 0.0, False, False, True)[0]
            made.append(states.gather(1, turned.expand_as(states)) if suffix else states)
        steps = torch.cat(made, dim=2).masked_fill(~valid, 0)
    return steps


class MetadataTables(nn.Module):
    """A table of embeddings per field of ``meta``; index 0, unknown, has a row of its own.

    Args:
        sizes: Rows by field.
        widths: Width of a field's embedding, by its name without ``speaker_`` or ``listener_``; 32 where not given.
        shared: Have speaker and listener share the tables of their age, gender and timbre, as the released code does.
        deviation: Of the initial weights, drawn from a normal distribution. With torch's 1, who is speaking drowns what
            is said, and becomes a key to memorise by.

    Raises:
        TaskError: If there is no field.
    """

    of_vocabulary = True  # its rows stand for values that the data numbered

    def __init__(
        self,
        sizes: dict[str, int],
        widths: dict[str, int] | None = None,
        shared: bool = False,
        deviation: float = 0.1,
    ) -> None:
        super().__init__()
        if not sizes:
            raise TaskError("the data have no metadata: they know no field of `meta`")
        self.places: list[str] = []
        known: dict[str, tuple[int, int]] = {}  # rows and width by table
        for field, rows in sizes.items():
            kind = field.removeprefix("speaker_").removeprefix("listener_")
            place = kind if shared and kind in ("age", "gender", "timbre") else field
            self.places.append(place)
            width = (widths or {}).get(kind, 32)
            known[place] = (max(rows, known.get(place, (0, 0))[0]), width)
        self.tables = nn.ModuleDict({place: nn.Embedding(*shape) for place, shape in known.items()})
        for table in self.tables.values():
            nn.init.normal_(table.get_parameter("weight"), std=deviation)
        self.width = sum(known[place][1] for place in self.places)

    def each(self, meta: Tensor) -> list[Tensor]:
        """Return the embeddings ``(B, width)`` of the fields of ``(B, F)``, one after the other."""
        return [self.tables[place](meta[:, field]) for field, place in enumerate(self.places)]

    def forward(self, meta: Tensor) -> Tensor:
        """Return the embeddings of ``(B, F)`` side by side, ``(B, width)`` in all."""
        return torch.cat(self.each(meta), dim=1)
