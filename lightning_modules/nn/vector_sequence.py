"""An encoder of sequences of vectors of any length: features of frames or windows that were computed elsewhere.

Attention over time: Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016,
https://aclanthology.org/N16-1174, equations 5 to 7. Written from the paper; no code was copied.
"""

import torch
from torch import Tensor, nn


class VectorSequence(nn.Module):
    """A recurrent layer over the steps, and their mean as attention weighs them.

    ``h = GRU(dropout(GELU(W_1 x + b_1)))``; ``u_t = tanh(W_2 h_t + b_2)``; ``a = softmax_t(u_t . w)``; the result is
    ``sum_t a_t h_t``. The layer runs forward in time alone, so that what is behind the last step changes nothing before
    it, and those steps have no weight: the result is the same however far a batch is padded.

    Args:
        size: Values of a step, D.
        dim: Length of the result.
        dropout: Dropout of the projected steps.

    Example:
        >>> encoder = VectorSequence(8, dim=16)
        >>> encoder(torch.ones(2, 5, 8), torch.tensor([5, 3])).shape, sum(p.numel() for p in encoder.parameters())
        (torch.Size([2, 16]), 2064)
    """

    def __init__(self, size: int, dim: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(size, dim), nn.GELU(), nn.Dropout(dropout))
        self.recurrent = nn.GRU(dim, dim, batch_first=True)
        self.weigh = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """Encode sequences.

        Args:
            x: ``(B, T, D)``.
            length: Steps of each that count, int64 ``(B,)``; all of them where None. One without any counts as one of
                one step, whatever stands there.

        Returns:
            ``(B, dim)``.
        """
        hidden = self.recurrent(self.project(x))[0]
        scores = self.weigh(hidden).squeeze(2)
        if length is not None:
            behind = torch.arange(x.shape[1], device=x.device) >= length.clamp_min(1)[:, None]
            scores = scores.masked_fill(behind, -torch.inf)
        weighed: Tensor = (scores.softmax(1).unsqueeze(1) @ hidden).squeeze(1)
        return weighed
