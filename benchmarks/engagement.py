"""One epoch of windows of embeddings, beside the released loader's recipe: both sides in one run, turn by turn.

    python benchmarks/engagement.py [--videos 200] [--frames 100] [--window 4] [--stride 2] [--out FILE.json]

Needs pandas, which nothing else here does.

The recipe, written anew from its description: one table of all frames, with the embedding, the label and the frame's
path as columns; rows of each video found by scanning the path column; every window cut out as a table of its own when
the set is built; and per item 256 columns picked by name out of that table, turned into a tensor, the labels averaged,
and items stacked by the default collation. Ours is `EngagementWindows` over a store of the same videos.

Times are CPU seconds of this process, medians over rounds. The table prints the time to build and per epoch (batches of
32, shuffled, no workers), and the ratio; the bar is 40 times per epoch.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch
from timing import race, timed
from torch.utils.data import DataLoader, Dataset

from datamodules.engagement import EngagementWindows
from datamodules.store.writer import StoreWriter

WIDTH, BATCH, FPS, BAR = 256, 32, 5, 40
NAMES = [f"embedding_{i}" for i in range(WIDTH)]
LABELS = ["label_0", "label_1", "label_2"]


def invent(videos: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings ``(N, 256)`` and soft labels ``(N, 3)``."""
    rng = np.random.default_rng(0)
    count = videos * frames
    return np.tanh(rng.standard_normal((count, WIDTH), np.float32)), rng.dirichlet(np.ones(3), count).astype(np.float32)


class TableWindows(Dataset):
    """The recipe: a list of tables.

    Args:
        frames: One row per frame.
        names: Videos.
        length: Frames of a window.
        stride: Frames from one window to the next.
    """

    def __init__(self, frames: pd.DataFrame, names: list[str], length: int, stride: int) -> None:
        self.windows = []
        for name in names:
            video = frames[frames["path"].str.contains(f"{name}/", regex=False)]
            starts = list(range(0, len(video) - length + 1, stride))
            for start in starts:
                self.windows.append(video.iloc[start : start + length])
            if starts and starts[-1] + length < len(video):
                self.windows.append(video.iloc[-length:])

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embeddings ``(T, 256)`` and mean label ``(3,)``."""
        window = self.windows[i]
        values = torch.tensor(window[NAMES].values, dtype=torch.float32)
        labels = window[LABELS].values.sum(axis=0)
        return values, torch.tensor(labels / labels.sum(), dtype=torch.float32)


def table_of(values: np.ndarray, labels: np.ndarray, videos: int, frames: int) -> tuple[pd.DataFrame, list[str]]:
    """Return the recipe's table of frames and the names of its videos."""
    names = [f"session_{video:04d}" for video in range(videos)]
    table = pd.DataFrame(values, columns=NAMES)
    table[LABELS] = labels
    table.insert(0, "path", [f"{name}/{name}_{step / FPS:.2f}.png" for name in names for step in range(frames)])
    return table, names


def store_of(folder: Path, labels: np.ndarray, videos: int, frames: int) -> None:
    """Return a store of the same videos; their joints stand for whatever was embedded."""
    arrays = {"joints": "f32", "joints_seen": "u8", "labels": "f32"}
    writer = StoreWriter(folder / "prepared", arrays, {"corpus": "made up"}, synthetic=True, columns=("split",))
    for video in range(videos):
        content = {
            "joints": np.zeros((frames, 17, 3), np.float32),
            "joints_seen": np.ones(frames, np.uint8),
            "labels": labels[video * frames : (video + 1) * frames],
        }
        writer.add(f"made_up/session_{video:04d}", f"{video}", 0, content, columns={"split": "train"})
    writer.finish()


def main() -> None:
    """Run both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--frames", type=int, default=100, help="per video, at 5 per second")
    parser.add_argument("--window", type=float, default=4.0, help="seconds")
    parser.add_argument("--stride", type=float, default=2.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    values, labels = invent(args.videos, args.frames)
    table, names = table_of(values, labels, args.videos, args.frames)
    length, stride = round(FPS * args.window), round(FPS * args.stride)
    built: dict[str, object] = {}

    with tempfile.TemporaryDirectory() as folder:
        store_of(Path(folder), labels, args.videos, args.frames)

        def build_tables() -> None:
            built["tables"] = TableWindows(table, names, length, stride)

        def build_ours() -> None:
            data = EngagementWindows(
                [folder], ["kinesics"], args.window, args.stride, kinesics="joints", batch_size=BATCH
            )
            data.use_embeddings("kinesics", torch.from_numpy(values))
            data.train_dataloader()
            built["ours"] = data

        build = race({"recipe": timed(build_tables), "ours": timed(build_ours)}, args.rounds)
        tables, ours = built["tables"], built["ours"]
        assert isinstance(tables, TableWindows)
        assert isinstance(ours, EngagementWindows)
        windows = len(ours.dataset("train"))
        assert windows == len(tables)
        for row in (0, windows // 2, windows - 1):  # both sides hand over the same
            batch = ours.dataset("train").__getitems__([row])
            torch.testing.assert_close(batch["kinesics"][0], tables[row][0])
            torch.testing.assert_close(batch["target"][0], tables[row][1])
        loader = DataLoader(tables, batch_size=BATCH, shuffle=True)
        # The same batches, each in an epoch's order; sums make sure that what is handed over is there.
        epoch = race(
            {
                "recipe": timed(lambda: sum(float(batch[0, 0, 0]) for batch, _ in loader)),
                "ours": timed(lambda: sum(float(batch["kinesics"][0, 0, 0]) for batch in ours.train_dataloader())),
            },
            args.rounds,
        )
    ratio = epoch["recipe"] / epoch["ours"]
    print(f"{args.videos} videos x {args.frames} frames, {args.window:g} s / {args.stride:g} s: {windows} windows")
    print(f"{'':<8}{'build ms':>12}{'epoch ms':>12}")
    for name in ("recipe", "ours"):
        print(f"{name:<8}{1e3 * build[name]:>12.2f}{1e3 * epoch[name]:>12.2f}")
    print(f"epoch: {ratio:.1f} x the recipe's speed; bar >= {BAR}")
    if args.out:
        args.out.write_text(
            json.dumps({"windows": windows, "build": build, "epoch": epoch, "ratio": ratio}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
