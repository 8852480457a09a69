"""The base of every DataModule: protocol, fold, seed, class names and weights, missing modalities, loaders."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from multiprocessing.util import get_temp_dir
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.batches import Batch, ClipDataset, Split, as_is, global_seed, uniform_draw
from datamodules.errors import DataError
from datamodules.folds import Folds
from datamodules.items import EncoderItems
from datamodules.outputs import OutputsOfData, meanings

Normalize = Literal["none", "speaker"]
SPEAKER_NEEDS = ", on at least two clips of each of its speakers"


class EmotionDataModule(EncoderItems, Folds, OutputsOfData, LightningDataModule):
    """Clips of one corpus under one protocol (contract 1).

    A corpus defines the properties below and `dataset`. Properties are known before `setup`, because the command line
    links them into the model. Training order is a function of seed and epoch alone.

    Args:
        root: Folder of the corpus; the prepared store is ``<root>/prepared``.
        fold: Which fold is the test fold, counted from 0.
        protocol: ``paper`` follows the paper, selection of the epoch on the test fold included; ``honest`` selects
            on validation groups that are in neither train nor test.
        batch_size: Clips per step and device.
        num_workers: Loader processes; 0 is right for memory-mapped clips.
        missing: Rate per modality at which it is dropped from clips, ``{"audio": 0.3}``; drawn per clip id, so that
            it is the same clips for every model.
        class_weighting: ``balanced`` weighs the loss by inverse class frequency in train.
    """

    corpus = ""
    modalities: Sequence[str] = ()
    protocols: tuple[str, ...] = ("paper", "honest")
    cache = True  # whether frozen encoders run once, ahead of training; an argument where a corpus has items for them
    augmented = False
    ids_name_corpora = True  # whether an id with a slash begins with a corpus, which is then scored by itself too
    views_of_kinds: ClassVar[Mapping[str, str]] = {}  # the view of a recipe that each kind is made of
    # Options that hand out what the label was made of, or came after it, and the part of a clip that a model must read.
    leak_options: ClassVar[dict[str, str]] = {}
    normalize: Normalize = "none"  # an argument where arrays of floats are read

    def __init__(
        self,
        root: str,
        fold: int = 0,
        protocol: Literal["paper", "honest"] = "paper",
        batch_size: int = 16,
        num_workers: int = 0,
        missing: dict[str, float] | None = None,
        class_weighting: Literal["none", "balanced"] = "none",
    ) -> None:
        super().__init__()
        if not 0 <= fold < self.num_folds:
            raise DataError(f"--data.fold {fold}: {type(self).__name__} has folds 0 to {self.num_folds - 1}")
        if protocol not in self.protocols:
            raise DataError(
                f"--data.protocol {protocol}: the papers on this corpus select on its official validation split, which "
                f"is the protocol {self.protocols[0]}"
            )
        if batch_size < 1:
            raise DataError(f"--data.batch_size {batch_size}: at least 1")
        if num_workers < 0:
            raise DataError(f"--data.num_workers {num_workers}: at least 0")
        self.root = root
        self.fold = fold
        self.protocol = protocol
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.class_weighting = class_weighting
        self.missing: dict[str, float] = {}
        self.embeddings = {}
        self._datasets: dict[Split, ClipDataset] = {}
        self.set_missing_rates(missing or {})

    @property
    @abstractmethod
    def input_shapes(self) -> dict[str, list[int]]:
        """Shape of one clip per modality as the model's forward sees it."""

    @property
    def input_facts(self) -> dict[str, dict[str, Any]]:
        """What the numbers of modalities mean: ``rate`` (Hz) of waves, ``mean`` and ``std`` of pixels.

        The latter are what pixels between 0 and 1 were normalised by. An encoder of another origin has to know.
        """
        return {}

    def is_augmented(self, modality: str) -> bool:
        """Return whether training shows a modality otherwise than it is stored."""
        return self.augmented

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality, as models name what they read; empty where nobody knows."""
        return {}

    @abstractmethod
    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""

    @abstractmethod
    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the modalities of clips to a batch, zeros where its masks say that one is missing.

        Args:
            batch: Ids, groups and, of every modality, which clips are not made to go without it: its mask.
            rows: Where the clips are, as the dataset has them, ``(B,)``.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash that identifies the prepared data; it goes into every result."""

    @property
    @abstractmethod
    def synthetic(self) -> bool:
        """Whether the clips are a stand-in."""

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """Known values per field of ``meta``, fitted on train alone: index 1 and up; 0 is unknown."""
        return {}

    @property
    def vocabulary_sizes(self) -> dict[str, int]:
        """Number of indices per field of ``meta``, that of unknown included."""
        return {name: len(values) + 1 for name, values in self.vocabularies.items()}

    @property
    def clip_attributes(self) -> dict[str, dict[str, str]]:
        """Attributes of the people in clips, value by name, by clip id: results are broken down by them."""
        return {}

    @property
    def leaks(self) -> dict[str, str]:
        """The options among ``leak_options`` that are on."""
        return {option: part for option, part in self.leak_options.items() if getattr(self, option)}

    @property
    def leaked(self) -> bool:
        """Whether an option of `leaks` is on."""
        return bool(self.leaks)

    @property
    def transductive(self) -> bool:
        """Whether the clips of the test, without their labels, are part of what the model's input is made by."""
        return self.normalize == "speaker"

    @property
    def provenance(self) -> dict[str, Any]:
        """Origin of features that others made (tool, version, settings), by modality; empty where nothing is known."""
        return {}

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Catalogue, recipe and views that the clips were prepared by, as resolved; empty where that is not known."""
        return {}

    @property
    def reading(self) -> dict[str, Any]:
        """How a clip of any corpus becomes a batch like these, as plain values; empty where none can.

        ``data`` names a DataModule of clips of any catalogue, or of features made elsewhere; ``options`` are its,
        ``arrays`` those of a store that it reads.
        """
        return {}

    def scale_as(self, state_dict: dict[str, Any]) -> None:
        """Standardise features by what the training of a checkpoint fitted, where that is done."""

    def state_dict(self) -> dict[str, Any]:
        """Return the description of its input for a checkpoint, as plain values (contract 7)."""
        return {
            "fold": self.fold,
            "protocol": self.protocol,
            "reading": self.reading,
            "facts": self.input_facts,
            "class_names": self.class_names,
            "outputs": self.outputs,
            "vocabularies": self.vocabularies,
            "corpus": self.corpus,
            "prepared_by": self.prepared_by,
            "provenance": self.provenance,
            "synthetic": self.synthetic,
            "normalize": self.normalize,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint whose indices mean something else; standardise as its training did.

        Raises:
            DataError: If its classes, other outputs or vocabularies are not those of this data, or its speakers were
                standardised and those of this data are not, or the other way round.
        """
        if (trained := state_dict.get("normalize", "none")) != self.normalize:
            raise DataError(
                f"--data.normalize {self.normalize}: the checkpoint was trained with {trained}; evaluate it with "
                f"--data.normalize {trained}{SPEAKER_NEEDS * (trained == 'speaker')}"
            )
        for name in ("class_names", "outputs", "vocabularies"):
            own: Any = getattr(self, name)
            stored = state_dict.get(name, own)
            if name == "outputs":
                stored, own = meanings(stored), meanings(own)
            if stored != own:
                raise DataError(
                    f"--ckpt_path: the checkpoint was trained with other {name.replace('_', ' ')} ({stored}) than "
                    f"--data has ({own}); evaluate it on the data and label map of its run"
                )
        self.scale_as(state_dict)

    @property
    def selections(self) -> list[str]:
        """Names of the checkpoints whose predictions are results: contract 5."""
        return ["best", "last"] if self.protocol == "paper" else ["selected"]

    def set_missing_rates(self, missing: dict[str, float]) -> None:
        """Set the rates at which modalities are dropped from clips, in place of the current ones."""
        for modality, rate in missing.items():
            if not 0 <= rate <= 1:
                raise DataError(f"--data.missing: rate {rate} of {modality!r} is not between 0 and 1")
        self.missing = missing
        self._datasets.clear()

    def check_missing(self, modalities: Sequence[str]) -> None:
        """Refuse a rate for a modality that is not read."""
        if unknown := set(self.missing) - set(modalities):
            names = ", ".join(modalities)
            raise DataError(f"--data.missing names {', '.join(sorted(unknown))}; read are {names}")

    def is_missing(self, modality: str, clip: str) -> bool:
        """Return whether this modality is dropped from this clip under ``missing``."""
        rate = self.missing.get(modality, 0.0)
        return rate > 0 and uniform_draw("missing", modality, clip) < rate

    def _split(self, split: Split) -> ClipDataset:
        if split not in self._datasets:
            self._datasets[split] = self.dataset(split)
        return self._datasets[split]

    def _loader(self, split: Split) -> DataLoader[Batch]:
        dataset, trainer = self._split(split), self.trainer
        # A distributed sampler even for one process: its order is a function of seed and epoch, which Lightning sets,
        # and Lightning leaves it alone under DDP.
        sampler: DistributedSampler[Batch] = DistributedSampler(
            dataset,
            num_replicas=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
            shuffle=split == "train",
            seed=global_seed(),
        )
        if self.num_workers:
            get_temp_dir()  # made here, as a worker that finds no room for it would be waited for for ever
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=as_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the clips of the training groups, shuffled."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the clips on which the epoch is selected: the test fold itself under ``paper``."""
        return self._loader("test" if self.protocol == "paper" else "val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the clips of the test fold."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the clips of the test fold."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the tensors of a batch; unlike Lightning's own it looks into no list of ids."""
        return {
            key: value.to(device, non_blocking=True)
            if isinstance(value, torch.Tensor)
            else self.transfer_batch_to_device(value, device, dataloader_idx)
            if isinstance(value, dict)
            else value
            for key, value in batch.items()
        }

    def split_sizes(self) -> dict[str, int]:
        """Return the number of clips per split, 0 validation clips under ``paper``."""
        splits: Sequence[Split] = ("train", "test") if self.protocol == "paper" else ("train", "val", "test")
        return {"val": 0} | {str(split): len(self._split(split)) for split in splits}
