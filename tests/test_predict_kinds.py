"""Every kind of model asked about the raw files of its own corpus says what its run said of them."""

import csv
import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    ROOT,
    SMALLER,
    official,
    options_of,
    read_experiment,
    roots_of,
    stand_in,
    trainer_of,
)
from PIL import Image

import affectzoo
import cli
from datamodules import recipe as recipes
from datamodules.errors import DataError
from datamodules.prepare import ravdess_voice
from datamodules.standins._drawing.face import landmarks, make_person, paint
from datamodules.store.plan import plan
from experiments.predict.export import export
from experiments.predict.loaded.clips import write_arrays

EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[!_]*.yaml"))
SLOW = {  # those that take longest, beside one of their kind that does not
    "baseline_logistic", "baseline_product", "baseline_svm", "emotiw_audio", "emotiw_fusion", "engagement_affect",
    "engagement_face", "engagement_fusion", "gated_audio_text", "gated_average", "gated_finetuned", "gated_late",
    "ravdess_averaging", "ravdess_concat", "ravdess_erann", "ravdess_mmtm", "ravdess_multiplication",
    "ravdess_multiplicative", "static_engagement_kinesics",
}  # fmt: skip


@pytest.fixture(scope="session")
def ravdess_raw(tmp_path_factory):
    """A stand-in of RAVDESS, raw and prepared."""
    root = stand_in(tmp_path_factory.mktemp("raw") / "ravdess", "ravdess", "--views.video.size", "32", clips=48)
    (root / SMALLER).write_text("video: {frames: 4, image_size: 32}\n")
    return root


@pytest.fixture(scope="session")
def raw_root(request):
    """Where the raw files and the store of an experiment are."""
    return roots_of(request, ravdess="ravdess_raw")


