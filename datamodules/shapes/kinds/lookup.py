"""Which array of a store is meant by a name or a kind, and as which kind it is read."""

from typing import TYPE_CHECKING

from datamodules.errors import DataError
from datamodules.shapes.kinds.array_kinds import KINDS
from datamodules.shapes.kinds.kind import Kind
from datamodules.store.reader import Store

if TYPE_CHECKING:
    from datamodules.shapes.clip_arrays import ClipArraysDataModule

# The views of arrays in stores of schema 1, whose manifests name none.
BY_NAME = {"video": "faces", "mfcc": "mfcc", "wave": "wave", "face": "face", "text": "tokens"}


def find_array(store: Store, name: str) -> str | None:
    """Return the array that a name means: its own, or the only one of a view of that name; None where there is none.

    Raises:
        DataError: The view has made several.
    """
    if name in store.arrays:
        return name
    found = [
        array for array in store.arrays if array.rpartition("_")[0] == name and array.rpartition("_")[2].isdecimal()
    ]
    if len(found) > 1:
        raise DataError(f"--data.arrays: {store.folder} holds {', '.join(found)} of {name}; name one of them")
    return found[0] if found else None


def view_of(store: Store, array: str) -> str:
    """Return the name of the view that made an array; empty where nobody knows."""
    views = store.manifest["settings"].get("views")
    if views is None:
        return BY_NAME.get(array, "")
    found: dict[str, str] = views.get(array) or views.get(array.rpartition("_")[0]) or {}
    return found.get("view", "")


def kind_name(store: Store, array: str) -> str:
    """Return the name of the kind of an array; empty for one that is no modality of clips."""
    kind = KINDS.get(view_of(store, array))
    return kind.name if kind else ""


def array_of_kind(store: Store, kind: str) -> str | None:
    """Return the array of a kind; None where there is none."""
    found = [array for array in store.arrays if kind_name(store, array) == kind]
    if len(found) > 1:
        raise DataError(f"--data.arrays: {store.folder} holds {', '.join(found)}, all of them {kind}; name one")
    return found[0] if found else None


def kind_of(store: Store, array: str, data: "ClipArraysDataModule") -> Kind:
    """Return an array as a modality.

    Raises:
        DataError: It is of a view that is not read here.
    """
    view = view_of(store, array)
    if view not in KINDS:
        raise DataError(
            f"--data.arrays: {array} of {store.folder} is made by {view or 'another view'}; clips are read from what "
            f"{', '.join(KINDS)} make"
        )
    return KINDS[view](store, array, data)
