"""A transformers text network as a sentence encoder: mean over the tokens, scaled to length 1.

That is how all-MiniLM-L6-v2 and its kin were trained to be read (Reimers & Gurevych 2019,
https://arxiv.org/abs/1908.10084). Weights come from a local folder or from inside an installed package.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.networks.transformers_networks import package_folder, saved_network, transformers_network


def source_folder(source: str) -> Path:
    """Return the folder that a source names.

    Args:
        source: A folder, or ``package:NAME/FOLDER`` for one inside an installed package.

    Raises:
        TaskError: If it is not there.
    """
    folder = package_folder(source, "encoder.source")
    if not (folder / "config.json").is_file():
        raise TaskError(f"encoder.source {source}: there is no {folder / 'config.json'}; name a transformers folder")
    return folder


class SentenceEncoder(nn.Module):
    """Token ids ``(N, L)``, 0 = padding, to sentence embeddings ``(N, dim)`` of length 1.

    Args:
        source: Folder with ``config.json`` and ``model.safetensors``, or ``package:NAME/FOLDER``; random weights where
            not given.
        sha256: Hash that ``model.safetensors`` has to have: a package is only as good as who published it.
        options: Settings of transformers' `BertConfig` for random weights.

    Attributes:
        dim: Values of an embedding.
        resolved: Arguments by which one like it is made without any file.
    """

    def __init__(
        self, source: str | None = None, sha256: str | None = None, options: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        # Seconds of import that other models do not pay.
        from transformers import AutoModel

        if (source is None) == (options is None):
            raise TaskError("encoder: give either a source of weights, or options of a network with random ones")
        if source is None:
            self.network: nn.Module = transformers_network("bert", options or {})
        else:
            folder = source_folder(source)
            path = folder / "model.safetensors"
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none, there is no such file"
            if sha256 is not None and found != sha256:
                raise TaskError(f"encoder.sha256: {path} has {found}, expected {sha256}; do not use these weights")
            # The pooler on top of the first token is part of the file but of no sentence embedding.
            self.network, _ = saved_network(AutoModel, str(folder), add_pooling_layer=False)
        settings: Any = self.network.config
        self.dim = int(settings.hidden_size)
        # What makes one like it without the files that it was read from.
        self.resolved = {"source": None, "sha256": None, "options": options or settings.to_dict()}

    def forward(self, ids: Tensor) -> Tensor:
        """Embed texts; one without any token becomes zeros.

        Raises:
            TaskError: If an id is none of the network's: the texts were prepared with another tokenizer.
        """
        rows = int(self.network.config.vocab_size)  # type: ignore[union-attr, arg-type]
        read = len(ids) and not torch.compiler.is_exporting()  # what a tensor holds does not change a graph
        if read and (highest := int(ids.max())) >= rows:
            raise TaskError(
                f"encoder: the texts hold the token id {highest}, the network knows {rows}; prepare with its tokenizer"
            )
        seen = ids != 0
        if read:
            longest = max(1, int(seen.sum(1).max()))  # padding goes last
            ids, seen = ids[:, :longest], seen[:, :longest]
        # Attention over nothing is not defined: an empty text looks at one padding token and is zeroed below.
        attended = seen.clone()
        attended[:, 0] = True
        tokens = self.network(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        weights = seen.unsqueeze(2).to(tokens.dtype)
        mean = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)
        embedded: Tensor = torch.nn.functional.normalize(mean, dim=1)
        return embedded
