"""datamodules/media/landmarks.py: OpenFace files as they come, joined on time, one face of several followed."""

import math

import numpy as np
import pytest

from datamodules.errors import MediaError
from datamodules.media.landmarks import POINTS, FaceQuery, landmark_boxes

SIZE = (320, 240)
FPS = 30


def openface(path, rows, extra=("frame", "timestamp", "confidence", "success"), blank="", **columns):
    """Write landmarks: row = (left, top, right, bottom), spread over the 68 points."""
    names = [*extra, *(f"eye_lmk_x_{i}" for i in range(3)), *POINTS, "AU01_r"]
    lines = [("," + blank).join(names)]
    for i, (left, top, right, bottom) in enumerate(rows):
        values = {"frame": i + 1, "timestamp": i / FPS, "confidence": 0.98, "success": 1}
        values |= {name: column[i] for name, column in columns.items()}
        x, y = np.linspace(left, right, 68), np.linspace(top, bottom, 68)
        lines.append(",".join(str(v) for v in [*(values[name] for name in extra), 1, 2, 3, *x, *y, 0.5]))
    path.write_text("\n".join(lines) + "\n")
    return path


def moving(count):
    return [(10 + i, 20 + i, 110 + i, 140 + i) for i in range(count)]


def boxes_at(path, times, frames=30, size=SIZE, **rule):
    return landmark_boxes(path, FaceQuery(np.asarray(times, float), np.arange(frames) / FPS, size, **rule))


def every(count):
    return np.arange(count) / FPS


def spoil(path, line, **values):
    """Put other texts into the fields of one line, the header being line 1."""
    lines = path.read_text().splitlines()
    fields = lines[line - 1].split(",")
    for name, value in values.items():
        fields[[field.strip() for field in lines[0].split(",")].index(name)] = value
    lines[line - 1] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


def test_row_of_a_frame_is_the_papers_where_asked_for(tmp_path):
    path = openface(tmp_path / "a.csv", moving(105))
    times = np.arange(30) * 3.5 / 30
    boxes = boxes_at(path, times, 105, rows="paper")
    rows = [min(math.ceil(i * 105 / 30), 104) for i in range(30)]
    np.testing.assert_allclose(boxes, np.array(moving(105))[rows])
    fewer = boxes_at(openface(tmp_path / "b.csv", moving(4), ()), times, 105, rows="paper")
    np.testing.assert_allclose(fewer[-1], moving(4)[3])


def test_a_frame_takes_the_row_at_its_time(tmp_path):
    path = openface(tmp_path / "a.csv", moving(105))
    shown = np.floor(np.arange(30) * 105 / 30).astype(int)  # frames that are shown at i * duration / 30
    np.testing.assert_allclose(boxes_at(path, shown / FPS, 105), np.array(moving(105))[shown])
    np.testing.assert_allclose(boxes_at(path, [0.51, 0.489, 99]), np.array(moving(105))[[15, 15, 104]])


def gaps(path):
    """Rows of frames 21 to 34 and 51 missing, every ninth row a failure 900 pixels off, one value no number."""
    frames = [frame for frame in range(1, 61) if frame not in (*range(21, 35), 51)]
    failed = {frame for place, frame in enumerate(frames) if place % 9 == 4}
    rows = [
        (x + 900 * (frame in failed), 120, x + 120 + 900 * (frame in failed), 280)
        for frame in frames
        for x in [236 + 4 * frame]
    ]
    openface(
        path,
        rows,
        ("frame", "timestamp", "confidence"),
        " ",
        frame=frames,
        timestamp=[f"{(frame - 1) / FPS:.3f}" for frame in frames],
        confidence=[0.12 if frame in failed else 0.98 for frame in frames],
    )
    spoil(path, 2 + frames.index(45), y_30="-nan(ind)")
    return [frame for frame in frames if frame not in failed and frame != 45]


@pytest.mark.parametrize("columns", ["both", "frame", "timestamp"])
def test_gaps_failures_and_a_value_that_is_no_number(tmp_path, columns):
    good = gaps(tmp_path / "a.csv")
    if columns != "both":
        path = tmp_path / "a.csv"
        path.write_text(path.read_text().replace({"frame": "timestamp", "timestamp": "frame"}[columns], "other", 1))
    times = np.array([0, 4.2 / 30, 0.72, 0.85, 0.9, 43.8 / 30, 50.2 / 30, 1.98])
    boxes = boxes_at(tmp_path / "a.csv", times, 60, (1280, 720))
    nearest = [min(good, key=lambda frame: abs((frame - 1) / FPS - time)) for time in times]
    assert nearest == [1, 6, 20, 20, 35, 44, 52, 60]
    np.testing.assert_allclose(boxes[:, 0], 236 + 4 * np.array(nearest))
    everywhere = boxes_at(tmp_path / "a.csv", every(60), 60, (1280, 720))
    assert np.abs(everywhere[:, 0] - 4 * np.arange(60) - 240).max() <= 4 * 8  # half of the longest gap


