import csv
from collections import Counter
from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.reading.emotion_labels import CLASSLESS, EMOTIONS, KNOWN, LABEL_MAPS, SYNONYMS, canonical, label_map

PROJECT = Path(__file__).resolve().parents[1]


def test_there_are_32_emotions_and_44_synonyms():
    assert len(EMOTIONS) == 32
    assert list(EMOTIONS) == sorted(EMOTIONS)
    assert len({*SYNONYMS, *CLASSLESS}) == 44


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("avamerg", [12, 3, 3, 3, 9, 1, 1]),
        ("mimamo", [9, 6, 6, 3, 4, 3, 1]),
        ("late_fusion", [4, 11, 6, 4, 4, 1, 2]),
        ("ed32", [1] * 32),
    ],
)
def test_every_emotion_has_one_class(name, sizes):
    found = label_map(name)
    places = [found.index(emotion) for emotion in EMOTIONS]
    assert min(places) == 0
    assert [places.count(place) for place in range(len(found.classes))] == sizes


def test_the_maps_disagree_where_the_papers_do():
    told = {
        name: {
            emotion: found.members[emotion] for emotion in ("devastated", "anxious", "jealous", "joyful", "nostalgic")
        }
        for name, found in LABEL_MAPS.items()
    }
    assert list(told["avamerg"].values()) == ["surprised", "sad", "contempt", "happy", "sad"]
    assert list(told["mimamo"].values()) == ["sadness", "fear", "neutral", "neutral", "sadness"]
    assert list(told["late_fusion"].values()) == ["sadness", "fear", "anger", "joy", "joy"]


def test_on_how_many_emotions_the_maps_agree_is_what_the_docs_say():
    maps = [label_map(name) for name in ("avamerg", "mimamo", "late_fusion")]
    same = {"happy": "joy", "surprised": "surprise", "angry": "anger", "sad": "sadness", "disgusted": "disgust"}
    meant = [{same.get(of.members[emotion], of.members[emotion]) for of in maps} for emotion in EMOTIONS]
    placed = [{of.index(emotion) for of in maps} for emotion in EMOTIONS]
    by_meaning, by_index = (sum(len(found) == 1 for found in of) for of in (meant, placed))
    text = " ".join((PROJECT / "docs" / "data" / "empathetic.md").read_text().split())
    assert (
        f"by meaning all three agree on {by_meaning} of the 32 emotions, by the index of the class on {by_index},"
        in text
    )


@pytest.mark.parametrize(
    ("word", "emotion"),
    [("Worried", "anxious"), (" fear ", "afraid"), ("lost", "jealous"), ("exhausted", "tired"), ("happy", "happy"),
     ("joyful", "joyful")],
)  # fmt: skip
def test_synonyms_are_followed_to_the_end(word, emotion):
    assert canonical(word, "here") == emotion


def test_no_synonym_ends_nowhere():
    assert {canonical(word, "here") for word in SYNONYMS} <= set(KNOWN)
    # The authors' code looks a word up once: "worried" became "anxious", which is no class, and so "happy".
    assert label_map("avamerg").classes[label_map("avamerg").index(canonical("worried", ""))] == "sad"


def test_a_chain_of_synonyms_is_followed(monkeypatch):
    monkeypatch.setitem(SYNONYMS, "jittery", "nervous")
    assert canonical("jittery", "here") == "anxious"


def test_an_unknown_word_is_refused_by_name():
    with pytest.raises(DataError, match=r"train\.json, conversation 7: 'hangry' is no emotion"):
        canonical("hangry", "train.json, conversation 7")
    with pytest.raises(DataError, match="label_map ekman: the maps are avamerg, mimamo, late_fusion, ed32"):
        label_map("ekman")


def test_tired_has_no_class_in_any_map():
    assert [found.index("tired") for found in LABEL_MAPS.values()] == [-1] * 4


@pytest.mark.realdata
def test_class_counts_of_the_real_prompts(realdata):
    with (realdata / "empatheticdialogues" / "prompts_named" / "train.csv").open(newline="", encoding="utf-8") as file:
        words = [row["context"] for row in csv.DictReader(file)]
    counts = Counter(label_map("avamerg").members[canonical(word, "train.csv")] for word in words)
    assert dict(counts) == {
        "happy": 6460, "sad": 4857, "surprised": 2000, "angry": 1801, "fear": 1580, "disgusted": 568, "contempt": 536,
    }  # fmt: skip
