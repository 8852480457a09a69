"""Layer groups of networks that nobody here wrote, and what of them never trains."""

from typing import Literal

from torch import nn

from lightning_modules.errors import TaskError

Stages = dict[str, list[nn.Module | nn.Parameter]]  # group name to what is in it, from input to output
CONTAINERS = ("blocks", "stages", "layers", "features")


def backbone_stages(network: nn.Module) -> Stages:
    """Return the layer groups of any network of timm, from input to output.

    What stands before the blocks is ``stem``, what comes after them ``tail``; the blocks are the children of what timm
    calls ``blocks``, ``stages``, ``layers`` or ``features``, or else (ResNet) every child that has layers inside.

    Args:
        network: The network.

    Returns:
        Group name to modules and parameters, every one exactly once.
    """

    def has_parameters(module: nn.Module) -> bool:
        return next(module.parameters(), None) is not None

    opened = {
        name
        for name, child in network.named_children()
        if name in CONTAINERS and isinstance(child, nn.Sequential | nn.ModuleList)
    }
    parts: list[tuple[str, nn.Module, bool]] = []
    for name, child in network.named_children():
        if name in opened:
            parts += [(f"{name}_{number}", block, True) for number, block in child.named_children()]
        else:
            parts.append((name, child, not opened and any(has_parameters(inner) for inner in child.children())))
    last = max((index for index, (_, _, block) in enumerate(parts) if block), default=len(parts))
    stages: Stages = {"stem": list(network.parameters(recurse=False))}
    stage = "stem"
    for index, (name, child, block) in enumerate(parts):
        if block:
            stage = name
        elif index > last and has_parameters(child):
            stage = "tail"
        stages.setdefault(stage, []).append(child)
    return {name: found for name, found in stages.items() if found}


def transformer_stages(network: nn.Module) -> Stages:
    """Return the layer groups of any network of transformers, from input to output.

    Its layers are the list of modules with the most parameters; what stands before it is ``stem``, the layers are
    ``layer_<n>``, what comes after them ``tail``.

    Args:
        network: The network.

    Returns:
        Group name to modules and parameters, every one exactly once.
    """
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    layers = max(lists, key=lambda found: sum(p.numel() for p in found.parameters()), default=None)
    stages: Stages = {"stem": []}

    def add(module: nn.Module) -> None:
        if module is layers:
            stages.update({f"layer_{number}": [layer] for number, layer in enumerate(module.children())}, tail=[])
        elif layers is None or all(inner is not layers for inner in module.modules()):
            stages["tail" if "tail" in stages else "stem"].append(module)
        else:
            stages["stem"].extend(module.parameters(recurse=False))
            for child in module.children():
                add(child)

    add(network)
    return {name: parts for name, parts in stages.items() if parts}


class Frozen(nn.Module):
    """Stand-in for a module that never trains in `EmotionTask.stages`, so that no schedule unfreezes it.

    It holds the module's own parameters. Asked to train, it stays in eval mode and without gradients.

    Args:
        module: The module, frozen already.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in eval mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "Frozen":
        """Stay without gradients."""
        return super().requires_grad_(False)


class LayerGroups:
    """The layer groups of a network, and which of them never train.

    Args:
        groups: From input to output; those called ``stem`` and ``tail`` are no blocks.
        freeze: ``all``: nothing trains. ``none``: everything does. A number: the last so many blocks and what follows
            them train. ``blocks``: the blocks do not train and everything around them does.
        option: What says so, for error messages.

    Raises:
        TaskError: If there are fewer blocks than are to train.
    """

    def __init__(self, groups: Stages, freeze: Literal["all", "none", "blocks"] | int, option: str) -> None:
        self.groups = groups
        blocks = [name for name in groups if name not in ("stem", "tail")]
        if not isinstance(freeze, int):
            self.fixed = {"all": list(groups), "none": [], "blocks": blocks}[freeze]
        elif 1 <= freeze <= len(blocks):
            trained = [*blocks[-freeze:], "tail"]
            self.fixed = [name for name in groups if name not in trained]
        else:
            raise TaskError(
                f"{option}: {freeze}; give all, none, blocks, or how many of the last {len(blocks)} blocks train"
            )
        for name in self.fixed:
            for part in groups[name]:
                part.requires_grad_(False)

    def stages(self, prefix: str) -> Stages:
        """Return the groups as stages of a model, named by a prefix; no schedule trains what never does."""
        return {
            f"{prefix}{name}": [
                Frozen(nn.ParameterList([part]) if isinstance(part, nn.Parameter) else part) for part in parts
            ]
            if name in self.fixed
            else parts
            for name, parts in self.groups.items()
        }

    def hold(self) -> None:
        """Put what never trains into eval mode."""
        for name in self.fixed:
            for part in self.groups[name]:
                if isinstance(part, nn.Module):
                    part.eval()
