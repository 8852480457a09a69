"""A training step of the EmotiW fusion from stored embeddings, against one that runs the frozen backbone.

    python benchmarks/emotiw.py [--rounds 1] [--released] [--out FILE.json]

Both train the same model on the same batch of four clips: five 128-pixel spectrograms and five 224-pixel frames each,
ViT-L/14 with random weights, which cost what trained ones do. The store holds what the backbone says of every clip, so
that an epoch no longer depends on it. With ``--released`` also what the released code's freeze costs, which trains what
stands around the frozen blocks and so goes back through all of them: on four frames, since its memory grows with them,
and from there for the step.

Times are CPU seconds of one thread, or seconds of a GPU where there is one; only the ratio matters.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from timing import clock_of, race, timed

from lightning_modules.base import Batch
from lightning_modules.emotiw.model import AudioEncoder, EmotiW, VideoEncoder
from lightning_modules.nn.memory import keep_freed_memory

BAR = 10.0  # how many times faster than with the backbone a step from the store has to be
CLIPS, STEPS, FRAME, SPECTROGRAM = 4, 5, 224, 128


def invented(device: torch.device) -> Batch:
    """Return a batch of noise."""
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(CLIPS, STEPS, 3, FRAME, FRAME, generator=generator)
    audio = torch.randn(CLIPS, STEPS, 1, SPECTROGRAM, SPECTROGRAM, generator=generator)
    return {"video": video.to(device), "audio": audio.to(device), "target": (torch.arange(CLIPS) % 3).to(device)}


def main() -> None:
    """Run the contestants and print their times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--released", action="store_true", help="the released code's freeze too")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = clock_of(device)
    keep_freed_memory()  # as every fit on a CPU does
    shapes = {"audio": [STEPS, 1, SPECTROGRAM, SPECTROGRAM], "video": [STEPS, 3, FRAME, FRAME]}
    model = EmotiW(3, shapes, AudioEncoder(), VideoEncoder()).to(device).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    frames = invented(device)
    encoder = model.frozen_encoders()["video"]
    first = {name: values[:1] for name, values in frames.items()}
    kept = encoder(first["video"][0, :, None])  # (G, D): a group is one frame here
    stored = {**frames, "video": kept.expand(CLIPS, STEPS, -1).contiguous()}
    model.eval()
    torch.testing.assert_close(model({**first, "video": kept[None]})["logits"], model(first)["logits"])
    model.train()

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        model.compute_loss(model(batch), batch).backward()
        optimizer.step()

    times = race(
        {"store": timed(lambda: step(stored), clock), "backbone": timed(lambda: step(frames), clock)}, args.rounds
    )
    ratio = times["backbone"] / times["store"]
    print(f"{CLIPS} clips of {STEPS} + {STEPS}, {SPECTROGRAM}-pixel spectrograms, {device.type}")
    for name, seconds in times.items():
        print(f"step, {name:<10}{1e3 * seconds:>12.0f} ms")
    print(f"from the store: {ratio:.1f} x the speed; bar >= {BAR:g}")
    figures = {"device": device.type, **times, "ratio": ratio}
    if args.released:
        figures |= released(model, frames["video"][:1, :4].transpose(0, 1), times, args.rounds)
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")


def released(model: EmotiW, frames: torch.Tensor, times: dict[str, float], rounds: int) -> dict[str, float]:
    """Return the cost of the released freeze: the backbone's forward and backward on a few frames, scaled to a step."""
    encoder = model.frozen_encoders()["video"]
    assert isinstance(encoder, VideoEncoder)
    clock = clock_of(frames.device)
    frozen = race({"frozen": timed(lambda: encoder(frames), clock)}, rounds)["frozen"]
    blocks = {p for block in encoder.backbone.blocks for p in block.parameters()}  # type: ignore[union-attr]
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter not in blocks)
    encoder.frozen = False  # gradients pass
    through = race({"released": timed(lambda: encoder(frames).sum().backward(), clock)}, rounds)["released"]
    factor = through / frozen
    step = times["store"] + factor * (times["backbone"] - times["store"])
    print(f"released freeze: {factor:.2f} x the frozen backbone's time on {len(frames)} frames; a step would take")
    print(f"{1e3 * step:.0f} ms, {step / times['store']:.1f} x a step from the store")
    return {"released_factor": factor, "released_step": step, "released_ratio": step / times["store"]}


if __name__ == "__main__":
    main()
