"""Values of words as indices: vocabularies fitted on train, 0 = unknown everywhere."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

META = "meta"  # the modality of what is known of clips besides, columns meta_<name> of an index
FACTS = "facts"  # its kind


def vocabulary(values: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    """Return the known values of a field in order: those of ``first`` in theirs, the others sorted; none is empty.

    Args:
        values: Those that train.
        first: Values whose order means something.
    """
    found = set(values) - {""}
    return [*(value for value in first if value in found), *sorted(found - set(first))]


def indices(rows: Sequence[Mapping[str, str]], vocabularies: Mapping[str, Sequence[str]]) -> Tensor:
    """Return the index of every value, int64 ``(N, F)``; what is empty, or was not in train, is 0.

    Args:
        rows: Value by field.
        vocabularies: Known values by field, from index 1 on.
    """
    places = {field: {value: place for place, value in enumerate(of, 1)} for field, of in vocabularies.items()}
    return torch.tensor([[of.get(row[field], 0) for field, of in places.items()] for row in rows])
