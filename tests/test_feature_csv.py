"""Features in a table per clip, as OpenFace and openSMILE write them: what is read, costs a row, is refused."""

from collections import Counter

import numpy as np
import pytest

from datamodules.errors import DataError
from datamodules.reading.feature_csv import choose_columns, read_clip_table

HEADER = "frame, face_id, timestamp, confidence, success, AU01_r, AU02_r, AU01_c, gaze"


def line(frame, face=0, confidence=0.98, success=1, values=("1", "2", "0", "0.5")):
    return ", ".join([str(frame), str(face), f"{frame / 25:.3f}", str(confidence), str(success), *values])


def write(path, *lines, header=HEADER, end="\n"):
    path.write_text(end.join([header, *lines, ""]))
    return path


def read(path, columns=("AU01_r", "AU02_r"), confidence=0.7):
    told = Counter()
    return read_clip_table(path, list(columns), confidence, told), told


def refused(action):
    with pytest.raises(DataError) as stop:
        action()
    assert stop.value.exit_code == 2
    assert "\n" not in str(stop.value)
    return str(stop.value)


@pytest.mark.parametrize("blank", [", ", ",", ";", "\t"])
def test_columns_are_found_by_name_whatever_divides_them(tmp_path, blank):
    rows = [line(1, values=("1.5", "2", "0", "9")), line(2, values=("3", "4e-1", "0", "9"))]
    path = write(tmp_path / "a.csv", *(row.replace(", ", blank) for row in rows), header=HEADER.replace(", ", blank))
    values, told = read(path)
    np.testing.assert_array_equal(values, np.float32([[1.5, 2], [3, 0.4]]))
    assert values.dtype == np.float32
    assert not told


def test_globs_choose_columns_and_never_times_and_confidences(tmp_path):
    path = write(tmp_path / "a.csv", line(1))
    assert choose_columns(path, ["AU*_r"]) == ["AU01_r", "AU02_r"]
    assert choose_columns(path, ["gaze", "AU*", "AU01_r"]) == ["gaze", "AU01_r", "AU02_r", "AU01_c"]
    assert choose_columns(path, ["*"]) == ["AU01_r", "AU02_r", "AU01_c", "gaze"]
    assert choose_columns(path, ["confidence"]) == ["confidence"]
    assert "has no column 'AU*_x'; it has frame, face_id" in refused(lambda: choose_columns(path, ["AU*_x"]))


def test_rows_without_a_face_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "a.csv", line(1), line(2, confidence=0.69), line(3, success=0), line(4, confidence=0.7))
    values, told = read(path)
    assert len(values) == 2
    assert told == {"without a face (confidence below 0.7, or no success)": 2}
    assert len(read(path, confidence=0.5)[0]) == 3


def test_a_release_without_success_and_gaps_is_read(tmp_path):
    """Rows of frames missing, every ninth a failed detection, one value that is none: it costs one row."""
    header, rows = "frame, timestamp, confidence, x_0, y_0", []
    for frame in range(1, 60):
        if not 21 <= frame <= 34:
            confidence = 0.12 if frame % 9 == 5 else 0.97
            x = "-nan(ind)" if frame == 40 else f"{frame}.5"
            rows.append(f"{frame}, {frame / 30:.3f}, {confidence}, {x}, 7")
    values, told = read(write(tmp_path / "a.csv", *rows, header=header), ["x_0"])
    good = [frame for frame in range(1, 60) if not 21 <= frame <= 34 and frame % 9 != 5 and frame != 40]
    np.testing.assert_array_equal(values[:, 0], np.float32(good) + 0.5)
    assert told["with a value that is no number"] == 1


@pytest.mark.parametrize("text", ["-nan(ind)", "nan", "NaN", "-1.#IND", "inf", "-Infinity", "", "1e999"])
def test_what_is_no_number_costs_one_row_and_only_in_a_chosen_column(tmp_path, text):
    path = write(tmp_path / "a.csv", line(1), line(2, values=("1", text, "0", "0.5")), line(3))
    values, told = read(path)
    assert len(values) == 2
    assert told == {"with a value that is no number": 1}
    assert len(read(path, ["AU01_r"])[0]) == 3


def test_of_several_faces_the_one_with_most_rows_is_kept(tmp_path):
    rows = [line(frame, face=1, values=("1", "1", "0", "0")) for frame in range(1, 6)]
    rows += [line(frame, face=0, values=("9", "9", "0", "0")) for frame in range(1, 4)]
    values, told = read(write(tmp_path / "a.csv", *rows))
    np.testing.assert_array_equal(values, np.ones((5, 2), np.float32))
    assert told == {"of other faces": 3}


@pytest.mark.parametrize("clock", ["timestamp", "frameTime", "start", "frame"])
def test_rows_are_in_order_of_time(tmp_path, clock):
    path = write(tmp_path / "a.csv", "0.2;3", "0.1;2", "0;1", header=f"{clock};energy")
    assert read(path, ["energy"])[0][:, 0].tolist() == [1, 2, 3]


def test_time_as_pandas_writes_it(tmp_path):
    rows = ["a.wav,0 days 00:01:00,3", "a.wav,0 days 00:00:10.500000,2", "a.wav,0 days 00:00:02,1"]
    path = write(tmp_path / "a.csv", *rows, header="file,start,energy")
    assert read(path, ["energy"])[0][:, 0].tolist() == [1, 2, 3]


def test_decimal_commas_and_words_are_refused_with_their_place(tmp_path):
    comma = write(tmp_path / "a.csv", "0.1;1,5", header="frameTime;energy")
    assert f"{comma}, line 2: energy is '1,5', with a decimal comma" in refused(lambda: read(comma, ["energy"]))
    wide = write(tmp_path / "b.csv", "0,1,1,5", header="frameTime,energy")
    assert f"{wide}, line 2: 4 values for 2 columns" in refused(lambda: read(wide, ["energy"]))
    word = write(tmp_path / "c.csv", "0.1,loud", header="frameTime,energy")
    assert "energy is 'loud', not a number; leave it out" in refused(lambda: read(word, ["energy"]))
    assert "no column power" in refused(lambda: read(word, ["power"]))


def test_a_table_without_a_good_row_is_a_sequence_of_none(tmp_path):
    values, _ = read(write(tmp_path / "a.csv", line(1, success=0)))
    assert values.shape == (0, 2)
