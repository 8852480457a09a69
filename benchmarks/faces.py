"""Faces found on real clips and CPU time a frame: OpenCV's Haar cascade beside BlazeFace, turn by turn in one run.

    AFFECTZOO_REALDATA=DIR python benchmarks/faces.py [--frames 5] [--out FILE.json]

Frames are spread over the clips of ``ravdess/av_clips``, as they are and made harder: turned around their middle, at a
quarter of their size in the middle of black, and darkened, as a video (yuv420p, whose range of brightness is smaller)
and as a picture. A face counts as found where the centre of a finder's largest box is at most half a side away from
where the face is: in the frame as it is, the mean of both finders' boxes, and moved with the picture. The group photo
is ``media/faces/multi_face.jpg``, searched by Haar as clips are, and as the grid of people is. Times are CPU
milliseconds of one thread, medians over frames as they are, and hold the conversion from the decoded frame.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from av.video.frame import VideoFrame
from timing import cpu_seconds

from datamodules.media.blazeface import find_faces
from datamodules.media.clip import read_clip
from datamodules.media.face_mesh import aligned_mesh
from datamodules.media.faces import haar_hits
from datamodules.media.frames import to_rgb
from datamodules.views.base import Times

GRID = {"height": 480, "least": 0.06}  # as `People` has Haar search


def turned(image: np.ndarray, degrees: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture turned and scaled around its middle, and how its points move, ``(2, 3)``."""
    height, width = image.shape[:2]
    move = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    return cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_AREA), move


def frame_of(image: np.ndarray, pix_fmt: str) -> VideoFrame:
    """Return a picture as a frame."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    return frame if pix_fmt == "rgb24" else frame.reformat(format=pix_fmt)


def harder(image: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Return the picture under every condition, how its points move and how large the face is then."""
    still = np.eye(2, 3)
    changed = {"as is": (image, still, 1.0)}
    for degrees in (15, 25, 40):
        changed[f"tilted {degrees} degrees"] = (*turned(image, degrees), 1.0)
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    canvas, (left, top) = np.zeros_like(image), (width * 3 // 8, height * 3 // 8)
    canvas[top : top + height // 4, left : left + width // 4] = small
    changed["a quarter of the size"] = canvas, np.array([[0.25, 0, left], [0, 0.25, top]]), 0.25
    for shown in ("video", "picture"):
        changed[f"brightness x 0.15, {shown}"] = (image * 0.15).astype(np.uint8), still, 1.0
    return changed


def haar(frame: VideoFrame, **search: float) -> list[np.ndarray]:
    """Return Haar's boxes, the largest first."""
    hits, scale = haar_hits(frame, **search)  # type: ignore[arg-type]
    boxes = [np.array([x, y, x + width, y + height]) / scale for x, y, width, height in hits]
    return sorted(boxes, key=lambda box: box[0] - box[2])


def blazeface(frame: VideoFrame) -> list[np.ndarray]:
    """Return BlazeFace's boxes, the largest first."""
    return sorted((face.box for face in find_faces(to_rgb(frame))), key=lambda box: box[0] - box[2])


FINDERS = {"haar": haar, "blazeface": blazeface}


def middle(box: np.ndarray) -> np.ndarray:
    """Return the centre of a box."""
    return (box[:2] + box[2:]) / 2


def measure(clips: list[Path], count: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the share of frames with the face found, by condition and finder, and CPU milliseconds a frame."""
    found: dict[str, dict[str, list[bool]]] = {}
    times: dict[str, list[float]] = {"haar": [], "blazeface": [], "mesh": []}
    for path in clips:
        for decoded in read_clip(path, Times(count)).frames:
            image = to_rgb(decoded)
            boxes = [boxes[0] for finder in FINDERS.values() if (boxes := finder(decoded))]
            truth = np.mean(boxes, axis=0)
            for condition, (picture, move, size) in harder(image).items():
                at, side = move @ [*middle(truth), 1], size * (truth[2] - truth[0])
                frame = frame_of(picture, "rgb24" if condition.endswith("picture") else "yuv420p")
                for name, finder in FINDERS.items():
                    start = cpu_seconds()
                    hits = finder(frame)
                    if condition == "as is":
                        times[name].append(1000 * (cpu_seconds() - start))
                    right = bool(hits) and np.linalg.norm(middle(hits[0]) - at) <= side / 2
                    found.setdefault(condition, {}).setdefault(name, []).append(right)
            for face in find_faces(image)[:1]:
                start = cpu_seconds()
                aligned_mesh(image, face)
                times["mesh"].append(1000 * (cpu_seconds() - start))
    shares = {condition: {name: float(np.mean(hits)) for name, hits in by.items()} for condition, by in found.items()}
    return shares, {name: statistics.median(some) for name, some in times.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=5, help="frames of every clip")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    folder = Path(os.environ.get("AFFECTZOO_REALDATA", ""))
    clips = sorted((folder / "ravdess/av_clips").glob("*.mp4"))
    if not clips:
        parser.error("AFFECTZOO_REALDATA names no folder with ravdess/av_clips/*.mp4")
    cv2.setNumThreads(1)
    shares, times = measure(clips, args.frames)
    photo = cv2.imread(str(folder / "media/faces/multi_face.jpg"))
    group = frame_of(photo[..., ::-1], "rgb24")
    several = {"haar": len(haar(group)), "haar, grid": len(haar(group, **GRID)), "blazeface": len(blazeface(group))}
    print(f"{len(clips)} clips, {args.frames} frames each; share of frames with the face found")
    print(f"{'condition':26}{'haar':>10}{'blazeface':>12}")
    for condition, by in shares.items():
        print(f"{condition:26}{by['haar']:10.1%}{by['blazeface']:12.1%}")
    print(f"{'faces of a group photo':26}{several['haar']:10}{several['blazeface']:12}   (haar as the grid: "
          f"{several['haar, grid']})")  # fmt: skip
    print(f"{'CPU ms a frame':26}{times['haar']:10.1f}{times['blazeface']:12.1f}   (mesh {times['mesh']:.1f} more)")
    if args.out:
        figures = {"found": shares, "group": several, "cpu_ms": times, "clips": len(clips), "frames": args.frames}
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
