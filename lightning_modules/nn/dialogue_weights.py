"""Initial weights of the released video models of the gated-fusion paper (see `lightning_modules.gated_fusion`).

Both released models, the video-only one and "MIMAMO Net", draw them alike, their encoders included. The released
audio-text model leaves torch's. What else stands here, the document's models and gated fusion, has no released code.
"""

import torch
from torch import nn


def draw_released(model: nn.Module, leave: tuple[str, ...] = ()) -> None:
    """Draw linear layers and tables by Xavier, and LSTMs by Xavier from below and orthogonal from step to step.

    The biases of both are 0. Everything else stays as torch draws it: convolutions, norms, and the query, key and value
    of `torch.nn.MultiheadAttention`, by Xavier too, over the three as one matrix.

    Args:
        model: All that is in it is filled in place.
        leave: Names of its parts that are left alone.
    """
    own = [part for name, part in model.named_children() if name not in leave]
    for part in (part for whole in own for part in whole.modules()):
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.xavier_uniform_(part.weight)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.LSTM):
            for name, parameter in part.named_parameters():
                if name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                elif name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                else:
                    nn.init.zeros_(parameter)


@torch.no_grad()
def draw_each_third(attention: nn.MultiheadAttention) -> None:
    """Draw query, key and value by Xavier each for itself, as three layers and not as one matrix.

    Args:
        attention: Filled in place.
    """
    for third in attention.in_proj_weight.chunk(3):
        nn.init.xavier_uniform_(third)
