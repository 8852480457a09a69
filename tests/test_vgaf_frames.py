"""The generator of synthetic VGAF clips: rules, seeds, the log, and what comes out of it."""

import csv
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import cli
from datamodules.catalogues.vgaf.labels import CLASS_NAMES
from datamodules.errors import DataError
from datamodules.standins import vgaf_frames
from datamodules.standins._drawing.collage import (
    SOLID,
    Recipe,
    draw_clip,
    draw_places,
    make_cutout,
    read_cutout,
    redraw,
    trajectories,
    turned,
)
from datamodules.standins._vgaf_plan import read_origins
from datamodules.vgaf import VGAFDataModule

SMALL = ["--canvas-size", "120", "--base-face-size", "120", "--margin", "10", "--frames-per-video", "6",
         "--max-faces", "5", "--drift-per-frame", "2", "--workers", "1"]  # fmt: skip


def ellipse(colour, side=80):
    """A cut-out of one colour, RGBA."""
    image = np.zeros((side, side, 4), np.uint8)
    cv2.ellipse(image, (side // 2, side // 2), (side * 2 // 5, side // 2 - 2), 0, 0, 360, (*colour, 255), -1)
    return image


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Five faces a class and two categories of three places; every face has a colour of its own."""
    folder = tmp_path_factory.mktemp("inputs")
    for label, part in enumerate(CLASS_NAMES):
        (folder / "faces" / part).mkdir(parents=True)
        for i in range(5):
            colour = (50 + 40 * i, 80 * label, 200)
            cv2.imwrite(str(folder / f"faces/{part}/1_{label}_{i}.png"), ellipse(colour))
    for place, category in enumerate(("bar", "bridge")):
        (folder / "backgrounds" / category).mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(
                str(folder / f"backgrounds/{category}/{i}.jpg"), np.full((60, 90, 3), 20 + 30 * place + i, np.uint8)
            )
    return folder


def generate(inputs, out, *more, seed=2023):
    return cli.main(
        ["synth", "vgaf-frames", "--backgrounds", str(inputs / "backgrounds"), "--faces", str(inputs / "faces"),
         "--out", str(out), "--seed", str(seed), *SMALL, *more]
    )  # fmt: skip


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder):
    with (folder / "sources.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_classes_in_one_run_in_the_released_format(inputs, tmp_path, capsys):
    assert generate(inputs, tmp_path) == 0
    said = capsys.readouterr().out
    assert "18 clips of Positive, Neutral, Negative, seed 2023" in said
    for label, part in enumerate(CLASS_NAMES):
        clips = [f"{category}_Video_{i}" for category in ("bar", "bridge") for i in range(3)]
        assert sorted(path.name for path in (tmp_path / part).iterdir()) == clips
        lines = (tmp_path / f"{part}_labels.txt").read_text().splitlines()
        assert lines == ["Vid_name Label", *(f"{clip} {label}" for clip in clips)]
        for clip in clips:
            frames = sorted(path.name for path in (tmp_path / part / clip).iterdir())
            assert frames == [f"{k}.png" for k in range(6)]
            image = cv2.imread(str(tmp_path / part / clip / "0.png"))
            assert image.shape == (120, 120, 3)
            assert abs(int(image[0, 0, 0]) - (20 + 30 * (clip[1] == "r"))) < 5  # its background, in the free margin
    table = rows(tmp_path)
    counts = Counter(row["clip"] for row in table)
    assert len(counts) == 18
    assert set(counts.values()) <= {3, 4, 5}
    for row in table:
        assert row["kind"] == "face"
        assert row["clip"].split("/")[0] == row["file"].split("/")[0]
        assert int(row["placed"]) + int(row["dropped"]) == 6
    assert json.loads((tmp_path / "generator.json").read_text())["counts"] == {
        "clips": 18,
        "faces placed": sum(int(row["placed"]) for row in table),
        "faces dropped": sum(int(row["dropped"]) for row in table),
    }


def test_bytes_are_a_function_of_the_seed(inputs, tmp_path):
    generate(inputs, tmp_path / "a")
    generate(inputs, tmp_path / "b", "--workers", "2")
    generate(inputs, tmp_path / "c", seed=1)
    first = snapshot(tmp_path / "a")
    assert snapshot(tmp_path / "b") == first
    other = snapshot(tmp_path / "c")
    clips = [name for name in first if name.endswith("/0.png")]
    assert any(other[name] != first[name] for name in clips)


def test_classes_do_not_share_their_draws(inputs, tmp_path):
    generate(inputs, tmp_path)
    faces = {part: [row["file"][-5] for row in rows(tmp_path) if row["file"].startswith(part)] for part in CLASS_NAMES}
    assert faces["Positive"] != faces["Neutral"] != faces["Negative"]


def test_one_class_and_a_number_of_clips(inputs, tmp_path):
    generate(inputs, tmp_path / "one", "--label", "Negative")
    assert not (tmp_path / "one/Positive").exists()
    generate(inputs, tmp_path / "few", "--clips", "7")
    found = {part: sorted(path.name for path in (tmp_path / "few" / part).iterdir()) for part in CLASS_NAMES}
    assert found["Positive"] == ["bar_Video_0", "bar_Video_1", "bridge_Video_0"]
    assert found["Neutral"] == found["Negative"] == ["bar_Video_0", "bridge_Video_0"]
    generate(inputs, tmp_path / "per", "--videos-per-bg", "1")
    assert len(list((tmp_path / "per/Neutral").iterdir())) == 2
    whole = snapshot(tmp_path / "one")
    assert all(whole[name] == content for name, content in snapshot(tmp_path / "few").items() if "Negative/bar" in name)


@pytest.mark.parametrize("motion", ["redraw", "true"])
def test_tensors_are_the_frames_that_pictures_would_be(inputs, tmp_path, motion):
    generate(inputs, tmp_path / "png", "--motion", motion)
    options = ["--format", "pt", "--motion", motion, "--tensor-frames", "3", "--size"]
    generate(inputs, tmp_path / "pt", *options, "120")
    generate(inputs, tmp_path / "small", *options, "48", "--dtype", "float32")
    for clip in ("Positive/bar_Video_2", "Negative/bridge_Video_0"):
        frames = torch.load(tmp_path / f"pt/Synthetic2661_all_75/{clip}.synt.img.3.pt")
        small = torch.load(tmp_path / f"small/Synthetic2661_all_75/{clip}.synt.img.3.pt")
        assert small.dtype == torch.float32
        for i, k in enumerate((1, 3, 5)):
            image = cv2.imread(str(tmp_path / f"png/{clip}/{k}.png"), cv2.IMREAD_COLOR_RGB)
            np.testing.assert_array_equal(frames[i].permute(1, 2, 0), image)
            shrunk = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA) / 255
            np.testing.assert_allclose(small[i].permute(1, 2, 0), shrunk, atol=1e-6)


def cutouts(count, recipe):
    return [make_cutout(ellipse((255, 20 * i, 10)), recipe.largest, "x") for i in range(count)]


RECIPE = Recipe(canvas_size=160, base_face_size=150, margin=5, frames_per_video=12)
BLACK = np.zeros((160, 160, 3), np.uint8)


def masks(faces, places, size=160):
    """Where each face lies, drawn alone."""
    for face, place in zip(faces, places, strict=True):
        if place is not None:
            alone = draw_places(np.zeros((size, size, 3), np.uint8), [face], [place])
            yield alone[..., 0] > 128


@pytest.mark.parametrize("frame", [0, 11])
def test_faces_do_not_overlap(frame):
    faces = cutouts(12, RECIPE)
    placed = 0
    for seed in range(20):
        _, places = redraw(BLACK, faces, RECIPE, frame, np.random.default_rng(seed))
        found = list(masks(faces, places))
        placed += len(found)
        # Of a face's area a tenth of a percent may be covered; the rest is rounding of the place to half a pixel.
        for one, other in itertools.combinations(found, 2):
            assert (one & other).sum() <= 0.03 * one.sum()
        margin = int(RECIPE.margin + frame * RECIPE.drift_per_frame)
        for mask in found:
            rows_, columns = np.nonzero(mask)
            assert min(rows_.min(), columns.min()) >= margin - 1
            assert max(rows_.max(), columns.max()) <= 160 - margin + 1
    assert placed > 100
    crowded = Recipe(**(vars(RECIPE) | {"max_overlap_ratio": 1.0}))
    assert None not in redraw(BLACK, faces, crowded, frame, np.random.default_rng(0))[1]


def test_sizes_and_rotations_are_in_their_ranges():
    faces = cutouts(3, RECIPE)
    drawn = [
        place for i in range(60) for place in redraw(BLACK, faces, RECIPE, 0, np.random.default_rng(i))[1] if place
    ]
    assert {place.side for place in drawn} == set(range(15, 23))
    angles = np.array([place.angle for place in drawn])
    assert 0.35 < (angles != 0).mean() < 0.65
    assert angles.min() >= -45
    assert angles.max() <= 45
    assert len(set(angles.tolist())) > 30


def test_faces_without_room_are_dropped_and_counted():
    recipe = Recipe(canvas_size=70, base_face_size=150, margin=4, frames_per_video=8, max_tries_per_face=5)
    faces = cutouts(15, recipe)
    background = np.zeros((70, 70, 3), np.uint8)
    _, counts = draw_clip(background, faces, recipe, range(8), [3])
    assert all(placed + dropped == 8 for placed, dropped in counts)
    assert sum(dropped for _, dropped in counts) > 20
    for frame in range(8):
        _, places = redraw(background, faces, recipe, frame, np.random.default_rng([3, 1, frame]))
        counts = [(placed - (place is not None), dropped - (place is None)) for (placed, dropped), place in
                  zip(counts, places, strict=True)]  # fmt: skip
    assert set(counts) == {(0, 0)}


def test_true_motion_is_smooth_and_keeps_faces_apart():
    recipe = Recipe(**(vars(RECIPE) | {"motion": "true", "frames_per_video": 75, "drift_per_frame": 1.5}))
    faces = cutouts(8, recipe)
    plans = trajectories(faces, recipe, np.random.default_rng(0))
    moving = [(face, plan) for face, plan in zip(faces, plans, strict=True) if plan]
    assert len(moving) >= 4
    for face, plan in moving:
        path = np.array(plan)
        steps = np.hypot(*np.diff(path[:, :2], axis=0).T)
        assert steps.max() <= 1.5 + 1e-9
        assert steps.sum() > 0.8 * 1.5 * 74  # it does move, and turns back at the margin
        assert len(set(path[:, 2])) == 1
        assert np.abs(np.diff(path[:, 3])).max() < 2
        reach = face.radius * path[0, 2]
        assert path[:, :2].min() >= recipe.margin + reach - 1e-9
        assert path[:, :2].max() <= 160 - recipe.margin - reach + 1e-9
    for frame in (0, 30, 74):
        found = list(masks(faces, [plan and plan[frame] for plan in plans]))
        assert not any((one & other).any() for one, other in itertools.combinations(found, 2))
    jumps = [
        np.hypot(a.x - b.x, a.y - b.y)
        for a, b in itertools.pairwise(
            redraw(BLACK, faces[:1], RECIPE, frame, np.random.default_rng([0, frame]))[1][0] for frame in range(9)
        )
    ]
    assert np.median(jumps) > 20  # as released, faces jump


def test_a_face_in_motion_is_drawn_where_it_is_to_a_fraction_of_a_pixel():
    recipe = Recipe(canvas_size=100, base_face_size=150, margin=5, frames_per_video=20, motion="true", min_faces=1)
    faces = cutouts(1, recipe)
    plan = trajectories(faces, recipe, np.random.default_rng(4))[0]
    for place in plan:
        image = draw_places(np.zeros((100, 100, 3), np.uint8), faces, [place])[..., 0].astype(float)
        y, x = (np.mgrid[:100, :100] * image).sum((1, 2)) / image.sum()
        assert (x + 0.5, y + 0.5) == pytest.approx((place.x, place.y), abs=0.2)  # the ellipse itself is off by 0.13


@pytest.mark.parametrize("angle", [0, 30, -45, 90])
def test_rotation_keeps_area_and_colour(angle):
    face = make_cutout(ellipse((200, 100, 50), 200), 100, "x")
    upright, patch = turned(face, 60, 0), turned(face, 60, angle)
    area = [(part[..., 3] > SOLID).sum() for part in (upright, patch)]
    assert area[1] == pytest.approx(area[0], rel=0.03)
    middle = patch[len(patch) // 2, len(patch) // 2]
    assert middle.tolist() == [200, 100, 50, 255]
    assert len(patch) >= len(upright)
    bounds = np.nonzero(patch[..., 3] > SOLID)
    assert all(side.min() > 0 or angle in (0, 90) for side in bounds)


def test_colours_behind_transparency_do_not_bleed():
    image = ellipse((250, 250, 250))
    image[image[..., 3] == 0, :3] = (0, 255, 0)
    canvas = draw_places(np.full((160, 160, 3), 250, np.uint8), [make_cutout(image, 20, "x")],
                         [redraw(BLACK, cutouts(1, RECIPE), RECIPE, 0, np.random.default_rng(0))[1][0]])  # fmt: skip
    assert canvas.min() > 240


@pytest.mark.parametrize("name", ["my beach", "a\nb", " a"])
def test_a_folder_that_a_label_file_cannot_name_is_refused(inputs, tmp_path, capsys, name):
    shutil.copytree(inputs / "backgrounds", tmp_path / "backgrounds")
    next((tmp_path / "backgrounds").iterdir()).rename(tmp_path / "backgrounds" / name)
    assert generate(inputs, tmp_path / "out", "--backgrounds", str(tmp_path / "backgrounds")) == 2
    error = capsys.readouterr().err
    assert f"the folder {name!r} cannot name clips" in error
    assert len(error.strip().splitlines()) == 1
    assert not list((tmp_path / "out").rglob("*_labels.txt"))


def test_a_face_has_one_origin(tmp_path, capsys):
    path = tmp_path / "faces.csv"
    path.write_text("\ufefffile; clip\r\nPositive/a.png ;c1\r\nPositive/a.png; c1\r\n")
    assert read_origins(path) == {"Positive/a.png": "c1"}
    assert "1 rows of faces.csv that come twice left aside" in capsys.readouterr().out
    path.write_text("file,clip\na.png,c1\na.png,c2\n")
    with pytest.raises(DataError, match=r"--sources .*faces.csv, line 3: 'a.png' is 'c2', but 'c1' in .*line 2"):
        read_origins(path)


def test_a_face_is_decoded_once(inputs, tmp_path):
    read_cutout.cache_clear()
    generate(inputs, tmp_path)
    assert read_cutout.cache_info().misses == 15


def test_stopped_it_carries_on_to_the_same_bytes(inputs, tmp_path, monkeypatch):
    generate(inputs, tmp_path / "straight")
    whole, calls = vgaf_frames.draw, []

    def stop(video, **options):
        calls.append(video)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return whole(video, **options)

    with monkeypatch.context() as patched:
        patched.setattr(vgaf_frames, "draw", stop)
        assert generate(inputs, tmp_path / "out") == 130
    assert not (tmp_path / "out/generator.json").exists()
    (tmp_path / "out/Positive/.bar_Video_9.7.tmp").mkdir()
    assert not (tmp_path / "out/Positive_labels.txt").exists()
    assert generate(inputs, tmp_path / "out") == 0
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "straight")


def test_there_already_other_options_and_overwriting(inputs, tmp_path, capsys):
    generate(inputs, tmp_path / "out")
    before = snapshot(tmp_path / "out")
    capsys.readouterr()
    assert generate(inputs, tmp_path / "out") == 0
    assert "18 clips are there already" in capsys.readouterr().out
    assert generate(inputs, tmp_path / "out", "--rotate-prob", "0") == 2
    assert "drawn with other options" in capsys.readouterr().err
    assert snapshot(tmp_path / "out") == before
    assert generate(inputs, tmp_path / "out", "--rotate-prob", "0", "--overwrite") == 0
    assert snapshot(tmp_path / "out") != before
    (tmp_path / "mine/Positive").mkdir(parents=True)
    assert generate(inputs, tmp_path / "mine", "--overwrite") == 2
    assert "was not made here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--min-faces", "6"], "--min-faces 6 is more than --max-faces 5"),
        (["--max-faces", "9"], "5 in"),
        (["--face-scale-min", "0.3"], "--face-scale-min 0.3 is more than"),
        (["--rotate-prob", "2"], "--rotate-prob 2.0: between 0 and 1"),
        (["--margin", "60"], "do not fit"),
        (["--frames-per-video", "0"], "--frames-per-video 0: at least 1"),
        (["--format", "pt", "--tensor-frames", "75"], "a clip has --frames-per-video 6"),
        (["--clips", "2"], "--clips 2"),
        (["--clips", "60"], "20 of Positive are wanted"),
        (["--audio", "x"], "--audio goes with --format pt"),
        (["--format", "pt", "--audio", "x"], "--audio x"),
        (["--sources", "nowhere.csv"], "--sources nowhere.csv"),
        (["--backgrounds", "nowhere"], "--backgrounds: no folder nowhere"),
        (["--faces", "nowhere"], "--faces: no folder nowhere"),
    ],
)
def test_wrong_options_are_one_line(inputs, tmp_path, capsys, more, text):
    assert generate(inputs, tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert text in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("spoil", ["text", "transparent"])
def test_a_spoilt_picture_is_named(inputs, tmp_path, capsys, spoil):
    folder = Path(shutil.copytree(inputs, tmp_path / "inputs"))
    for path in (folder / "faces/Positive").iterdir():
        path.write_text("no picture") if spoil == "text" else cv2.imwrite(str(path), np.zeros((50, 50, 4), np.uint8))
    assert generate(folder, tmp_path / "out") == 2
    assert "1_0_" in (error := capsys.readouterr().err)
    assert "remove it" in error
    (folder / "backgrounds/bar/1.jpg").write_text("no picture")
    assert generate(folder, tmp_path / "other", "--label", "Neutral") == 2
    assert "bar/1.jpg is no picture" in capsys.readouterr().err


def corpus(inputs, folder):
    """Real tensors of twelve clips whose faces the generator cuts out: ``1_<class>`` train."""
    for split, first in (("Train", 1), ("Val", 2)):
        (folder / f"VGAF_Tensors_all_5/{split}").mkdir(parents=True)
        for label in range(3):
            name = f"{first}_{label}"
            torch.save(
                torch.zeros(5, 3, 48, 48, dtype=torch.uint8), folder / f"VGAF_Tensors_all_5/{split}/{name}.mp4.img.5.pt"
            )
            torch.save(
                torch.full((5, 1, 20, 20), float(label)), folder / f"VGAF_Tensors_all_5/{split}/{name}.mp4.spec.5.pt"
            )
        lines = [f"{first}_{label} {label + 1}" for label in range(3)]
        (folder / f"{split}_labels.txt").write_text("\n".join(["Vid_name Label", *lines]) + "\n")
    return folder


def test_what_is_generated_trains_and_faces_of_other_splits_are_refused(inputs, tmp_path):
    root = corpus(inputs, tmp_path / "vgaf")
    audio = root / "VGAF_Tensors_all_5/Train"
    options = ["--format", "pt", "--tensor-frames", "5", "--size", "48", "--audio", str(audio)]
    assert generate(inputs, root, *options) == 0
    assert cli.main(["prepare", "vgaf", "--source", str(root)]) == 0
    data = VGAFDataModule(str(root), synth_rate=0.5)
    batch = data.dataset("train").__getitems__(list(range(6)))
    assert len([clip for clip in batch["id"] if clip.startswith("synthetic/")]) == 3
    for target, sound in zip(batch["target"], batch["audio"], strict=True):
        assert (sound == target).all()
    assert batch["video"][3:].float().std() > 5
    with (tmp_path / "sources.csv").open("w") as file:
        file.write("file,clip\nNeutral/1_1_0.png,2_1\n")
    with (tmp_path / "again.csv").open("w") as file:
        file.write("file,clip\nNeutral/1_1_0.png,1_1\n")
    for name, refused in (("sources.csv", True), ("again.csv", False)):
        shutil.rmtree(root / "prepared")
        assert generate(inputs, root, *options, "--overwrite", "--sources", str(tmp_path / name)) == 0
        if refused:
            with pytest.raises(DataError, match="must come from Train alone"):
                VGAFDataModule(str(root), synth_rate=0.5).split_sizes()
            (root / "prepared").mkdir()
        else:
            shutil.rmtree(root / "prepared", ignore_errors=True)
            assert VGAFDataModule(str(root), synth_rate=0.5).split_sizes()["train"] == 6


def test_sound_of_another_split_is_refused(inputs, tmp_path, capsys):
    root = corpus(inputs, tmp_path / "vgaf")
    code = generate(
        inputs, root, "--format", "pt", "--tensor-frames", "5", "--audio", str(root / "VGAF_Tensors_all_5/Val")
    )
    assert code == 2
    assert "name the folder Train" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["3", "{}", '{"record": 3, "ends": []}', '{"record": {"clip": "a", "faces": [3]}, "ends": []}']
)
def test_a_damaged_journal_or_mark_is_one_line(inputs, tmp_path, capsys, line):
    generate(inputs, tmp_path / "out")
    folder = tmp_path / "out"
    mark = next(path for path in folder.rglob("*") if path.name == vgaf_frames.DONE)
    whole = mark.read_text()
    for text in ("[]", "null", "{"):
        mark.write_text(text)
        assert generate(inputs, tmp_path / "out") == 2
        assert "--overwrite" in capsys.readouterr().err
    request = json.loads(whole)["request"]
    mark.unlink()
    (mark.parent / vgaf_frames.LOG).write_text(json.dumps(request) + "\n" + line + "\n")
    assert generate(inputs, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip()
    assert "line 2 is none of its own" in said
    assert "--overwrite" in said
    assert "\n" not in said
