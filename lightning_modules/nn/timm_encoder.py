"""An encoder of pictures that is any network of timm, with the size and statistics that its checkpoint wants."""

import json
from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from error_texts import first_line
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_backbone_weights, timm_backbone
from lightning_modules.nn.networks.layer_groups import backbone_stages
from lightning_modules.nn.pretrained_encoder import Freeze, StillEncoder

_FILES = ("model.safetensors", "pytorch_model.bin")  # of a folder that timm saved for the hub


class Timm(StillEncoder):
    """Embedding of a picture, or of a clip of them frame by frame: the features of a network of timm.

    Args:
        backbone: Its name in timm; what the folder of weights says where not given.
        weights: A file (see `load_backbone_weights`), a folder that timm saved for the hub, or ``timm`` for its own
            from the hub or its cache.
        pooling: ``mean``, the network's own; ``none`` hands over the features of all places.
        freeze: What does not train: see `LayerGroups`.
        size: Side in pixels that pictures are resized to; what the network was made for where not given.
        options: Other arguments of `timm.create_model`.
        statistics: ``mean``, ``std`` and ``interpolation`` of its pictures; from beside the weights, or timm's own for
            this network, where not given.

    Raises:
        TaskError: If there is no such network, or nothing says which.
    """

    def __init__(
        self,
        backbone: str | None = None,
        weights: str | None = None,
        freeze: Freeze = "all",
        size: int | None = None,
        options: dict[str, Any] | None = None,
        statistics: dict[str, Any] | None = None,
        pooling: Literal["mean", "none"] = "mean",
    ) -> None:
        super().__init__(weights)
        saved = _saved_settings(Path(weights)) if weights and Path(weights).is_dir() else {}
        name = backbone or saved.get("architecture")
        if not isinstance(name, str):
            raise TaskError("Timm: name a network in `backbone`, or a folder of weights that says which it is")
        options = {**_plain(saved.get("model_args")), **(options or {})}
        network: Any = timm_backbone(name, **options)
        self.network: nn.Module = network
        wanted = {**network.pretrained_cfg, **_plain(saved.get("pretrained_cfg")), **(statistics or {})}
        self.statistics = {of: wanted.get(of) for of in ("mean", "std", "interpolation")}
        made_for: Any = getattr(getattr(network, "patch_embed", None), "img_size", None)
        self.size = size or int((made_for or wanted["input_size"])[-1])
        self.resolved = {"backbone": name, "size": self.size, "options": options, "statistics": self.statistics}
        self.set_groups(backbone_stages(network), freeze, {})
        self.pooling = pooling
        self.channels = int(network.head_hidden_size if pooling == "mean" else network.num_features)

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is None:
            return
        folder = Path(self.weights)
        if not folder.is_dir():
            load_backbone_weights(self.network, self.weights)
            return
        found = [folder / name for name in _FILES if (folder / name).is_file()]
        if not found:
            raise TaskError(f"weights: {folder} holds no {' and no '.join(_FILES)}; fetch it again")
        load_backbone_weights(self.network, str(found[0]))

    def embed(self, pictures: Tensor) -> Tensor:
        """Return embeddings ``(N, channels)``, or states ``(N, P, channels)``, of pictures ``(N, 3, H, W)``."""
        pixels = self.pixels(pictures)
        if pixels.shape[2:] != (self.size, self.size):
            way = "bilinear" if self.statistics.get("interpolation") == "bilinear" else "bicubic"
            pixels = F.interpolate(pixels, (self.size, self.size), mode=way, antialias=True).clamp(0, 1)
        mean, std = (pixels.new_tensor(self.statistics[of]).view(3, 1, 1) for of in ("mean", "std"))
        with self.grad():
            if self.pooling == "mean":
                features: Tensor = self.network((pixels - mean) / std)
                return features
            places: Tensor = self.network.forward_features((pixels - mean) / std)  # type: ignore[operator]
        if places.ndim == 4 and places.shape[1] == self.channels:  # others have channels last
            places = places.movedim(1, -1)
        return places.flatten(1, -2)


def _plain(settings: Any) -> dict[str, Any]:
    return settings if isinstance(settings, dict) else {}


def _saved_settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        return _plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskError(f"weights: {path} is no JSON ({first_line(error, 100)}); fetch it again") from error