@pytest.fixture(scope="session")
def fitted(raw_root, trained, tmp_path_factory):
    """The checkpoint of an experiment on data whose raw files are there."""
    of_ravdess = trainer_of(options_of(raw_root), tmp_path_factory.mktemp("fitted"))

    def of(name):
        root = read_experiment(name, overlay=True)["data"]["init_args"].get("root", "")
        return Path((of_ravdess if Path(root).name == "ravdess" else trained)(name, "honest"))

    return of


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Clips that lack something, by what they are."""
    folder, rng = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)
    face = np.stack([drawn_face()] * 25)
    sound = {"wave": 0.1 * rng.standard_normal(40000), "rate": 16000}
    grey = {"frames": np.full_like(face, 90), "fps": 10}
    (folder / "empty.mp4").touch()
    (folder / "words.mp4").write_text("no film\n")
    return {
        "empty": folder / "empty.mp4",
        "no film": folder / "words.mp4",
        "no sound": write_arrays({"frames": face, "fps": 10}, folder / "mute.mkv"),
        "no face": write_arrays({**grey, **sound}, folder / "grey.mkv"),
        "no picture": write_arrays(sound, folder / "voice.mkv"),
        "silence": write_arrays({**sound, "wave": np.zeros(40000)}, folder / "still.mkv"),
    }


def entries_of(corpus, root):
    """The entries of a stand-in, as its preparation has them, without their labels."""
    if corpus == ravdess_voice.CORPUS:  # whose sounds are RAVDESS'
        found = recipes.catalogue_class("ravdess")().scan(root / ravdess_voice.SOUNDS).usable
        return [replace(entry, labels={}, split="") for entry in found]
    catalogue = recipes.catalogue_class(corpus)
    recipe = recipes.load(catalogue.recipe, synthetic=True, catalogue=catalogue)
    return [replace(entry, labels={}, split="") for entry in plan(catalogue(), recipe, root).scan.usable]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXPERIMENTS]
)
def test_answers_are_those_of_the_run(name, fitted, raw_root, odd, tmp_path):
    checkpoint = fitted(name)
    model = affectzoo.load(checkpoint)
    with next(checkpoint.parent.parent.glob("predictions-*.csv")).open(newline="") as file:
        said = list(csv.DictReader(file))
    data = read_experiment(name, overlay=True)["data"]["init_args"]
    roots = [Path(root).name for root in data.get("roots", [data.get("root")])]
    places = dict(zip(roots, _listed(raw_root(name)[1]), strict=True))
    known = sorted(model.reader.takes) == ["features", "id"]
    rows = (check_features if known else check_entries)(name, checkpoint, model, said, places)
    assert official(name) or model.about["protocol"] == "honest"
    check_exported(checkpoint, model, rows, tmp_path)
    check_together(model, rows)
    check_odd(model, odd, rows[0])


def check_features(name, checkpoint, model, said, places):
    """Compare the answers about files of features with what the run said; return rows of what was asked."""
    (root,) = map(Path, places.values())
    rows = {row["id"]: row for row in model.reader.rows(root)}
    answers = model([rows[row["id"]] for row in said])
    for row, answer in zip(said, answers, strict=True):
        assert not answer.problem
        assert not answer.missing
        for label, value in answer.probabilities.items():
            assert value == pytest.approx(float(row[f"p_{label}"]), abs=2e-6)
    return [rows[row["id"]] for row in said[:3]]


def check_entries(name, checkpoint, model, said, places):
    """Compare the answers about the entries of a corpus with what the run said; return rows of what was asked."""
    entries = [entry for corpus, root in places.items() for entry in entries_of(corpus, Path(root))]
    rows = defaultdict(list)
    for row in said:
        rows[row["id"].partition("@")[0]].append(row)
    asked = [replace(entry, id=called(entry)) for entry in entries if called(entry) in rows]
    assert len(asked) == len(rows)
    asked = [with_facts(entry, model) for entry in asked]
    for entry, answer in model.of_entries(asked[:40], batch_size=16):
        if answer.problem:
            assert not usable(entry, model)
            continue
        found = [answer.probabilities] if not answer.over_time else [one["probabilities"] for one in answer.over_time]
        assert len(found) == len(rows[entry.id])
        for row, probabilities in zip(in_time(rows[entry.id]), found, strict=True):
            for label, value in probabilities.items():
                assert value == pytest.approx(float(row[f"p_{label}"]), abs=2e-6)
        for gate, value in answer.weights.items():
            assert value == pytest.approx(float(rows[entry.id][0][f"gate_{gate}"]), abs=2e-6)
        for task, value in answer.values.items():
            assert value == pytest.approx(float(rows[entry.id][0][f"pred_{task}"]), abs=2e-5)
    if name == "static_engagement_face":  # of whose clips enough select the epoch
        check_calibration(checkpoint, model, model.of_entries(asked[:1]))
    called_so = Counter(path.name for entry in entries for path in entry.files())
    # What lies beside a file is looked for by its name, which has to be its own.
    first = [entry for entry in asked if usable(entry, model) and all(called_so[of.name] == 1 for of in entry.files())]
    first = (first or asked)[:3]
    found = [row_of(entry, model) for entry in first]
    if None in found:
        return first
    # The stand-in's sound is cut so short for ERANN that its clips are long files.
    whole = {} if hasattr(model.reader.shape, "step_kinds") else {"window": 60}
    for (_, known), answer in zip(model.of_entries(first), model(found, **whole), strict=True):
        same(answer, known)
    return found


def usable(entry, model):
    """Whether an entry has anything of what the model reads."""
    pieces = entry.pieces(of_parts=True)
    media = {name for piece in pieces for name, medium in piece.media.items() if not medium.problem}
    words = {"text"} if any(piece.texts.get("text") or piece.texts.get("prompt") for piece in pieces) else set()
    lists = {"video", "picture"} & media and {"video", "face", "kinesics", "affect"}
    return bool({*media, *words, *(lists or ()), *({"wave"} if "audio" in media else ())} & {*model.modalities})


def row_of(entry, model):
    """What somebody would ask about an entry; None of one that is no file of its own."""

    def told(one):
        paths = {name: one.media[name].path for name in ("picture", "video", "audio") if name in one.media}
        file = next(iter(paths.values()), None)
        row = {"file": file, "audio": paths.get("audio")} if "video" in paths else {"file": file} if file else {}
        words = one.texts.get("text") or one.texts.get("prompt")
        return {**row, **({"text": words} if words else {})}

    if any(of.box or of.time is not None or of.pixels is not None for of in entry.media.values()):
        return None
    if "picture" in entry.media and not entry.media["picture"].search:  # one that is a face, as nobody can say
        return None
    facts = {name: entry.columns[f"meta_{name}"] for name in model.fields}
    if not entry.parts:
        return {**told(entry), **facts}
    turns = [{**told(part), "role": part.texts["role"]} for part in entry.parts]
    turns = [turn for turn in turns if turn["role"] != "listener_response"]
    return {"dialogue": turns, "context": entry.texts["context"], **facts}


def same(answer, other, abs=1e-6):
    assert not answer.problem
    for name in ("probabilities", "values", "weights"):
        assert getattr(answer, name) == pytest.approx(getattr(other, name), abs=abs)


def ask(model, asked, **options):
    """Answers about rows, or about entries."""
    if isinstance(asked[0], dict):
        return list(model.answers(asked, **options))
    return [answer for _, answer in model.of_entries(asked, **options)]


def check_exported(checkpoint, model, rows, folder):
    export(checkpoint, folder / "exported")
    exported = affectzoo.load(folder / "exported")
    assert exported.about["calibration"] == model.about["calibration"]
    (again,), (before,) = ask(exported, rows[:1]), ask(model, rows[:1])
    assert (again.probabilities, again.values, again.weights) == (before.probabilities, before.values, before.weights)
    assert again.over_time == before.over_time
    own = model.task.state_dict()
    for name, tensor in exported.task.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    for path in (folder / "exported").iterdir():
        assert path.suffix in (".json", ".md", ".safetensors")
    assert str(checkpoint.parent.parent.parent) not in (folder / "exported" / "config.json").read_text()


def check_together(model, rows):
    """A batch's answers are single ones, and those of two processes."""
    together = ask(model, rows)
    for place, answer in enumerate(together):
        same(answer, ask(model, rows[place : place + 1])[0])
    if model.reader.media and (views := str(model.reader.settings)) not in OF_PROCESSES:
        OF_PROCESSES.add(views)
        for answer, other in zip(ask(model, rows, workers=2), together, strict=True):
            same(answer, other, abs=0)


