"""A training step of the full-size CFN-SR: the paper's settings, ours, and what the device could do at best."""

import multiprocessing
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection

import torch
from timing import clock_of, race, timed
from torch import Tensor, nn

from lightning_modules.cfnsr import CFNSR
from lightning_modules.nn.memory import keep_freed_memory

LAST = torch.channels_last_3d


def training_step(shape: list[int], device: torch.device, ours: bool, cudnn: bool = True) -> Callable[[], None]:
    """Return a training step of full-size CFN-SR: the paper's settings, or bf16 with channels last and fused Adam."""
    batch, *clip = shape
    torch.manual_seed(0)
    model = CFNSR(8, {"video": clip, "audio": [13, 212]}).to(device).train()
    video = torch.randn(shape, device=device)
    if ours:
        model.video.to(memory_format=LAST)
        video = video.contiguous(memory_format=LAST)
    inputs = {
        "video": video,
        "audio": torch.randn(batch, 13, 212, device=device),
        "target": torch.arange(batch, device=device) % 8,
    }
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=ours)

    def step() -> None:
        flags = nullcontext() if cudnn else torch.backends.cudnn.flags(enabled=False)
        with flags:
            with torch.autocast(device.type, torch.bfloat16, enabled=ours):
                loss: Tensor = model.compute_loss(model(inputs), inputs)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def roofline(shape: list[int], device: torch.device, clock: Callable[[], float]) -> float:
    """Return seconds that the convolutions and linear layers of a bf16 training step need at least on this device.

    Each layer costs its FLOP at the speed of a large matrix product or its traffic at the speed of a large copy, both
    measured here, whichever is more; times three for forward, input gradient and weight gradient. Everything else
    (batch norm, activations, optimizer) is taken as free.
    """
    size = 8192 if device.type == "cuda" else 1024
    square = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    large = torch.empty((1 << 30 if device.type == "cuda" else 1 << 28), dtype=torch.uint8, device=device)
    target = large.clone()
    speed = race(
        {"matmul": timed(lambda: square @ square, clock), "copy": timed(lambda: target.copy_(large), clock)}, 5
    )
    flops, bandwidth = 2 * size**3 / speed["matmul"], 2 * large.numel() / speed["copy"]
    batch, *clip = shape
    total = 0.0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        work = 2 * output.numel() * layer.weight.numel() / layer.weight.shape[0]
        traffic = 2 * (inputs[0].numel() + output.numel() + layer.weight.numel())
        total += 3 * max(work / flops, traffic / bandwidth)

    with torch.device("meta"):
        model = CFNSR(8, {"video": clip, "audio": [13, 212]})
        for layer in model.modules():
            if isinstance(layer, nn.Conv3d | nn.Conv1d | nn.Linear):
                layer.register_forward_hook(count)
        model({"video": torch.empty(shape), "audio": torch.empty(batch, 13, 212)})
    return total


def work(pipe: Connection, threads: int, shape: list[int], device: torch.device, ours: bool, cudnn: bool) -> None:
    """Run a training step whenever the pipe says so and answer with its seconds."""
    torch.set_num_threads(threads)
    if ours and device.type == "cpu":
        keep_freed_memory()
    step = timed(training_step(shape, device, ours, cudnn), clock_of(device))
    while pipe.recv():
        pipe.send(step())


def race_step(shape: list[int], rounds: int, device: torch.device) -> dict[str, float]:
    """Time one training step, each contestant in a process of its own, so that none inherits the other's memory.

    On a GPU the baseline also runs with cuDNN switched off, as the released code has it.
    """
    entries = {"baseline": (False, True), "ours": (True, True)}
    if device.type == "cuda":
        entries["baseline without cuDNN"] = (False, False)
    context = multiprocessing.get_context("spawn")
    pipes, contestants = [], {}
    for name, (ours, cudnn) in entries.items():
        here, there = context.Pipe()
        context.Process(
            target=work, args=(there, torch.get_num_threads(), shape, device, ours, cudnn), daemon=True
        ).start()
        there.close()
        pipes.append(here)

        def ask(pipe: Connection = here) -> float:
            pipe.send(True)
            return pipe.recv()

        contestants[name] = ask
    times = race(contestants, rounds)
    for pipe in pipes:
        pipe.send(False)
    return {**times, "roofline": roofline(shape, device, clock_of(device))}