def test_numbers_of_frames_are_read_against_the_times_of_the_video(tmp_path):
    path = openface(tmp_path / "a.csv", moving(4), ("frame",))
    clock = np.array([0.0, 0.1, 2.0, 2.1])  # a variable frame rate
    boxes = landmark_boxes(path, FaceQuery(np.array([0.9, 1.2, 2.08]), clock, SIZE))
    np.testing.assert_allclose(boxes, np.array(moving(4))[[1, 2, 3]])
    late = openface(tmp_path / "b.csv", moving(4), ("frame",), frame=[0, 1, 2, 99])  # from 0; a frame that is not there
    np.testing.assert_allclose(
        landmark_boxes(late, FaceQuery(np.array([0, 0.1, 2.1]), clock, SIZE)), np.array(moving(4))[[0, 1, 2]]
    )


@pytest.mark.parametrize("stamps", [[0] * 30, [i / 1000 for i in range(30)], ["nan"] * 30])
def test_time_stamps_without_a_frame_rate_do_not_count(tmp_path, stamps):
    path = openface(tmp_path / "a.csv", moving(30), ("frame", "timestamp"), timestamp=stamps)
    np.testing.assert_allclose(boxes_at(path, every(30)), moving(30))


def test_rows_without_any_time_need_the_papers_rule(tmp_path):
    path = openface(tmp_path / "a.csv", moving(30), ())
    with pytest.raises(MediaError, match="without timestamp and frame; --landmark-rows paper"):
        boxes_at(path, every(30))
    np.testing.assert_allclose(boxes_at(path, every(30), rows="paper"), moving(30))


def two_faces(path, ids, *, swapped=()):
    """A face that moves and, from frame 6 on and listed first, a larger one that stands elsewhere."""
    rows, frames, faces = [], [], []
    for frame in range(20):
        there = [(moving(20)[frame], ids[0])]
        if frame >= 6:
            there.insert(0, ((180, 20, 310, 200), ids[1]))
        for box, face in there:
            rows.append(box)
            frames.append(frame + 1)
            faces.append(face if frame not in swapped else 7)
    stamps = [(frame - 1) / FPS for frame in frames]
    return openface(
        path, rows, ("frame", "face_id", "timestamp", "confidence"), frame=frames, face_id=faces, timestamp=stamps
    )


@pytest.mark.parametrize("ids", [(0, 1), (3, 0), (0, 0)])
def test_the_face_that_is_there_longest_is_followed(tmp_path, ids):
    path = two_faces(tmp_path / "a.csv", ids)
    np.testing.assert_allclose(boxes_at(path, every(20)), moving(20))


def test_a_face_that_is_given_a_new_number_is_still_followed(tmp_path):
    path = two_faces(tmp_path / "a.csv", (0, 1), swapped=(0, 1, 12, 13))
    np.testing.assert_allclose(boxes_at(path, every(20)), moving(20))


def test_another_face_is_not_taken_while_the_first_is_away(tmp_path):
    rows = [*moving(5), (180, 20, 310, 200), (180, 20, 310, 200), *moving(10)[7:]]
    faces = [0] * 5 + [1] * 2 + [0] * 3
    path = openface(tmp_path / "a.csv", rows, ("frame", "timestamp", "face_id"), face_id=faces)
    np.testing.assert_allclose(boxes_at(path, every(10)), np.array(moving(10))[[0, 1, 2, 3, 4, 4, 7, 7, 8, 9]])


@pytest.mark.parametrize(
    ("extra", "blank"),
    [(("frame", "timestamp", "confidence"), ""), (("frame", "face_id", "success"), " "), (("timestamp",), " ")],
)
def test_columns_are_found_by_stripped_name(tmp_path, extra, blank):
    path = openface(tmp_path / "a.csv", moving(30), extra, blank, face_id=[0] * 30)
    np.testing.assert_allclose(boxes_at(path, every(30)), moving(30))