OF_PROCESSES: set[str] = set()  # views that were made by two processes already


def check_odd(model, odd, good):
    """What a clip lacks is masked, or one line; the others go on."""
    asked = [{"file": path} for path in odd.values()]
    answers = dict(zip(odd, model(asked), strict=True))
    for name, answer in answers.items():
        assert bool(answer.problem) != bool(answer.probabilities or answer.values), name
        assert "\n" not in str(answer)
        numbers = [*answer.probabilities.values(), *answer.values.values(), *answer.weights.values()]
        assert np.isfinite(numbers).all(), name
        if not answer.problem:
            same(model(odd[name]), answer)
    assert answers["empty"].problem
    assert answers["no film"].problem
    seen = {name: {*model.modalities} - {"meta"} - answers[name].missing.keys() for name in odd}
    for name, lost in {"no sound": SOUND, "no picture": SIGHT, "no face": FACES}.items():
        if not answers[name].problem:
            kinds = {model.reader.view_of(modality) for modality in seen[name]}
            assert not {type(model.reader.views[view]).__name__ for view in kinds} & lost, name
    if isinstance(good, dict):
        *_, last = model([*asked, good])
        same(last, model([good])[0])


FACES = {"Faces", "Face", "FaceMesh"}
SIGHT = FACES | {"WholeFrames", "Films", "People"}
SOUND = {"MFCC", "Wave", "Spectrograms", "Speech", "SpeechFunctionals", "VoiceEmbedding", "Functionals"}


