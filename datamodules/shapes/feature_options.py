"""Options about some of the modalities of features."""

from collections.abc import Collection, Mapping, Sequence

from datamodules.errors import DataError
from error_texts import first_names


def check_options(
    modalities: Sequence[str], *, steps: Mapping[str, int], time_last: Collection[str], **named: Collection[str]
) -> None:
    """Refuse an option about a modality that is not read, or a number of steps below 1.

    Args:
        modalities: Those that are read.
        steps: Number of steps by modality.
        time_last: Modalities whose last axis is time.
        **named: Modalities that other options are about.

    Raises:
        DataError: There is one.
    """
    for name, given in {**named, "steps": steps, "time_last": time_last}.items():
        if unknown := set(given) - set(modalities):
            raise DataError(f"--data.{name} names {first_names(sorted(unknown))}; there are {', '.join(modalities)}")
    for modality, count in steps.items():
        if count < 1:
            raise DataError(f"--data.steps: {count} of {modality}; at least 1")
