"""The stand-ins of DAiSEE and NoXi: raw layouts, determinism, resuming, refusals, and what each cue can tell."""

import argparse
import csv
from collections import Counter

import av
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from datamodules.errors import DataError
from datamodules.media.boxes import read_boxes
from datamodules.recipe import catalogue_class, load
from datamodules.standins import _engagement, daisee, noxi
from datamodules.standins._drawing.body import UP, WRIST
from datamodules.standins._engagement import FPS, STEPS, Film, act
from datamodules.store.preparation import plan

CORPORA = {"daisee": daisee, "noxi": noxi}


def make(corpus, out, clips=6, seed=0):
    return CORPORA[corpus].run(argparse.Namespace(out=out, clips=clips, seed=seed, workers=1))


def snapshot(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("synth")
    for corpus in CORPORA:
        assert make(corpus, root / corpus) == 0
    return root


def test_daisee_has_the_layout_of_daisee(made):
    clips = sorted((made / "daisee/DataSet").rglob("*.mp4"))
    assert len(clips) == 6
    for path in clips:
        split, user, clip, name = path.relative_to(made / "daisee/DataSet").parts
        assert (name, user) == (f"{clip}.mp4", clip[:6])
        with (made / f"daisee/Labels/{split}Labels.csv").open() as file:
            rows = {row["ClipID"]: row for row in csv.DictReader(file)}
        assert list(rows[name]) == ["ClipID", "Boredom", "Engagement", "Confusion", "Frustration "]
        assert rows[name]["Engagement"] in "0123"
    assert {path.parts[-4] for path in clips} == {"Train", "Validation", "Test"}
    with av.open(str(clips[0])) as container:
        video = container.streams.video[0]
        assert not container.streams.audio
        assert (video.width, video.height, float(video.average_rate)) == (128, 128, 10)
        assert float(video.duration * video.time_base) == pytest.approx(8)


def test_noxi_has_the_layout_of_noxi(made):
    videos = sorted((made / "noxi").rglob("*_video.mp4"))
    assert len(videos) == 6
    assert {path.parts[-3] for path in videos} == {"train", "dev", "test"}
    for path in videos:
        role = path.stem.partition("_")[0].lower()
        table = np.loadtxt(path.with_name(f"annotation_{role}.txt"))
        assert table.shape == (24 * 25, 5)
        np.testing.assert_allclose(table.sum(1), 1, atol=1e-3)
        soft = ((table > 0) & (table < 1)).any()
        assert soft == (path.parts[-3] == "train")


@pytest.mark.parametrize("corpus", list(CORPORA))
def test_boxes_name_every_video_at_every_step_and_some_are_empty(made, corpus):
    tables, parts = read_boxes(made / corpus / "boxes.csv")
    assert parts == ("face", "body", "joints")
    videos = catalogue_class(corpus)().scan(made / corpus).entries
    assert {f"{corpus}/{video}" for video in tables} == {video.id for video in videos}
    assert not any(video.reason for video in videos)
    rows = np.concatenate(list(tables.values()))
    assert {len(table) for table in tables.values()} == {40 if corpus == "daisee" else 120}
    face, body, joints = rows[:, 1:5], rows[:, 5:9], rows[:, 9:].reshape(-1, 17, 3)
    for box in (face, body):
        there = box[~np.isnan(box).any(1)]
        assert 0.8 * len(box) < len(there) < len(box)
        assert (there[:, 2:] > there[:, :2]).all()
        assert there.min() >= 0
        assert there.max() <= 128
    assert np.isnan(joints[:, 13:]).all()  # knees and ankles are below the picture
    assert not np.isnan(joints[~np.isnan(body).any(1)][:, :9]).any()


@pytest.mark.parametrize("corpus", list(CORPORA))
def test_the_same_seed_gives_the_same_bytes_and_a_rest_is_finished(made, corpus, tmp_path, capsys):
    whole = snapshot(made / corpus)
    out = tmp_path / corpus
    make(corpus, out)
    assert snapshot(out) == whole
    gone = next(path for path in sorted(out.rglob("*.mp4")))
    gone.unlink()
    (out / "boxes.csv").unlink()
    capsys.readouterr()
    make(corpus, out)
    assert "5 of them kept" in capsys.readouterr().out
    assert snapshot(out) == whole
    make(corpus, out)
    assert "there already" in capsys.readouterr().out


def test_another_seed_or_size_or_folder_is_refused(made, tmp_path):
    with pytest.raises(DataError, match="holds another corpus"):
        make("daisee", made / "daisee", seed=1)
    with pytest.raises(DataError, match="holds another corpus"):
        make("noxi", made / "noxi", clips=8)
    (tmp_path / "real").mkdir()
    (tmp_path / "real/DataSet").mkdir()
    with pytest.raises(DataError, match="may be the real corpus"):
        make("daisee", tmp_path / "real")
    for corpus, clips in (("daisee", 5), ("daisee", 181), ("noxi", 7), ("noxi", 4), ("noxi", 34)):
        with pytest.raises(DataError, match=f"--clips {clips}"):
            make(corpus, tmp_path / "new", clips=clips)


def test_an_unfinished_stand_in_is_not_prepared(made, tmp_path):
    (tmp_path / "DataSet").symlink_to(made / "daisee/DataSet")
    (tmp_path / "Labels").symlink_to(made / "daisee/Labels")
    (tmp_path / "SYNTHETIC").write_text("affectzoo synth daisee (incomplete)\n")
    with pytest.raises(DataError, match="not finished"):
        plan(catalogue_class("daisee")(), load("engagement"), tmp_path)


def test_plans_hold_users_apart_and_classes_even():
    for clips in (6, 36, 180):
        planned = daisee.plan(clips, 0)
        assert len({clip for _, _, clip, _ in planned}) == clips
        splits = {}
        for split, user, _, _ in planned:
            assert splits.setdefault(user, split) == split
        assert set(splits.values()) == {"Train", "Validation", "Test"}
    classes = {split: Counter() for split in ("Train", "Validation", "Test")}
    for split, _, _, level in daisee.plan(180, 0):
        classes[split][daisee.CLASS_OF_LEVEL[level]] += 1
    assert all(len(set(counts.values())) == 1 and len(counts) == 3 for counts in classes.values())


def test_engagement_over_time_meets_every_class_and_levels_are_neighbours():
    for number in range(8):
        values = noxi.engagement(f"s{number}", 0)
        soft, hard = noxi.shares(values, hard=False), noxi.shares(values, hard=True)
        assert set(np.array([0, 0, 1, 2, 2])[hard.argmax(1)]) == {0, 1, 2}
        np.testing.assert_allclose(soft @ np.linspace(0, 1, 5), values)
        assert (np.count_nonzero(soft > 1e-9, axis=1) <= 2).all()
    np.testing.assert_allclose(
        noxi.shares(np.array([0.7, 0.0]), hard=False), [[0, 0, 0.2, 0.8, 0], [1, 0, 0, 0, 0]], atol=1e-9
    )


@pytest.fixture(scope="module")
def cues():
    """What an observer without error reads off 180 films: eyes, look, hands by step."""
    films = [Film(f"f{i}", "", f"a{i % 30}", (i % 3,) * 40) for i in range(180)]
    read = {"eyes": [], "look": [], "hands": []}
    for film in films:
        scene = act(film, ("test", 0, 0))
        points, every = scene.points[:: FPS // STEPS], FPS // STEPS
        read["eyes"].append(points[:, [40, 41, 46, 47], 1].mean(1) - points[:, [37, 38, 43, 44], 1].mean(1))
        read["look"].append(points[:, [48, 54], 1].mean(1) - points[:, 51, 1])
        wrists = scene.joints[::every, WRIST : WRIST + 2, 1] - scene.pose[::every, None, 1]
        read["hands"].append(wrists.min(1) / scene.pose[::every, 2])
    return {name: np.array(values) for name, values in read.items()}, np.array([film.classes[0] for film in films])


def recall(cues, names, steps):
    """Recall of a linear reader of window means, trained on half of the films."""
    values, classes = cues
    features = np.stack([values[name][:, :steps].mean(1) for name in names], axis=1)
    features = (features - features.mean(0)) / features.std(0)
    order = np.random.default_rng(0).permutation(len(classes))
    train, test = order[:90], order[90:]
    reader = LogisticRegression(C=10).fit(features[train], classes[train])
    return balanced_accuracy_score(classes[test], reader.predict(features[test]))


def test_only_face_and_body_together_tell_the_classes_apart_and_longer_windows_help(cues):
    face, body = recall(cues, ["eyes", "look"], 20), recall(cues, ["hands"], 20)
    both = recall(cues, ["eyes", "look", "hands"], 20)
    assert both > 0.8
    assert both > max(face, body) + 0.1
    assert recall(cues, ["eyes"], 40) < 0.8
    assert recall(cues, ["look"], 20) > 0.36
    assert recall(cues, ["eyes", "look", "hands"], 1) < recall(cues, ["eyes", "look", "hands"], 5) < both


def test_raised_hands_stay_out_of_the_face_crop():
    film = Film("f", "", "a", (2,) * 40)
    scene = act(film, ("test", 0, 1))
    unit = scene.pose[:, 2]
    hand = scene.joints[:, WRIST : WRIST + 2, 0] - scene.pose[:, None, 0]
    raised = scene.joints[:, WRIST : WRIST + 2, 1] - scene.pose[:, None, 1] < 2.2 * unit[:, None]
    assert raised.any()
    # half a jaw and the margin of 10 pixels; the hand's radius is a quarter of a face unit
    assert (np.abs(hand[raised]) - 0.25 * 25 > 0.84 * 25 + 10 - 1).mean() > 0.8
    assert UP[WRIST][0] > 1.5


def test_films_are_reproducible_and_actors_keep_their_face():
    one, other = (act(Film(name, "", "a", (0,) * 10), ("test", 0, 0)) for name in ("x", "y"))
    assert one.person == other.person
    assert not np.array_equal(one.points, other.points)
    again = act(Film("x", "", "a", (0,) * 10), ("test", 0, 0))
    np.testing.assert_array_equal(one.points, again.points)
    assert _engagement.draw(one) == _engagement.draw(again)
