"""Ids of texts of unequal length, for a network that reads them: padding never counts."""

import torch
from torch import Tensor

from lightning_modules.errors import TaskError


def attended(ids: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Return token ids without the padding that all of them have, and which of them count.

    Args:
        ids: int64 ``(N, L)``, 0 = padding.
        vocabulary: How many ids the network knows.

    Returns:
        ``(N, L')`` and a mask of that shape; the first id always counts.

    Raises:
        TaskError: If an id is none of the network's.
    """
    exported = torch.compiler.is_exporting()  # what a tensor holds does not change a graph
    if not exported and (highest := int(ids.max())) >= vocabulary:
        raise TaskError(
            f"the tokenizer of the data knows id {highest}, the encoder {vocabulary} ids; prepare the data "
            "with the tokenizer of its weights"
        )
    tokens = ids != 0
    tokens[:, 0] = True  # attention over nothing is not a number
    longest = ids.shape[1] if exported else int(tokens.sum(1).max())
    return ids[:, :longest], tokens[:, :longest]
