"""OpenFace landmark tables in the layout of the RAVDESS facial tracking files (712 columns)."""

import numpy as np
from numpy.typing import NDArray

REGRESSED = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)  # action units with an intensity
POINTS = 68


def header() -> list[str]:
    """Return the names of OpenFace 2's columns for one face, in its order."""
    gaze = [f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"] + ["gaze_angle_x", "gaze_angle_y"]
    eyes = [f"eye_lmk_{axis}_{i}" for axis in "xyXYZ" for i in range(56)]
    pose = [f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"]
    face = [f"{axis}_{i}" for axis in "xyXYZ" for i in range(POINTS)]
    shape = ["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty", *(f"p_{i}" for i in range(34))]
    present = sorted((*REGRESSED, 28))
    units = [f"AU{i:02d}_r" for i in REGRESSED] + [f"AU{i:02d}_c" for i in present]
    return ["frame", "timestamp", "confidence", *gaze, *eyes, *pose, *face, *shape, *units]


HEADER = header()
FIRST = HEADER.index("x_0")
BEFORE = ",0" * (FIRST - 3)  # between the confidence and x_0
AFTER = ",0" * (len(HEADER) - FIRST - 2 * POINTS)


def openface_table(points: NDArray[np.float64], fps: int) -> bytes:
    """Return the table of a clip's points in pixels, ``(T, 68, 2)``.

    What a drawn face does not have (gaze, 3D points, action units) is 0.
    """
    rows = [",".join(HEADER)]
    pattern = ",%.2f" * (2 * POINTS)
    for i, frame in enumerate(points):
        rows.append(f"{i + 1},{i / fps:.3f},0.98{BEFORE}{pattern % tuple(frame.T.ravel().tolist())}{AFTER}")
    return ("\n".join(rows) + "\n").encode("ascii")
