"""Clips of any catalogue as dialogues of one utterance, for the models of dialogues."""

from typing import Any, ClassVar

from datamodules.batches import ClipDataset, Split
from datamodules.shapes.dialogue_store import MODALITIES, PER_UTTERANCE
from datamodules.shapes.dialogues import DialoguesDataModule, Modality
from datamodules.shapes.divided import DividedDataModule

NOTHING = "nothing"  # the field of ``meta`` where a corpus knows nothing of its clips besides: always unknown


class ClipUtterances(DividedDataModule, DialoguesDataModule):
    """Clips of a store by the recipe `gated_fusion`, each what one speaker says; see `DialoguesDataModule`.

    Of several stores it takes ``prepared-gated_fusion`` where none is named.

    Of real dialogues it reads what their own DataModule reads, by the folds or splits of `DividedDataModule`.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``text``, ``audio``, ``video`` and ``meta`` to read; what the model reads, or all that the
            store holds, where not given. ``meta`` has a field that is always unknown where nothing is known.
        utterances: Utterances of a batch; of real dialogues the last ones.
        reads: Kind by modality of what the model reads; the command line asks the model.
        **kwargs: See `DividedDataModule` and `DialoguesDataModule`.
    """

    views_of_kinds: ClassVar[dict[str, str]] = {
        DialoguesDataModule.utterance_kinds[modality]: view
        for modality, view in zip(PER_UTTERANCE, ("dialogue_tokens", "speech", "films"), strict=True)
    }

    usual_store = "prepared-gated_fusion"

    def __init__(
        self,
        root: str = "data/clips",
        modalities: list[Modality] | None = None,
        utterances: int = 1,
        reads: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        found = [name for name in MODALITIES if name in (reads or MODALITIES)] if modalities is None else modalities
        super().__init__(root, modalities=found, utterances=utterances, **kwargs)
        if modalities is None and not reads:
            self.modalities = [name for name in found if name in self.input_kinds]

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read and that some clip has; none of a store by another recipe."""
        return super().input_kinds if {"role", "audio_end"} <= self.store.arrays.keys() else {}

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows, targets = self.rows[split], self.targets
        if isinstance(targets, dict):
            return self.clips(rows, {task: of[rows] for task, of in targets.items()})
        return self.clips(rows, targets[rows])

    @property
    def fields(self) -> list[str]:
        """Names of the columns of ``meta``."""
        return super().fields or [NOTHING]