@pytest.mark.parametrize("rows", ["time", "paper"])
@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": "0"},
        {"confidence": "0.69"},
        {"confidence": "-nan(ind)"},
        {"success": "0"},
        {"x_5": "nan"},
        {"y_67": "inf"},
        {"x_0": "-nan(ind)"},
        {"y_9": "x" * 140_000},
        {"box": (0, 0, 0, 0)},
        {"box": (500, 300, 600, 400)},
        {"box": (-90, 10, -5, 100)},
    ],
    ids=lambda bad: str(bad)[:30],
)
def test_a_row_without_a_face_lends_from_the_nearest_with_one(tmp_path, bad, rows):
    boxes = moving(10)
    for i in (0, 5, 6):
        boxes[i] = bad.get("box", boxes[i])
    path = openface(tmp_path / "a.csv", boxes)
    if "box" not in bad:
        for i in (0, 5, 6):
            spoil(path, i + 2, **bad)
    expected = np.array(moving(10), float)[[1, 1, 2, 3, 4, 4, 7, 7, 8, 9]]
    np.testing.assert_allclose(boxes_at(path, every(10), 10, rows=rows), expected)


@pytest.mark.parametrize(
    ("rows", "stamps", "far"),
    [
        (90, [10 + i / FPS for i in range(90)], 90),  # of a later part of the film
        (90, [1000 * i / FPS for i in range(90)], 74),  # milliseconds
        (1, [0.0], 74),  # the first row alone
        (20, [i / FPS for i in range(20)], 55),  # cut off
    ],
)
def test_rows_that_are_far_from_most_frames_are_refused(tmp_path, rows, stamps, far):
    path = openface(tmp_path / "a.csv", moving(rows), ("timestamp",), timestamp=stamps)
    with pytest.raises(MediaError, match=rf"no landmark row with a face within 0.5 s of {far} of 90 frames"):
        boxes_at(path, every(90), 90)
    assert len(boxes_at(path, every(90), 90, rows="paper")) == 90  # which knows no time


def test_rows_near_half_of_the_frames_are_enough(tmp_path):
    path = openface(tmp_path / "a.csv", moving(30), ("timestamp",))
    expected = np.array(moving(30))[[*range(30), *[29] * 30]]
    np.testing.assert_allclose(boxes_at(path, every(60), 60), expected)


def test_the_threshold_of_confidence_is_an_option(tmp_path):
    path = openface(tmp_path / "a.csv", moving(3), ("timestamp", "confidence"), confidence=[0.9, 0.5, 0.8])
    for threshold, expected in ((0.7, [0, 0, 2]), (0.5, [0, 1, 2]), (0.85, [0, 0, 0])):
        boxes = boxes_at(path, [0, 0.03, 0.067], confidence=threshold)
        np.testing.assert_allclose(boxes, np.array(moving(3))[expected])


HEAD = ",".join(["timestamp", *POINTS])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "landmark file: no such file"),
        ("", "landmark file: the file is empty"),
        ("frame,x_0\n1,2\n", "135 landmark columns are missing, the first x_1"),
        (f"{HEAD}\n", "no landmark rows"),
        (f"{HEAD}\n1,2,3\n", "landmark file, line 2: 3 values for 137 columns"),
        (f"{HEAD}\n" + ",".join(["1"] * 137) + "\n" + ",".join(["1"] * 138), "line 3: 138 values for 137 columns"),
        (f"{HEAD}\n" + ",".join(["1"] + ["abc"] * 136) + "\n", "no landmark row holds a face"),
        (f"{HEAD}\n" + ",".join(["1"] + ["nan"] * 136) + "\n", "no landmark row holds a face"),
        (f'{HEAD}\n"' + ",".join(["1"] * 137) + "\n", "line 2: a quotation mark is not closed"),
        (b"\xff\xfe\x00binary", "landmark file, line 1: not UTF-8 text"),
    ],
)
def test_broken_landmark_files(tmp_path, content, reason):
    path = tmp_path / "a.csv"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(MediaError, match=reason) as error:
        boxes_at(path, every(30))
    assert "\n" not in str(error.value)


def test_byte_order_mark_and_dos_line_ends(tmp_path):
    path = openface(tmp_path / "a.csv", moving(30), ("timestamp",))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    np.testing.assert_allclose(boxes_at(path, every(30)), moving(30))


@pytest.mark.realdata
def test_real_openface_files(realdata):
    boxes = boxes_at(realdata / "ravdess/01-01-01-01-01-01-01.first_row.csv", every(30), size=(1280, 720))
    width, height = (boxes[0, 2:] - boxes[0, :2]).tolist()
    assert 150 < width < 400
    assert 200 < height < 400
    # Its time stamps are milliseconds of a video whose rate OpenFace did not know.
    moved = boxes_at(realdata / "ravdess/pyfeat_OpenFace_Test.csv", every(90), 100, (640, 480))
    assert len(np.unique(moved, axis=0)) > 80
