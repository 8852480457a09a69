"""Heat maps of the body's joints: by a pose network that never trains, or drawn from coordinates.

Pose network: Sun, Xiao, Liu, Wang, "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR
2019, https://arxiv.org/abs/1902.09212; original code https://github.com/leoxiaobin/deep-high-resolution-net.pytorch
(MIT).
"""

from typing import Any, Self

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights, timm_backbone

JOINTS = 17  # of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles
UPPER_BODY = 13  # without knees and ankles, which come last


class PoseNetwork(nn.Module):
    """HRNet with one heat map per COCO joint, frozen for good (28,536,113 parameters by default).

    It never trains and takes no gradients, whatever an unfreezing schedule asks.

    Args:
        backbone: An ``hrnet_*`` of timm.
    """

    def __init__(self, backbone: str = "hrnet_w32") -> None:
        super().__init__()
        if not backbone.startswith("hrnet"):
            raise TaskError(f"backbone {backbone!r}: a pose network is an hrnet_* of timm, hrnet_w32 in the paper")
        network: Any = timm_backbone(backbone, features_only=True, feature_location="", out_indices=(1,))
        # timm ends in maps of four sizes, a pose network in the largest alone; the rest would only be carried along.
        network.stage4[-1].fuse_layers = network.stage4[-1].fuse_layers[:1]
        network.final_layer = nn.Conv2d(network.feature_info.channels()[0], JOINTS, 1)
        self.network: nn.Module = network
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stay frozen."""
        return super().requires_grad_(False)

    def load_pose_weights(self, path: str) -> None:
        """Load the official pose checkpoint of the backbone (``pose_hrnet_w32_256x192.pth``), whose names it shares.

        Raises:
            TaskError: If it is unusable, or of another network.
        """
        load_weights(self.network, path)

    def forward(self, images: Tensor) -> Tensor:
        """Find joints.

        Args:
            images: Body crops, normalised, ``(N, 3, S, S)``, S a multiple of 32.

        Returns:
            ``(N, 17, S / 4, S / 4)``, without gradient.
        """
        with torch.no_grad():
            heatmaps: Tensor = self.network.final_layer(self.network(images)[0])  # type: ignore[operator]
        return heatmaps


def draw_heatmaps(joints: Tensor, size: int = 64, sigma: float = 2.0) -> Tensor:
    """Draw what a pose network is trained to give: a Gaussian at every joint, as high as the joint's score.

    Args:
        joints: x and y in parts of the body box, 0 to 1, and score, 0 to 1: ``(N, J, 3)``; NaN where not found.
        size: Side of a map.
        sigma: Standard deviation of the Gaussian in places of the map.

    Returns:
        ``(N, J, size, size)``, float32.
    """
    found = ~joints.isnan().any(-1)
    x, y, score = joints.float().nan_to_num().unbind(-1)
    places = (torch.arange(size, device=joints.device) + 0.5) / size
    spread = 2 * (sigma / size) ** 2

    def bump(centre: Tensor) -> Tensor:
        return (-((places - centre[..., None]) ** 2) / spread).exp()

    height = score.clamp(0, 1) * found
    return height[..., None, None] * bump(y)[..., :, None] * bump(x)[..., None, :]
