"""Gated fusion from stored embeddings, beside the same model whose frozen encoders run at every step: in one run.

    python benchmarks/gated.py [--rounds 3] [--steps 50] [--out FILE.json]

Full size: BERT base over 64 tokens, wav2vec 2.0 base over 3 seconds, the document's video transformer over 8 frames of
224 pixels, all with random weights; dialogues of one utterance in batches of 4, one thread. Both sides take a whole
training step: batch, forward, focal loss, backward, AdamW. One side reads its embeddings from memory-mapped files, as
training does; the other runs the encoders, as the released code does, of which it needs 31 passes per dialogue.

Times are CPU seconds of this process per step, medians over rounds; ``--steps`` stored steps make one turn. The store
has to be made once: what that costs per dialogue is beside it, and after how many epochs it is paid back. The bar is
300 times per step.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from timing import race, timed
from torch import Tensor, nn

from lightning_modules.gated_fusion.model import AdaptiveGatedFusion
from lightning_modules.nn.dialogue_encoders import BertText, VideoTransformer, Wav2Vec2Audio
from lightning_modules.nn.losses import FocalLoss

BATCH, CLASSES, BAR = 4, 7, 300
SHAPES = {"text": [64], "audio": [48_000], "video": [3, 8, 224, 224]}
SIZES = {f"{who}_{field}": 5 for who in ("speaker", "listener") for field in ("age", "gender", "timbre")}
SIZES |= {"topic": 15}


def raw(count: int) -> dict[str, Tensor]:
    """Return utterances as the encoders see them."""
    return {
        "text": torch.randint(1, 30_000, (count, *SHAPES["text"])),
        "audio": torch.randn(count, *SHAPES["audio"]),
        "video": torch.randn(count, *SHAPES["video"]),
    }


def dialogues(values: dict[str, Tensor], meta: Tensor, target: Tensor) -> dict[str, Any]:
    """Return dialogues of one utterance of the speaker."""
    there = torch.ones(len(target), 1, dtype=torch.bool)
    return {
        **{modality: of.unsqueeze(1) for modality, of in values.items()},
        "id": [""] * len(target),
        "meta": meta,
        "role": there.long(),
        "length": {"utterances": there.long().squeeze(1)},
        "utterance_mask": dict.fromkeys(SHAPES, there),
        "mask": {modality: there.squeeze(1) for modality in (*SHAPES, "meta")},
        "target": target,
    }


def main() -> None:
    """Run both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=50, help="stored steps of one turn")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoders: dict[str, nn.Module] = {"text": BertText(), "audio": Wav2Vec2Audio(), "video": VideoTransformer()}
    shapes = {modality: [1, *shape] for modality, shape in SHAPES.items()} | {"meta": [len(SIZES)]}
    model = AdaptiveGatedFusion(CLASSES, shapes, encoders, vocabulary_sizes=SIZES, loss=FocalLoss())
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=1e-4)
    count = BATCH * args.steps
    meta, target = torch.randint(0, 5, (count, len(SIZES))), torch.randint(0, CLASSES, (count,))
    utterances = raw(BATCH)

    def step(batch: dict[str, Any]) -> None:
        loss = model.compute_loss(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def encoded() -> None:
        with torch.no_grad():
            for modality, encoder in encoders.items():
                encoder(utterances[modality])

    with tempfile.TemporaryDirectory() as folder:
        tables = {}
        for modality, size in model.channels.items():
            path = Path(folder) / f"{modality}.f32"
            path.write_bytes(np.random.default_rng(0).standard_normal((count, size), np.float32).tobytes())
            tables[modality] = torch.from_numpy(np.memmap(path, np.float32, "c", shape=(count, size)))

        def stored() -> None:
            for rows in torch.randperm(count).split(BATCH):
                step(dialogues({name: table[rows] for name, table in tables.items()}, meta[rows], target[rows]))

        found = race(
            {
                "encoders": timed(lambda: step(dialogues(utterances, meta[:BATCH], target[:BATCH]))),
                "stored": timed(stored),
                "making": timed(encoded),
            },
            args.rounds,
        )
    per_step = {"encoders": found["encoders"], "stored": found["stored"] / args.steps}
    ratio = per_step["encoders"] / per_step["stored"]
    making = found["making"] / BATCH
    paid_back = making / ((per_step["encoders"] - per_step["stored"]) / BATCH)
    print(f"{'':<24}{'CPU ms per step of 4':>22}")
    print(f"{'encoders at every step':<24}{1e3 * per_step['encoders']:>22.2f}")
    print(f"{'stored embeddings':<24}{1e3 * per_step['stored']:>22.2f}")
    print(f"{ratio:.0f} x; bar >= {BAR}")
    print(f"making the store: {1e3 * making:.1f} CPU ms per dialogue, once; paid back after {paid_back:.2f} epochs")
    if args.out:
        args.out.write_text(json.dumps({"per_step": per_step, "ratio": ratio, "making": making}, indent=1) + "\n")


if __name__ == "__main__":
    main()
