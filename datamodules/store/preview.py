"""Contact sheet of a store's pictures: one row a clip, so that a person can see what a model will see."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np

from atomic_files import write_atomic
from datamodules.store.reader import Store

_ROWS, _COLUMNS, _SIDE, _TEXT = 24, 8, 96, 300
_FONT, _SCALE, _LEFT = cv2.FONT_HERSHEY_SIMPLEX, 0.55, 8
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "Ø": "O", "œ": "oe", "ł": "l", "Ł": "L", "đ": "d"})


def write_contact_sheet(store: Store, path: Path, class_names: list[str], array: str = "video") -> None:
    """Write a PNG with frames, id and label of up to 24 clips spread over the store.

    Args:
        store: Holds uint8 RGB clips ``(T, H, W, 3)``, or stills ``(H, W, 3)``.
        path: Where the PNG goes.
        class_names: Name of every label.
        array: Name of the array of pictures.
    """
    rows = []
    for i in np.unique(np.linspace(0, len(store) - 1, _ROWS).round().astype(int)):
        video = store.read(array, i)
        video, columns = (video[None], 1) if video.ndim == 3 else (video, _COLUMNS)
        blank = np.full((columns, _SIDE, _SIDE, 3), 255, np.uint8)  # of a clip without pictures
        picked = video[np.linspace(0, len(video) - 1, columns).round().astype(int)] if video.size else blank
        caption = np.full((_SIDE, _TEXT, 3), 255, np.uint8)
        label = class_names[store.labels[i]] if 0 <= store.labels[i] < len(class_names) else ""
        for line, text in enumerate([store.ids[i], label, "SYNTHETIC" * store.synthetic]):
            place = (_LEFT, 24 + 28 * line)
            cv2.putText(caption, _fitted(text), place, _FONT, _SCALE, (0, 0, 0), 1, cv2.LINE_AA)
        frames = [cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for frame in picked]
        rows.append(np.hstack([caption, *frames]))
    write_atomic(path, cv2.imencode(".png", np.vstack(rows)[:, :, ::-1])[1].tobytes(), sync=False)


def _fitted(text: str) -> str:
    """Return a text in letters that OpenCV can draw, its end where it is too long for a caption."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    plain = "".join(letter if letter.isascii() else "?" for letter in plain if not unicodedata.combining(letter))
    while cv2.getTextSize(plain, _FONT, _SCALE, 1)[0][0] > _TEXT - 2 * _LEFT:
        plain = f"..{plain.removeprefix('..')[1:]}"
    return plain
