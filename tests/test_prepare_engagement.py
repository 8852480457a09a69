"""prepare daisee and prepare noxi over small films whose grey tells the frame, with boxes, detectors and bad input."""

import csv

import cv2
import numpy as np
import pytest
from test_media import own_bytes

import cli
from datamodules.catalogues.daisee import DAiSEE, participant
from datamodules.catalogues.noxi import NoXi, read_annotation
from datamodules.catalogues.ravdess import RAVDESS
from datamodules.errors import DataError, MediaError, UnusableError
from datamodules.media.boxes import COLUMNS, at_step, read_boxes
from datamodules.media.grid_frames import grid_frames
from datamodules.media.letterbox import letter_box
from datamodules.recipe import Recipe, load
from datamodules.standins._drawing.movie import mp4
from datamodules.store import decoding, preparation
from datamodules.views.faces import Faces
from datamodules.views.people import People

WIDTH, HEIGHT = 96, 64
CATALOGUES = {"daisee": DAiSEE(), "noxi": NoXi()}
SMALL = {"face_size": 24, "body_size": 16}


def film(path, frames, fps):
    """A film whose grey grows by 3 per frame, white in a square."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def picture(i):
        image = np.full((HEIGHT, WIDTH, 3), min(20 + 3 * i, 230), np.uint8)
        image[20:40, 30:50] = 250
        return image

    path.write_bytes(mp4((picture(i) for i in range(frames)), fps))
    return path


def brightness(image):
    return int(np.median(image))


def write_boxes(path, rows, parts=("face", "body", "joints")):
    names = ["video", "time", *(name for part in parts for name in COLUMNS[part])]
    lines = [",".join(names)]
    for row in rows:
        lines.append(",".join(str(row.get(name, "")) for name in names))
    path.write_text("\n".join(lines) + "\n")


def box(part, *sides):
    return dict(zip(COLUMNS[part], sides, strict=True))


def prepare(corpus, source, out, max_skipped=0, **options):
    recipe = load("engagement", {"people": {**SMALL, **options}})
    return preparation.prepare(CATALOGUES[corpus], recipe, source, out, workers=1, max_skipped=max_skipped)


def main(corpus, source, out, *more):
    small = [f"--views.people.{name}={size}" for name, size in SMALL.items()]
    return cli.main(["prepare", corpus, "--source", str(source), "--out", str(out), "--workers", "1", *small, *more])


def everything(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "prepared").iterdir())}


LEVELS = {"1100011002": 0, "1100011003": 1, "1100021001": 2, "1100031001": 3}
SPLIT_OF = {"110001": "Train", "110002": "Validation", "110003": "Test"}


@pytest.fixture
def corpus(tmp_path):
    """A DAiSEE of four clips of 30 frames per second with boxes at every frame time of the grid."""
    folder = tmp_path / "daisee"
    labels = {split: ['ClipID,Boredom,Engagement,Confusion,"Frustration "'] for split in SPLIT_OF.values()}
    rows = []
    for clip, level in LEVELS.items():
        split = SPLIT_OF[clip[:6]]
        own_bytes(film(folder / f"DataSet/{split}/{clip[:6]}/{clip}/{clip}.mp4", 60, 30))
        labels[split].append(f"{clip}.avi,3,{level},0,0")  # the label files write .avi whatever the clip is
        for step in range(10):
            row = {"video": clip, "time": step / 5} | box("face", 30, 20, 50, 40) | box("body", 10, 12, 74, 44)
            row |= {"j0_x": 42, "j0_y": 20, "j0_score": 0.5, "j5_x": 10, "j5_y": 44, "j5_score": 0.9}
            rows.append(row)
    (folder / "Labels").mkdir()
    for split, lines in labels.items():
        (folder / f"Labels/{split}Labels.csv").write_text("\n".join(lines) + "\n")
    write_boxes(folder / "boxes.csv", rows)
    return folder


def test_grid_frames_are_those_shown_at_fifths_of_a_second(tmp_path):
    for fps, frames in ((30, 45), (25, 31), (5, 7), (4, 6), (12, 20)):
        film(tmp_path / "a.mp4", frames, fps)
        shown = [brightness(frame.to_ndarray(format="rgb24")) for frame in grid_frames(tmp_path / "a.mp4", 5)]
        expected = [int(step / 5 * fps + 1e-6) for step in range(100) if step / 5 < frames / fps - 1e-6]
        assert len(shown) == len(expected)
        assert np.abs(np.array(shown) - (20 + 3 * np.array(expected))).max() <= 1


def test_broken_films_say_what_is_wrong(tmp_path):
    film(tmp_path / "a.mp4", 100, 25)
    whole = (tmp_path / "a.mp4").read_bytes()
    cases = {
        "empty.mp4": (b"", "empty"),
        "text.mp4": (b"no film", "not a media file"),
        "cut.mp4": (whole[: len(whole) // 2], "cut off|truncated"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=reason):
            list(grid_frames(tmp_path / name, 5))
    with pytest.raises(MediaError, match="no such file"):
        list(grid_frames(tmp_path / "none.mp4", 5))


def test_a_film_that_ends_early_is_never_taken_for_a_short_one(tmp_path):
    film(tmp_path / "a.mp4", 100, 25)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    start = content.index(b"mdat") + 4
    tail = start + (content.index(b"moov") - start) // 2 if content.index(b"moov") > start else len(content) // 2
    content[tail : content.index(b"moov") - 4] = bytes(content.index(b"moov") - 4 - tail)
    (tmp_path / "spoilt.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"damaged|truncated"):
        list(grid_frames(tmp_path / "spoilt.mp4", 5))


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20), (33, 47), (500, 3), (24, 24), (7, 7)])
def test_letter_box_scales_the_longer_side_and_centres_on_black(height, width):
    image = np.full((height, width, 3), 200, np.uint8)
    square = letter_box(image, 24)
    assert square.shape == (24, 24, 3)
    tall, wide = (max(1, int(side * 24 / max(height, width) + 1e-9)) for side in (height, width))
    lit = square[:, :, 0] > 0
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    assert (len(rows), len(columns)) == (tall, wide)
    assert rows[0] == (24 - tall) // 2
    assert columns[0] == (24 - wide) // 2
    assert (square[lit] == 200).all()


def test_letter_box_keeps_a_square_of_its_own_size_and_interpolates():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(letter_box(image, 24), image)
    grown = cv2.resize(image, (48, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(letter_box(image, 48).astype(int), grown.astype(int), atol=2)


def test_daisee_store(corpus, tmp_path, capsys):
    store = prepare("daisee", corpus, tmp_path / "out")
    assert store.ids == [f"daisee/{clip}" for clip in LEVELS]
    assert store.groups == [clip[:6] for clip in LEVELS]
    assert [row["split"] for row in store.rows] == ["train", "train", "val", "test"]
    assert store.labels.tolist() == [0, 1, 1, 2]
    for i, label in enumerate([0, 1, 1, 2]):
        np.testing.assert_array_equal(store.read("labels", i), np.tile(np.eye(3)[label], (10, 1)))
        assert store.shape("face", i) == (10, 24, 24, 3)
        assert store.shape("body", i) == (10, 16, 16, 3)
        assert store.shape("joints", i) == (10, 17, 3)
        for part in ("face", "body", "joints"):
            assert store.read(f"{part}_seen", i).tolist() == [1] * 10
    assert not store.synthetic
    said = capsys.readouterr().out
    assert "boxes from" in said
    assert "4 videos used (2 train, 1 val, 1 test), 0 skipped, face seen in 100.0%" in said


def test_crops_have_their_margin_and_joints_are_relative_to_the_body_box(corpus, tmp_path):
    store = prepare("daisee", corpus, tmp_path / "out", body_margin=(2, 4))
    for step, (face, joints) in enumerate(zip(store.read("face", 0), store.read("joints", 0), strict=True)):
        # 10 px around the white square of 20: 40 px become 24, the middle half is white
        assert face[7:17, 7:17].min() > 200
        assert abs(int(face[2, 2, 0]) - (20 + 3 * 6 * step)) <= 3
        np.testing.assert_allclose(joints[0], [(42 - 8) / 68, (20 - 8) / 40, 0.5], rtol=1e-5)
        np.testing.assert_allclose(joints[5], [2 / 68, 36 / 40, 0.9], rtol=1e-5)
        assert (joints[[1, 2, 3, 4, *range(6, 17)]] == 0).all()
    wide = store.read("body", 0)[0]  # 68 x 40: bars above and below
    assert (wide[:3] == 0).all()
    assert (wide[4:12] > 0).all()
    whole = prepare("daisee", corpus, tmp_path / "whole")  # the paper's margin reaches the edges of this small film
    np.testing.assert_allclose(whole.read("joints", 0)[0, 0], [42 / 96, 20 / 64, 0.5], rtol=1e-5)


def test_steps_without_a_box_are_unseen_and_black(corpus, tmp_path):
    rows = []
    for step in (0, 1, 2, 5):
        row = {"video": "1100011002", "time": step / 5 + 0.08}
        if step != 1:
            row |= box("face", 30, 20, 50, 40)
        if step == 5:
            row |= box("face", 90.6, 20, 91.2, 40)  # a sliver once clipped? not with the margin
        rows.append(row | {"j0_x": 40, "j0_y": 20, "j0_score": 1, "j9_x": 50, "j9_y": 60, "j9_score": 1})
    others = [{"video": clip, "time": 0} | box("face", 30, 20, 50, 40) for clip in LEVELS if clip != "1100011002"]
    write_boxes(corpus / "boxes.csv", [*rows, *others], ["face", "joints"])
    store = prepare("daisee", corpus, tmp_path / "out")
    assert store.read("face_seen", 0).tolist() == [1, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert store.read("joints_seen", 0).tolist() == [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert store.read("body_seen", 0).tolist() == store.read("joints_seen", 0).tolist()  # around the joints
    assert not store.read("face", 0)[[1, 3, 4]].any()
    assert not store.read("joints", 0)[3].any()
    assert store.read("joints_seen", 1).sum() == 0  # a video of faces alone stays, and says so


def test_a_table_is_read_by_nearest_time(tmp_path):
    write_boxes(
        tmp_path / "b.csv", [{"video": "a", "time": t} | box("face", t, 0, 9, 9) for t in (0.45, 0.0, 0.3)], ["face"]
    )
    tables, parts = read_boxes(tmp_path / "b.csv")
    assert parts == ("face",)
    assert [at_step(tables["a"], step)["face"][0] for step in (0, 2)] == [0.0, 0.45]
    assert at_step(tables["a"], 1)["face"][0] == 0.3
    assert np.isnan(at_step(tables["a"], 3)["face"]).all()
    assert np.isnan(at_step(None, 0)["joints"]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("video,time,face_left\na,0,1\n", "beside video and time"),
        ("time,face_left,face_top,face_right,face_bottom\n0,1,1,2,2\n", "no column video"),
        ("video,time,face_left,face_top,face_right,face_bottom\na,0,1,1,2,x\n", "line 2"),
        ("video,time,face_left,face_top,face_right,face_bottom\na,0,1\n", "line 2"),
        ("video,time,face_left,face_top,face_right,face_bottom\na,,1,1,2,2\n", "no time"),
        ("video,time,face_left,face_top,face_right,face_bottom\n", "no rows"),
        ("video,time,face_left,face_top,face_right,face_bottom\na,0,9,1,2,2\n", "line 2: the face box ends"),
        ("video,time,face_left,face_top,face_right,face_bottom\na,0,1\n", "3 values for 6 columns"),
        ("video,time,face_lft,face_top,face_right,face_bottom,body_left,body_top,body_right,body_bottom\n", "face_lft"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path / "b.csv")


def test_resumed_and_repeated_runs_end_with_the_same_bytes(corpus, tmp_path, monkeypatch, capsys):
    straight = everything(prepare("daisee", corpus, tmp_path / "straight").folder.parent)
    calls = []
    real = decoding.grid_frames

    def stops(path, fps):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(path, fps)

    monkeypatch.setattr(decoding, "grid_frames", stops)
    assert main("daisee", corpus, tmp_path / "out") == 130
    assert "stopped after 2 of 4 videos" in capsys.readouterr().err
    monkeypatch.setattr(decoding, "grid_frames", real)
    prepare("daisee", corpus, tmp_path / "out")
    assert "carrying on after 2 videos" in capsys.readouterr().out
    assert everything(tmp_path / "out") == straight
    prepare("daisee", corpus, tmp_path / "out")
    assert everything(tmp_path / "out") == straight
    with pytest.raises(DataError, match="face_size was 24, now 32"):
        prepare("daisee", corpus, tmp_path / "out", face_size=32)
    text = (corpus / "Labels/TrainLabels.csv").read_text()
    (corpus / "Labels/TrainLabels.csv").write_text(text.replace("1100011003.avi,3,1", "1100011003.avi,3,3"))
    with pytest.raises(DataError, match="clip daisee/1100011003 changed"):
        prepare("daisee", corpus, tmp_path / "out")


def test_other_boxes_or_boxes_from_elsewhere_are_not_mixed(corpus, tmp_path):
    prepare("daisee", corpus, tmp_path / "out")
    table = (corpus / "boxes.csv").read_text()
    (corpus / "boxes.csv").write_text(table.replace("1100021001,0.0,30", "1100021001,0.0,31"))
    with pytest.raises(DataError, match="clip daisee/1100021001 changed"):
        prepare("daisee", corpus, tmp_path / "out")
    (corpus / "boxes.csv").unlink()
    with pytest.raises(DataError, match=r"people\.boxes was 'csv', now 'built-in'"):
        prepare("daisee", corpus, tmp_path / "out")
    (tmp_path / "elsewhere.csv").write_text(table)
    prepare("daisee", corpus, tmp_path / "out", boxes=tmp_path / "elsewhere.csv")  # where it lies is no setting


def test_a_video_is_decoded_once_for_pictures_and_labels(corpus, tmp_path, monkeypatch):
    decoded = []
    real = decoding.grid_frames
    monkeypatch.setattr(decoding, "grid_frames", lambda path, fps: decoded.append(path.stem) or real(path, fps))
    prepare("daisee", corpus, tmp_path / "out")
    assert decoded == list(LEVELS)


def test_another_recipe_knows_the_class_of_a_clip_and_none_of_a_conversation(corpus, conversation, tmp_path):
    recipe = Recipe("pictures", {"video": Faces(face="none", size=16, frames=2)})
    for name, source, labels in (("daisee", corpus, [0, 1, 1, 2]), ("noxi", conversation, [-1] * 4)):
        store = preparation.prepare(CATALOGUES[name], recipe, source, tmp_path / name, workers=1)
        assert store.labels.tolist() == labels
        assert store.folder.name == "prepared-pictures"


def test_a_corpus_of_another_kind_gives_people_and_its_label_at_every_step(tmp_path):
    names = ["01-01-01-01-01-01-01", "01-01-05-01-01-01-02"]
    for place, name in enumerate(names):
        film(tmp_path / f"raw/{name}.mp4", 10 + place, 5)
    rows = [{"video": name, "time": 0.2} | box("face", 30, 20, 50, 40) for name in names]
    write_boxes(tmp_path / "raw/boxes.csv", rows, ["face"])
    store = preparation.prepare(RAVDESS(), Recipe("own", {"crops": People(face_size=16)}), tmp_path / "raw", tmp_path)
    assert [store.read("face_seen", place).tolist() for place in (0, 1)] == [[0, 1, *[0] * 8], [0, 1, *[0] * 9]]
    assert main("ravdess", tmp_path / "raw", tmp_path, "--recipe", "engagement") == 0
    store = preparation.Store(tmp_path / "prepared-engagement")
    assert store.labels.tolist() == [0, 4]
    for place, steps in enumerate((10, 11)):
        np.testing.assert_array_equal(store.read("labels", place), np.eye(8)[store.labels[[place] * steps]])
        assert store.shape("face_seen", place) == (steps,)


def test_unusable_clips_are_listed_and_have_to_be_accounted_for(corpus, tmp_path, capsys):
    data = corpus / "DataSet"
    for name, content in (("1100011004", b"no film"), ("1100011005", b"unlabelled"), ("1100011006", b"odd label")):
        (data / f"Train/110001/{name}").mkdir()
        (data / f"Train/110001/{name}/{name}.avi").write_bytes(content)
    with (corpus / "Labels/TrainLabels.csv").open("a") as file:
        file.write("1100011004.avi,0,1,0,0\n1100011006.avi,0,7,0,0\n")
    (data / "Test/110003/copy").mkdir()
    (data / "Test/110003/copy/1100011002.mp4").write_bytes(b"again")
    assert main("daisee", corpus, tmp_path / "out") == 1
    assert "--max-skipped 4" in capsys.readouterr().err
    with (tmp_path / "out/prepared/skipped.csv").open() as file:
        reasons = {row["id"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file)}
    assert "not a media file" in reasons["1100011004"]
    assert reasons["1100011005"] == "no label in TrainLabels.csv"
    assert "engagement '7'" in reasons["1100011006"]
    assert "same clip as" in reasons["1100011002.mp4"]
    store = prepare("daisee", corpus, tmp_path / "out", max_skipped=4)
    assert len(store) == 4


@pytest.mark.parametrize("levels", ["videos", "a/b", "."])
def test_daisee_participants_are_found_from_the_clips_own_end_of_the_path(corpus, tmp_path, levels):
    straight = prepare("daisee", corpus, tmp_path / "straight")
    for split in SPLIT_OF.values():
        (corpus / f"DataSet/{split}").rename(corpus / "moved")
        (corpus / f"DataSet/{split}/{levels}").mkdir(parents=True)
        for user in (corpus / "moved").iterdir():
            user.rename(corpus / f"DataSet/{split}/{levels}/{user.name}")
        (corpus / "moved").rmdir()
    store = prepare("daisee", corpus, tmp_path / "out")
    assert store.groups == straight.groups == ["110001", "110001", "110002", "110003"]
    assert store.fingerprint == straight.fingerprint


def test_daisee_clips_without_a_folder_of_their_own_are_of_the_folder_they_are_in():
    assert participant(["x", "110001", "1100011002", "1100011002.avi"]) == "110001"
    assert participant(["110001", "1100011002.avi"]) == "110001"
    assert participant(["1100011002", "1100011002.avi"]) == ""
    assert participant(["1100011002.avi"]) == ""


def test_clips_that_are_all_of_one_participant_are_refused(corpus, conversation, tmp_path):
    for path in sorted((corpus / "DataSet").rglob("*.mp4")):
        split = path.relative_to(corpus / "DataSet").parts[0]
        (corpus / f"DataSet/{split}/videos").mkdir(exist_ok=True)
        path.rename(corpus / f"DataSet/{split}/videos/{path.name}")
    with pytest.raises(DataError, match=r"--source .*: all 4 videos are of one participant, 'videos'"):
        prepare("daisee", corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (conversation / "English/test/030_b/Expert_video.mp4").unlink()
    (conversation / "English/test/030_b/Novice_video.mp4").unlink()
    with pytest.raises(DataError, match=r"all 2 videos are of one participant, '026_a'"):
        prepare("noxi", conversation, tmp_path / "out")


def test_what_lacks_its_other_half_is_counted_and_told(corpus, conversation, tmp_path, capsys):
    with (corpus / "Labels/TrainLabels.csv").open("a") as file:
        file.write("1100011009.avi,0,1,0,0\n 1100011003.avi ,3,1,0,0\n")
    (corpus / "DataSet/Test/110003/1100031001/1100031007.avi").write_bytes(b"")
    with (corpus / "boxes.csv").open("a") as file:
        file.write("x,0" + "," * (4 + 4 + 51) + "\n")
    prepare("daisee", corpus, tmp_path / "out", max_skipped=1)
    said = capsys.readouterr().out
    assert "  Train: 1 label without a video (1100011009)\n" in said
    assert "  Test: 1 video without a label (1100031007)\n" in said
    assert "  1 rows of TrainLabels.csv that come twice left aside\n" in said
    assert "boxes.csv: 1 row without a video (x), 1 video without a row (1100031007)\n" in said
    (conversation / "English/train/026_a/Expert_video.mp4").unlink()
    (conversation / "English/test/030_b/annotation_novice.txt").unlink()
    prepare("noxi", conversation, tmp_path / "noxi-out", max_skipped=1)
    assert (
        f"  {conversation}: 1 label without a video (English/train/026_a/expert), "
        "1 video without a label (English/test/030_b/novice)\n"
    ) in capsys.readouterr().out


def test_a_clip_labelled_twice_differently_is_refused(corpus, tmp_path):
    with (corpus / "Labels/TrainLabels.csv").open("a") as file:
        file.write("1100011003.avi,3,3,0,0\n")
    with pytest.raises(DataError) as caught:
        prepare("daisee", corpus, tmp_path / "out")
    said = str(caught.value)
    assert "TrainLabels.csv, line 4: '1100011003' is '3', but '1' in" in said
    assert said.endswith("TrainLabels.csv, line 3; correct one of them")


def test_two_boxes_of_one_moment_are_refused_and_equal_ones_count_once(tmp_path, capsys):
    header = "video; time ;face_left;face_top;face_right;face_bottom"
    (tmp_path / "b.csv").write_text("\ufeff" + f"{header}\na;0;1;1;2;2\n a;0;1;1;2; 2\n")
    assert read_boxes(tmp_path / "b.csv")[0]["a"][:, 1:5].tolist() == [[1, 1, 2, 2]]
    assert capsys.readouterr().out == "  1 rows of b.csv that come twice left aside\n"
    (tmp_path / "b.csv").write_text(f"{header}\na;0;1;1;2;2\na;0;1;1;3;2\n")
    with pytest.raises(DataError, match=r"line 3: .* is '0 1 1 3 2 nan .*', but '0 1 1 2 2 nan .* in .*line 2"):
        read_boxes(tmp_path / "b.csv")


def test_missing_sources_say_where_to_look(corpus, tmp_path):
    for name in CATALOGUES:
        with pytest.raises(DataError, match=r"no such folder; docs/data\.md"):
            prepare(name, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match=r"no folder DataSet.*docs/data\.md"):
        prepare("daisee", tmp_path, tmp_path / "out")
    (tmp_path / "empty/DataSet").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no \.avi or \.mp4"):
        prepare("daisee", tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match=r"no Expert_video\.mp4"):
        prepare("noxi", tmp_path / "empty", tmp_path / "out")
    (corpus / "Labels/TestLabels.csv").unlink()
    with pytest.raises(DataError, match=r"TestLabels\.csv"):
        prepare("daisee", corpus, tmp_path / "out")


def test_options_that_cannot_be_are_refused(corpus, tmp_path, capsys):
    for options, message in (
        (["--views.people.face_size", "4"], "--views.people.face_size 4"),
        (["--views.people.body_size", "0"], "--views.people.body_size 0"),
        (["--views.people.face_margin", "-1"], "--views.people.face_margin"),
        (["--views.people.body_margin", "[1, -1]"], "--views.people.body_margin"),
        (["--views.people.parts", "[hands]"], "views.people.parts"),
        (["--max-skipped", "-1"], "--max-skipped -1"),
        (["--views.people.boxes", str(corpus / "boxes.csv"), "--views.people.detector", "a:b"], "exclude each other"),
        (["--views.people.boxes", str(tmp_path / "none.csv")], "no such file"),
        (["--views.people.detector", "no_such_module:function"], "--views.people.detector no_such_module:function"),
        (["--views.people.detector", "json"], "package.module:function"),
        (["--boxes", str(corpus / "boxes.csv")], "--boxes is called --views.people.boxes now"),
        (["--body-margin", "1", "2"], "--body-margin is called --views.people.body_margin now"),
        (["--recipe", "none"], "--recipe none"),
    ):
        assert main("daisee", corpus, tmp_path / "out", *options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    write_boxes(tmp_path / "other.csv", [{"video": "x", "time": 0} | box("face", 1, 1, 9, 9)], ["face"])
    with pytest.raises(DataError, match="where they have names like 1100011002"):
        prepare("daisee", corpus, tmp_path / "out", boxes=tmp_path / "other.csv")
    (corpus / "boxes.csv").unlink()
    with pytest.raises(DataError, match=r"--views\.people\.parts joints: there are only face"):
        prepare("daisee", corpus, tmp_path / "out", parts=("joints",))
    assert not (tmp_path / "out").exists()


def test_a_binary_file_is_no_table(tmp_path):
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="line 1: not UTF-8 text"):
        read_boxes(tmp_path / "b.csv")


def test_boxes_at_times_outside_the_videos_are_pointed_out(corpus, tmp_path, capsys):
    with (corpus / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    late = [{**row, "time": 1000 * float(row["time"])} for row in rows]
    write_boxes(tmp_path / "ms.csv", late + [row for row in rows if float(row["time"]) == 0])
    prepare("daisee", corpus, tmp_path / "out", boxes=tmp_path / "ms.csv")
    said = capsys.readouterr().out
    assert "face seen in 10.0% of the steps, body seen in 10.0% of the steps, joints" in said
    assert "warning" not in said
    bodies = [{name: value for name, value in row.items() if "face" not in name} for row in rows[1:]]
    write_boxes(tmp_path / "bodies.csv", [rows[0], *bodies])
    prepare("daisee", corpus, tmp_path / "seldom", boxes=tmp_path / "bodies.csv")
    said = capsys.readouterr().out
    assert "face seen in 2.5% of the steps (warning: are the times of the boxes in seconds" in said
    assert "body seen in 100.0% of the steps, joints" in said


def test_part_of_a_stand_in_is_a_stand_in(corpus, tmp_path):
    (corpus.parent / "SYNTHETIC").write_text("drawn\n")
    assert prepare("daisee", corpus, tmp_path / "out").synthetic


def test_a_detector_of_the_user_is_asked_for_every_step(corpus, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_detector.py").write_text(
        "import numpy as np\n"
        "def find(picture):\n"
        "    assert picture.dtype == np.uint8 and picture.shape == (64, 96, 3)\n"
        "    bright = picture.mean() > 60\n"
        "    return {'face': (30, 20, 50, 40) if bright else None, 'body': [10, 12, 74, 44]}\n"
        "def fails(picture):\n"
        "    return picture.nothing\n"
        "def number(picture):\n"
        "    return 3\n"
        "def wrong(picture):\n"
        "    return {'face': (1, 2)}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"detector": "my_detector:find", "parts": ("face", "body")}
    store = prepare("daisee", corpus, tmp_path / "out", **options)
    seen = store.read("face_seen", 0)
    assert 0 < seen.sum() < 10
    assert (np.diff(seen.astype(int)) >= 0).all()
    assert store.read("body_seen", 0).all()
    assert set(store.arrays) == {"face", "body", "face_seen", "body_seen", "labels"}
    assert store.setting("people", "boxes", "boxes") == "my_detector:find"
    capsys.readouterr()
    for number, (name, words) in enumerate((("wrong", "wanted is"), ("fails", "AttributeError"), ("number", "int"))):
        assert main("daisee", corpus, tmp_path / f"b{number}", "--views.people.detector", f"my_detector:{name}") == 1
        said = capsys.readouterr().err
        assert f"detector my_detector:{name}" in said
        assert words in said


def test_the_built_in_detector_says_where_there_is_no_face(corpus, tmp_path, capsys):
    (corpus / "boxes.csv").unlink()
    assert main("daisee", corpus, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "built-in detector" in captured.out
    assert "no face found in any of 10 frames" in captured.err


@pytest.fixture
def conversation(tmp_path):
    """A NoXi of one train and one test session, Expert and Novice each, 25 frames per second."""
    folder = tmp_path / "noxi"
    rows = []
    for split, session in (("train", "026_a"), ("test", "030_b")):
        for role in ("Expert", "Novice"):
            own_bytes(film(folder / f"English/{split}/{session}/{role}_video.mp4", 50, 25))
            levels = np.zeros((50, 5))
            for row in range(50):
                levels[row, row % 5 if split == "test" else 2] = 0.25
                levels[row, (row // 10) % 5] += 0.75
            np.savetxt(folder / f"English/{split}/{session}/annotation_{role.lower()}.txt", levels, "%.3f")
            rows.append({"video": f"{session}/{role.lower()}", "time": 0} | box("face", 30, 20, 50, 40))
    write_boxes(folder / "boxes.csv", rows, ["face"])
    return folder


def test_noxi_store(conversation, tmp_path):
    store = prepare("noxi", conversation, tmp_path / "out")
    assert store.ids == [f"noxi/{name}" for name in ("026_a/expert", "026_a/novice", "030_b/expert", "030_b/novice")]
    assert store.groups == ["026_a", "026_a", "030_b", "030_b"]
    assert [row["split"] for row in store.rows] == ["train", "train", "test", "test"]
    labels = store.read("labels", 0)
    assert labels.shape == (10, 3)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    # step k is row 5 k: levels 0, 0, 1, 1, 2, 2, 3, 3, 4, 4 with a quarter of level 2
    np.testing.assert_allclose(labels[0], [0.75, 0.25, 0])
    np.testing.assert_allclose(labels[3], [0.75, 0.25, 0])
    np.testing.assert_allclose(labels[5], [0, 1, 0])
    np.testing.assert_allclose(labels[8], [0, 0.25, 0.75])


def test_five_levels_become_three(tmp_path):
    (tmp_path / "a.txt").write_text(
        "1 0 0 0 0\n0 1 0 0 0\n0 0 1 0 0\n0 0 0 1 0\n0 0 0 0 1\n0.1 0.2 0.3 0.15 0.25\nnan 0 0 0 1\n"
        "-nan(ind) 0 0 0 1\n0 0 0 0 1\n"
    )
    classes = read_annotation(tmp_path / "a.txt")
    np.testing.assert_allclose(classes[:5], np.eye(3)[[0, 0, 1, 2, 2]])
    np.testing.assert_allclose(classes[5], [0.3, 0.3, 0.4], rtol=1e-6)
    assert np.isnan(classes[6:8]).any(axis=1).all()  # NoXi's own program writes the latter
    np.testing.assert_allclose(classes[8], [0, 0, 1])
    for text, message in (
        ("1 0 0\n", "3 columns"),
        ("1 1 0 0 0\n", "sums to 2"),
        ("2 -1 0 0 0\n", "negative"),
        ("a b\n", "numbers"),
        ("1 0 0 0 0\n1 0 0 0\n", "4 columns"),
        ("\n", "0 columns"),
    ):
        (tmp_path / "b.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_annotation(tmp_path / "b.txt")


def test_noxi_labels_that_end_early_are_missing_and_absent_ones_skip(conversation, tmp_path, capsys):
    session = conversation / "English/train/026_a"
    lines = (session / "annotation_expert.txt").read_text().splitlines()
    (session / "annotation_expert.txt").write_text("\n".join(lines[:21]) + "\n")
    (session / "annotation_novice.txt").unlink()
    (conversation / "English/unsorted/050_c").mkdir(parents=True)
    film(conversation / "English/unsorted/050_c/Expert_video.mp4", 5, 25)
    with pytest.raises(UnusableError, match="2 videos cannot be used"):
        prepare("noxi", conversation, tmp_path / "out")
    with (tmp_path / "out/prepared/skipped.csv").open() as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons["noxi/026_a/novice"] == "no annotation_novice.txt"
    assert reasons["noxi/050_c/expert"].startswith("not below a folder train")
    store = prepare("noxi", conversation, tmp_path / "out", max_skipped=2)
    labels = store.read("labels", 0)
    assert not np.isnan(labels[:5]).any()
    assert np.isnan(labels[5:]).all()
