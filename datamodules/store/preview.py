"""Contact sheet of a store's video: one row a clip, so that a person can see what a model will see."""

from pathlib import Path

import cv2
import numpy as np

from atomic_files import write_atomic
from datamodules.store.reader import Store

_ROWS, _COLUMNS, _SIDE, _TEXT = 24, 8, 96, 300


def write_contact_sheet(store: Store, path: Path, class_names: list[str], array: str = "video") -> None:
    """Write a PNG with frames, id and label of up to 24 clips spread over the store.

    Args:
        store: Holds uint8 RGB ``(T, H, W, 3)`` clips.
        path: Where the PNG goes.
        class_names: Name of every label.
        array: Name of the video array.
    """
    rows = []
    for i in np.unique(np.linspace(0, len(store) - 1, _ROWS).round().astype(int)):
        video = store.read(array, i)
        picked = video[np.linspace(0, len(video) - 1, _COLUMNS).round().astype(int)]
        caption = np.full((_SIDE, _TEXT, 3), 255, np.uint8)
        label = class_names[store.labels[i]] if 0 <= store.labels[i] < len(class_names) else ""
        for line, text in enumerate([store.ids[i], label, "SYNTHETIC" * store.synthetic]):
            place = (8, 24 + 28 * line)
            cv2.putText(caption, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
        frames = [cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for frame in picked]
        rows.append(np.hstack([caption, *frames]))
    write_atomic(path, cv2.imencode(".png", np.vstack(rows)[:, :, ::-1])[1].tobytes(), sync=False)
