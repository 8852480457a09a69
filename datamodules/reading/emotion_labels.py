"""Emotion words of EmpatheticDialogues and AvaMERG, and the maps by name that make classes of them.

Three maps onto seven classes are in use around the gated fusion papers' code (docs/papers.md), and they disagree on
half of the emotions: a table uses one of them throughout. ``ed32`` keeps the 32 emotions as they are.
"""

from dataclasses import dataclass

from datamodules.errors import DataError

EMOTIONS = (
    "afraid", "angry", "annoyed", "anticipating", "anxious", "apprehensive", "ashamed", "caring", "confident",
    "content",
    "devastated", "disappointed", "disgusted", "embarrassed", "excited", "faithful", "furious", "grateful", "guilty",
    "hopeful", "impressed", "jealous", "joyful", "lonely", "nostalgic", "prepared", "proud", "sad", "sentimental",
    "surprised", "terrified", "trusting",
)  # fmt: skip
COARSE = ("happy", "contempt")  # AvaMERG's coarse emotions that are none of the 32
CLASSLESS = ("tired",)  # a word that AvaMERG's labels hold and no map has a class for

_SYNONYMS = {
    "anxious": "conflicted anxiety worried uneasy stressed concerned burdened overwhelmed worry nervous stress "
    "confusion concern overwhelm",
    "afraid": "vulnerability helplessness fear fragile vulnerable fearful helpless",
    "sad": "sadness melancholy heavy-hearted melancholic frustrated",
    "sentimental": "pensive reflective thoughtful",
    "annoyed": "frustration",
    "tired": "weary fatigue exhaustion tiredness exhausted",
    "disappointed": "upset disappointment",
    "jealous": "lost confused",
    "nostalgic": "nostalgia",
    "lonely": "loneliness",
    "ashamed": "inadequacy",
    "guilty": "regret",
}
SYNONYMS = {word: emotion for emotion, words in _SYNONYMS.items() for word in words.split()}

KNOWN = (*EMOTIONS, *COARSE, *CLASSLESS)  # what `canonical` can say


@dataclass(frozen=True)
class LabelMap:
    """Classes and the emotions that make them.

    Attributes:
        name: How a setting names it.
        classes: Names of the classes in order of their index.
        members: Class by emotion; an emotion that is not in it has no class.
    """

    name: str
    classes: tuple[str, ...]
    members: dict[str, str]

    def index(self, emotion: str) -> int:
        """Return the index of an emotion's class, -1 where it has none."""
        return self.classes.index(self.members[emotion]) if emotion in self.members else -1


def _map(name: str, **classes: str) -> LabelMap:
    return LabelMap(name, tuple(classes), {emotion: key for key, words in classes.items() for emotion in words.split()})


LABEL_MAPS = {
    # The organisers' own, "A" in the notes of docs/papers.md; devastated is surprised, anxious sad, jealous contempt.
    "avamerg": _map(
        "avamerg",
        happy="happy anticipating caring confident content excited faithful grateful hopeful joyful prepared proud "
        "trusting",
        surprised="surprised impressed devastated",
        angry="angry annoyed furious",
        fear="afraid terrified apprehensive",
        sad="sad lonely disappointed guilty ashamed embarrassed nostalgic sentimental anxious",
        disgusted="disgusted",
        contempt="contempt jealous",
    ),
    # No emotion is "neutral": it is what the authors' code does with words that it does not list (joyful among them).
    "mimamo": _map(
        "mimamo",
        neutral="faithful jealous anticipating caring confident guilty joyful prepared trusting",
        joy="happy excited content grateful impressed proud hopeful",
        sadness="sad devastated disappointed lonely sentimental nostalgic",
        anger="angry annoyed furious",
        fear="afraid terrified anxious apprehensive",
        disgust="disgusted ashamed embarrassed",
        surprise="surprised",
    ),
    "late_fusion": _map(
        "late_fusion",
        neutral="caring trusting anticipating embarrassed",
        joy="joyful happy excited grateful proud prepared confident hopeful content faithful nostalgic sentimental",
        sadness="sad lonely guilty disappointed ashamed devastated",
        anger="angry furious annoyed jealous",
        fear="afraid terrified anxious apprehensive",
        disgust="disgusted",
        surprise="surprised impressed",
    ),
    "ed32": LabelMap("ed32", EMOTIONS, {emotion: emotion for emotion in EMOTIONS}),
}


def label_map(name: str) -> LabelMap:
    """Return a map by its name."""
    if name not in LABEL_MAPS:
        raise DataError(f"--data.label_map {name}: the maps are {', '.join(LABEL_MAPS)}")
    return LABEL_MAPS[name]


def canonical(word: str, where: str) -> str:
    """Return the emotion that a label means, its synonyms followed until none is left.

    Returns:
        One of `KNOWN`.

    Raises:
        DataError: If nothing is known of the word; it is never filed under some class in silence.
    """
    emotion = word.strip().lower()
    while emotion in SYNONYMS:
        emotion = SYNONYMS[emotion]
    if emotion not in KNOWN:
        raise DataError(
            f"{where}: {word!r} is no emotion that is known; add it to datamodules/reading/emotion_labels.py"
        )
    return emotion
