"""The items of a modality, one by one, over which a frozen encoder is run once before training."""

from torch import Tensor

from datamodules.errors import DataError


class EncoderItems:
    """A corpus without items; one that has some defines the first three of these.

    Attributes:
        embeddings: Those that batches carry in place of items, by modality.
    """

    embeddings: dict[str, Tensor]

    def count_items(self, modality: str) -> int:
        """Return the number of items of a modality that an encoder can see one by one."""
        raise DataError(f"--data: {type(self).__name__} has no items of {modality!r} for a frozen encoder")

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return items of a modality as an encoder takes them, float ``(stop - start, ...)``, in store order."""
        raise NotImplementedError

    def items_key(self, modality: str) -> str:
        """Return what items depend on besides the prepared files and their number: options of the DataModule.

        Returns:
            Part of the key under which their embeddings are kept.
        """
        return ""

    def use_embeddings(self, modality: str, values: Tensor) -> None:
        """Make batches carry embeddings in place of items.

        Args:
            modality: Its key.
            values: float32 ``(items, D)`` in the order of `items`.

        Raises:
            DataError: Their number is another one, or this corpus has no such items.
        """
        count = self.count_items(modality)
        if values.ndim != 2 or len(values) != count:
            raise DataError(f"embeddings of {modality} are {tuple(values.shape)}, wanted {count} rows")
        self.embeddings[modality] = values