def check_calibration(checkpoint, model, answers):
    of = model.about["calibration"]
    told = json.loads((checkpoint.parent.parent / "result.json").read_text())["calibration"]
    assert of == told
    assert of["split"] == "val"
    assert of["clips"] >= 20
    ((_, answer),) = answers
    scaled = [np.array(list(one["probabilities"].values())) ** (1 / of["temperature"]) for one in answer.over_time]
    mean = np.mean([one / one.sum() for one in scaled], axis=0)
    assert answer.confidence == pytest.approx(mean[model.classes.index(answer.label)], abs=1e-6)
    assert answer.unsure == (answer.confidence < of["threshold"])


def _listed(words):
    return words.strip("[]").replace("'", "").split(", ")


def with_facts(entry, model):
    """The entry with what the model may know of it, as a clip of anybody has it."""
    return replace(entry, columns={f"meta_{name}": entry.columns.get(name, "") for name in model.fields})


def called(entry):
    """The id that the run has of an entry: VGAF's tensors are read by the names of their clips."""
    part = entry.columns.get("part")
    return entry.id if part is None else entry.group if part == "Val" else ""


def in_time(rows):
    if len(rows) == 1:
        return rows
    return sorted(rows, key=lambda row: float(row["id"].rpartition("@")[2].partition("-")[0]))


def test_a_picture_is_asked_about(trained, tmp_path):
    model = affectzoo.load(trained("static_emotion", "honest"))
    Image.fromarray(drawn_face()).save(tmp_path / "face.png")
    answer = model(tmp_path / "face.png")
    assert answer.label in model.classes
    assert answer.values.keys() == {"arousal", "valence"}
    assert answer.seconds == 0
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    blank, again = model([tmp_path / "blank.png", tmp_path / "face.png"])
    assert "no face" in blank.problem
    assert again.values == pytest.approx(answer.values, abs=1e-5)


def drawn_face():
    person = make_person(np.random.default_rng(0))
    points = landmarks(person, np.zeros((1, 6)))[0]
    return paint(person, points, np.array([160.0, 110, 60, 0, 0]), (320, 240))


def test_a_text_is_asked_about(trained, tmp_path, capsys):
    checkpoint = trained("empathetic_text", "honest")
    model = affectzoo.load(checkpoint)
    answer = model(text="i was so happy when my friend came")
    assert answer.label in model.classes
    assert answer.file == "i was so happy when my friend came"
    with pytest.raises(DataError, match="no text"):
        model(text=" ")
    table = tmp_path / "texts.csv"
    table.write_text("text\ni was so happy when my friend came\n")
    assert cli.main(["predict", "--ckpt_path", checkpoint, "--clips", str(table), "--out", str(tmp_path / "out")]) == 0
    assert answer.label in capsys.readouterr().out


def test_a_video_on_a_grid_is_asked_about(trained, daisee):
    model = affectzoo.load(trained("static_engagement_face", "honest"))
    entry = entries_of("daisee", daisee)[0]
    ((_, known),) = model.of_entries([entry])
    answer = model(entry.media["video"].path)  # boxes.csv lies above
    assert answer.over_time == known.over_time
    assert len(answer.over_time) > 1
    assert answer.probabilities == pytest.approx(known.probabilities)


