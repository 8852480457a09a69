"""Ask a trained model about a clip.

Example:
    >>> import affectzoo
    >>> model = affectzoo.load("runs/cfnsr")  # the folder of a run, a checkpoint, or an exported folder
    >>> answer = model("clip.mp4")
    >>> answer.label in model.classes
    True
    >>> f"{sum(answer.probabilities.values()):.2f}"
    '1.00'
    >>> answer.plot().savefig("answer.png")
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.predict.loaded.answer import Answer
    from experiments.predict.loaded.model import Model

__all__ = ["Answer", "Model", "load"]
_PLACES = {"Answer": "answer", "Model": "model"}


def load(path: str | Path, device: str = "cpu", allow_import: Sequence[str] = ()) -> "Model":
    """Return the model of a checkpoint, a run's folder or an exported folder, ready to be asked about raw files.

    Nothing that the file names is imported or called but the classes of this project's models and their parts.

    Args:
        path: ``.ckpt``; the folder of a run, whose selected checkpoint is taken; or what ``export`` wrote.
        device: Where the model computes, ``cpu``, ``cuda``, ...
        allow_import: Packages of your own, whose classes it may name too.

    Raises:
        ValueError: The file is no such checkpoint, or says too little of its input; the message says what to do.

    Example:
        >>> model = load("runs/cfnsr")
        >>> model.modalities
        ['video', 'audio']
        >>> model.about["corpus"], model.about["synthetic"]
        ('ravdess', True)
    """
    from experiments.predict.loaded.model import Model  # seconds of import that `import affectzoo` does not pay

    return Model(Path(path), device, allow_import)


def __getattr__(name: str) -> Any:
    """Import what is named, when it is."""
    if name not in _PLACES:
        raise AttributeError(f"module 'affectzoo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"experiments.predict.loaded.{_PLACES[name]}"), name)
