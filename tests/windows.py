"""Small windows and encoders, for tests of the models over them."""

import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch.utils.data import DataLoader

STEPS, CHANNELS, CLASSES = 6, 16, 3
IMAGES, JOINTS, EMBEDDINGS = [STEPS, 3, 8, 8], [STEPS, 17, 3], [STEPS, CHANNELS]


class TinyEncoder(nn.Module):
    """An embedding of images or joints with what must not move when it is frozen: BatchNorm and dropout."""

    def __init__(self, values: int = 192, channels: int = CHANNELS) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(values, channels), nn.BatchNorm1d(channels), nn.Dropout(0.5), nn.Tanh()
        )

    def forward(self, x):
        return self.layers(x)


def windows(shapes, size=4, seed=0, absent=()):
    """A batch of windows; ``absent`` names (modality, row) pairs."""
    generator = torch.Generator().manual_seed(seed)
    batch = {
        "id": [f"{('daisee', 'noxi')[row % 2]}/{seed}-{row}" for row in range(size)],
        "group": [f"{row}" for row in range(size)],
        "length": {},
        "mask": {modality: torch.ones(size, dtype=torch.bool) for modality in shapes},
        "target": torch.rand(size, CLASSES, generator=generator).softmax(1),
    }
    for modality, shape in shapes.items():
        batch[modality] = torch.randn(size, *shape, generator=generator)
    for modality, row in absent:
        batch["mask"][modality][row] = False
    return batch


def loader(*batches):
    return DataLoader(batches, batch_size=None)


def from_the_command_line(task, *arguments):
    """Builds a task as a class that options name, the way LightningCLI does."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(task, "model")
    return parser.instantiate_classes(parser.parse_args(["--model", task.__name__, *arguments])).model


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(before, module):
    return all(torch.equal(before[name], value) for name, value in module.state_dict().items())