def test_a_clip_is_asked_about_with_its_text_and_who_speaks(trained, avamerg):
    model = affectzoo.load(trained("gated_fusion", "honest"))
    part = next(
        part
        for entry in entries_of("avamerg", avamerg)
        for part in entry.parts
        if {"video", "audio"} <= part.media.keys()
    )
    asked = {"file": part.media["video"].path, "audio": part.media["audio"].path}
    bare = model(asked)
    assert list(bare.missing) == ["text"]
    age = model.fields["speaker_age"][0]
    whole = model(asked, text="i am so glad", age=age)
    assert not whole.missing
    assert whole.probabilities != pytest.approx(bare.probabilities, abs=1e-6)
    assert sum(whole.weights.values()) == pytest.approx(1, abs=0.01)
    assert "was not in training" in model(asked, age="ancient").missing["speaker_age"]
    assert model(asked, text="i am so glad", speaker_age=age).probabilities == whole.probabilities


def test_a_table_of_turns_is_asked_turn_by_turn(trained, avamerg, tmp_path, capsys):
    checkpoint = trained("gated_fusion", "honest")
    model = affectzoo.load(checkpoint)
    entry = max(entries_of("avamerg", avamerg), key=lambda entry: len(entry.parts))
    turns = row_of(with_facts(entry, model), model)["dialogue"]
    assert len(turns) > 2
    columns = ["dialogue", "turn", "speaker", "text", "file", "audio"]
    people = {"speaker": "Ann", "listener": "Ben"}
    table = [["x", str(place + 1), people[turn["role"]], turn.get("text", ""), turn.get("file", ""),
              turn.get("audio", "")] for place, turn in enumerate(turns)]  # fmt: skip
    path = tmp_path / "talk.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *table[::-1], ["y", "1", "Cem", "i was so happy", "", ""]])
    command = ["predict", "--ckpt_path", checkpoint, "--clips", str(path), "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--workers", "1"]) == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{path}: x, turn {place + 1}" for place in range(len(turns))] + [
        f"{path}: y, turn 1"
    ]
    for place in (0, len(turns) - 1):
        asked = [{**turn, "role": "", "speaker": people[turn["role"]]} for turn in turns[: place + 1]]
        answer = model(dialogue=asked)
        told = {name: float(rows[place][f"p_{name}"]) for name in model.classes}
        assert told == pytest.approx(answer.probabilities, abs=1e-5)
        alone = model(dialogue=asked[-1:])
        assert (place > 0) == (alone.probabilities != pytest.approx(answer.probabilities, abs=1e-6))
    single = model(text="i was so happy")
    assert {name: float(rows[-1][f"p_{name}"]) for name in model.classes} == pytest.approx(
        single.probabilities, abs=1e-5
    )
    capsys.readouterr()
    assert cli.main([*command, "--workers", "1"]) == 0
    assert f"{len(rows)} of {len(rows)} clips were answered before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dialogue", "told"),
    [
        ([], "give its turns in order"),
        ("hello", "give its turns in order"),
        ([{"text": "hi", "role": "bystander"}], "role 'bystander' of a turn: it is speaker or listener"),
        ([{"file": "absent.mp4"}], "no such file"),
        ([{"file": "notes.doc"}], "neither video nor sound"),
        ([{"speaker": "Ann"}], "text: no text"),
    ],
)
def test_a_dialogue_of_nothing_is_one_line(trained, dialogue, told):
    model = affectzoo.load(trained("gated_fusion", "honest"))
    with pytest.raises(DataError, match=told) as stop:
        model(dialogue=dialogue)
    assert "\n" not in str(stop.value)
    bad, good = model([{"dialogue": dialogue}, {"text": "i was so happy"}])
    assert bad.problem
    assert good.label


def test_a_table_of_turns_that_is_wrong_is_one_line(trained, tmp_path, capsys):
    path = tmp_path / "talk.csv"
    path.write_text("dialogue,turn,role,text\nx,one,speaker,hello\n")
    command = ["predict", "--ckpt_path", trained("gated_fusion", "honest"), "--clips", str(path)]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "line 2: turn" in line
    path.write_text("dialogue,role,text\nx,chorus,hello\n")
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "line 2: role is 'chorus'; it is speaker or listener" in capsys.readouterr().err
