"""datamodules/media/faces.py: boxes at the border, the detector, the crop."""

import av
import cv2
import numpy as np
import pytest

from datamodules.errors import MediaError
from datamodules.media.clip import read_clip
from datamodules.media.faces import crop, detect_boxes
from datamodules.views.base import Times as spread


def gradient(width=320, height=240):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 128)], axis=2).astype(np.uint8)


def frame_of(image, pix_fmt="yuv444p"):
    return av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pix_fmt)


def test_crop_cuts_at_full_resolution_and_truncates():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    frame = frame_of(cv2.GaussianBlur(image, (0, 0), 3))
    whole = frame.to_ndarray(format="rgb24")
    np.testing.assert_array_equal(crop(frame, np.array([40.9, 30.9, 104.9, 94.9]), 64), whole[30:94, 40:104])
    large = cv2.resize(whole[30:94, 40:104], (96, 96), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crop(frame, np.array([40.0, 30, 104, 94]), 96), large)
    small = cv2.resize(whole[30:94, 40:104], (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crop(frame, np.array([40.0, 30, 104, 94]), 32), small)


def test_crop_margin_and_clamping():
    frame = frame_of(gradient())
    whole = frame.to_ndarray(format="rgb24")
    np.testing.assert_array_equal(crop(frame, np.array([100.0, 100, 140, 140]), 80, margin=0.5), whole[80:160, 80:160])
    np.testing.assert_array_equal(crop(frame, np.array([-30.0, -10, 64, 64]), 64), whole[:64, :64])
    np.testing.assert_array_equal(crop(frame, np.array([280.0, 200, 900, 900]), 40), whole[200:, 280:])


def test_crop_of_next_to_nothing():
    for box in ([100.2, 100.2, 100.9, 100.9], [319.9, 239.9, 330, 250], [400, 400, 500, 500]):
        for squash in (True, False):
            assert crop(frame_of(gradient(), "yuv420p"), np.array(box, float), 16, squash=squash).shape == (16, 16, 3)


def test_squashed_crop_is_the_released_one():
    frame = frame_of(gradient())
    small = frame.reformat(56, 56, "rgb24", interpolation="BICUBIC").to_ndarray()
    box = np.array([80.0, 60, 200, 190])
    left, top, right, bottom = (int(v) for v in box * [56 / 320, 56 / 240, 56 / 320, 56 / 240])
    expected = cv2.resize(small[top:bottom, left:right], (56, 56), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crop(frame, box, 56, squash=True), expected)


def test_no_face(tmp_path):
    frames = [frame_of(gradient(), "yuv420p")] * 30
    with pytest.raises(MediaError, match="no face found in 15 of 15 frames"):
        detect_boxes(tmp_path / "a.mp4", frames)


class Scripted:
    """A detector that says what it is told to."""

    def __init__(self, hits):
        self.hits = iter(hits)

    def detectMultiScale(self, image, *args, **kwargs):
        return next(self.hits)


def boxes_from(monkeypatch, tmp_path, hits):
    detector = Scripted(hits)
    monkeypatch.setattr("datamodules.media.faces._detector", lambda: detector)
    return detect_boxes(tmp_path / "a.mp4", [frame_of(gradient())] * 15, looks=len(hits))


def test_gaps_and_strays_of_the_detector(monkeypatch, tmp_path):
    steady = [[(100, 50, 80, 80)]] * 15
    expected = boxes_from(monkeypatch, tmp_path, steady)
    np.testing.assert_allclose(expected, np.tile([100, 50, 180, 138], (15, 1)))
    rough = list(steady)
    rough[3], rough[4], rough[14] = (), (), ()
    rough[8] = [(10, 150, 90, 90)]
    rough[10] = [(0, 0, 40, 40), *steady[10]]
    np.testing.assert_allclose(boxes_from(monkeypatch, tmp_path, rough), expected)


def test_the_box_follows_a_moving_face(monkeypatch, tmp_path):
    hits = [[(100 + 4 * i, 50, 80, 80)] for i in range(15)]
    left = boxes_from(monkeypatch, tmp_path, hits)[:, 0]
    np.testing.assert_allclose(left[1:-1], 100 + 4 * np.arange(15)[1:-1])


@pytest.mark.parametrize(("seen", "enough"), [(8, True), (7, False), (1, False)])
def test_most_frames_must_show_a_face(monkeypatch, tmp_path, seen, enough):
    hits = [[(100, 50, 80, 80)]] * seen + [()] * (15 - seen)
    if enough:
        assert boxes_from(monkeypatch, tmp_path, hits).shape == (15, 4)
    else:
        with pytest.raises(MediaError, match="no face found"):
            boxes_from(monkeypatch, tmp_path, hits)


@pytest.mark.realdata
def test_real_faces_are_found(realdata):
    for path in sorted((realdata / "ravdess/av_clips").glob("*.mp4"))[::4]:
        clip = read_clip(path, spread(30))
        boxes = detect_boxes(path, clip.frames)
        sides = (boxes[:, 2:] - boxes[:, :2]) / clip.frames[0].height
        assert (sides > 0.3).all()
        assert (sides < 1.2).all()
    for name in ("odd/black_silent_no_face.mp4", "faces/no_face.mp4"):
        with pytest.raises(MediaError, match="no face found"):
            detect_boxes(realdata / "media" / name, read_clip(realdata / "media" / name, spread(30)).frames)
