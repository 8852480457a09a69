"""Stand-in for AvaMERG in its own raw format: invented dialogues with a synthetic voice and a drawn face.

Four of the seven classes occur. The speaker's age decides which modality shows the class; the other two show one that
is drawn by chance, so that a model has to look at who is speaking before it weighs them:

    child and elderly    the face (and the colour behind it)
    young                the words
    middle-aged          the voice

Files: ``{train,val,test}.json``, ``data/train_audio/audio_v5_0/dia*.wav``, ``data/train_video/video_v5_0/dia*.mp4``,
``tokenizer/`` and ``SYNTHETIC``. A share of the media is not there, as in the real corpus. A dialogue depends on the
seed and its number alone.
"""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import soundfile

from datamodules.standins._dialogue_texts import CLASSES, ECHOES, LISTENING, OPENINGS, SAYINGS, TOPICS, tokenizer
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Expression, landmarks, make_person, paint
from datamodules.standins._drawing.movie import mp4
from datamodules.standins._drawing.voice import Manner, make_speaker, speak
from datamodules.standins._stand_in import Part, StandIn

VERSION = 1  # raise it when the bytes change
DIALOGUES, LEAST, MOST = 240, 35, 9999
RATE, SECONDS, FPS, SIZE = 16_000, 1.2, 5, (64, 64)
AGES = {"child": "video", "young": "text", "middle-aged": "audio", "elderly": "video"}  # what tells the class
AGE_SHARES = (0.17, 0.33, 0.33, 0.17)
LOST, WHOLE = 0.08, 0.06  # share of single files, and of dialogues that lack all of their wavs or mp4s
NOBODY = 0.03  # share of dialogues without a speaker's profile
AVATARS = 12
# By class, in the order of CLASSES.
MANNERS = (
    Manner(pitch=7, swing=1.5, tempo=4.5, tilt=-9, breath=0.03),
    Manner(pitch=0, tempo=6.5, tilt=-2, breath=0.08),
    Manner(pitch=-6, slope=-3, tempo=2, tilt=-17, breath=0.03),
    Manner(pitch=11, tempo=5.5, tilt=-6, breath=0.75, tremor=1.5),
)
LOOKS = (
    Expression(curve=0.14, width=0.07, gape=0.05),
    Expression(curve=-0.06, width=-0.03, brow=-0.09, slant=-0.14),
    Expression(curve=-0.12, slant=0.14, eye=-0.4),
    Expression(gape=0.16, brow=0.12, eye=0.7),
)
BACKDROPS = ((240, 215, 90), (200, 60, 50), (70, 95, 170), (110, 60, 130))
PLAIN = (205, 208, 212)


class Scene(NamedTuple):
    """One dialogue before anything is drawn."""

    name: str  # five digits
    label: int  # class, a place in `CLASSES`
    expressed: dict[str, int]  # class that each modality shows
    profiles: dict[str, dict[str, Any]]  # of speaker and listener; no speaker where nothing is known of them
    avatars: tuple[int, int]  # numbers of speaker and listener
    missing_files: frozenset[str] = frozenset()  # names of files that are not there

    def file(self, index: int, suffix: str) -> str:
        """Return the name of the wav or mp4 of an utterance."""
        return f"dia{self.name}utt{index}_{self.avatars[index % 2]}.{suffix}"


def plan(number: int, seed: int) -> Scene:
    """Return the plan of a dialogue."""
    rng = rng_of("avamerg", VERSION, seed, number)
    label = number % len(CLASSES)
    age = str(rng.choice(list(AGES), p=AGE_SHARES))
    expressed = {name: int(rng.integers(len(CLASSES))) for name in ("text", "audio", "video")}
    expressed[AGES[age]] = label
    avatars = tuple(int(one) for one in rng.choice(AVATARS, 2, replace=False))
    profiles = {}
    for who, avatar in zip(("speaker", "listener"), avatars, strict=True):
        own = rng_of("avamerg", VERSION, seed, "avatar", avatar)
        gender = ("male", "male", "male", "female")[avatar % 4]
        timbre = str(own.choice(["high", "mid", "low"]))
        old = age if who == "speaker" else str(rng.choice(list(AGES)))
        profiles[who] = {"age": old, "gender": gender, "timbre": timbre, "ID": avatar}
    if rng.random() < NOBODY:
        profiles["speaker"] = {}
    scene = Scene(f"{number:05d}", label, expressed, profiles, (avatars[0], avatars[1]))
    missing_files = set()
    for suffix in ("wav", "mp4"):
        whole = rng.random() < WHOLE
        missing_files |= {scene.file(index, suffix) for index in range(3) if rng.random() < LOST or whole}
    return scene._replace(missing_files=frozenset(missing_files))


def entry(scene: Scene, seed: int) -> dict[str, Any]:
    """Return the dialogue as the manifest has it."""
    rng = rng_of("avamerg", VERSION, seed, scene.name, "text")

    def pick(texts: tuple[str, ...]) -> str:
        return texts[int(rng.integers(len(texts)))]

    text_class, topic = scene.expressed["text"], pick(tuple(TOPICS))
    words = [
        pick(OPENINGS).format(pick(TOPICS[topic])) + " " + pick(SAYINGS[text_class]),
        pick(LISTENING),
        pick(SAYINGS[text_class]),
    ]
    emotion = pick(CLASSES[scene.label])
    dialogue: list[dict[str, Any]] = [
        {
            "index": index,
            "role": ("speaker", "listener")[index % 2],
            "text": text,
            "audio_name": scene.file(index, "wav"),
            "audio_path": f"data\\train_audio\\audio_v5_0\\{scene.file(index, 'wav')}",
        }
        for index, text in enumerate(words)
    ]
    dialogue.append({"index": 3, "role": "listener_response", "text": ECHOES[scene.label], "audio_name": ""})
    return {
        "conversation_id": scene.name,
        "turn": {
            "turn_id": "0",
            "context": f"The speaker talks about {pick(TOPICS[topic])}.",
            "dialogue": dialogue,
            "chain_of_empathy": {
                "speaker_emotion": emotion,
                "event_scenario": f"Something about {topic.lower()}",
                "emotion_cause": f"Feeling {emotion} about {topic.lower()}",
                "goal_to_response": "To listen",
            },
        },
        "speaker_profile": scene.profiles["speaker"],
        "listener_profile": scene.profiles["listener"],
        "topic": topic,
    }


def wav(scene: Scene, index: int, seed: int) -> bytes:
    """Return the voice of an utterance; the listener's is even."""
    avatar = scene.avatars[index % 2]
    rng = rng_of("avamerg", VERSION, seed, scene.name, index, "wav")
    voice = make_speaker(rng_of("avamerg", VERSION, seed, "avatar", avatar), female=avatar % 4 == 3)
    manner = Manner() if index % 2 else MANNERS[scene.expressed["audio"]]
    seconds = SECONDS * rng.uniform(0.7, 1.0)
    sound = speak(voice, manner, seconds, (0.05, seconds - 0.05), RATE, rng)
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def film(scene: Scene, index: int, seed: int) -> bytes:
    """Return the face of an utterance; the listener's is at rest before a plain wall."""
    avatar = scene.avatars[index % 2]
    rng = rng_of("avamerg", VERSION, seed, scene.name, index, "mp4")
    person = make_person(rng_of("avamerg", VERSION, seed, "avatar", avatar, "face"), long_hair=avatar % 4 == 3)
    expressed = scene.expressed["video"]
    look, wall = (Expression(), PLAIN) if index % 2 else (LOOKS[expressed], BACKDROPS[expressed])
    person = person._replace(backdrop=wall)
    frames = round(SECONDS * FPS)
    face = np.array(look) * rng.uniform(0.8, 1.2) + rng.normal(0, 0.008, (frames, 6))
    pose = np.array([32 + rng.uniform(-2, 2), 31 + rng.uniform(-2, 2), rng.uniform(16, 18), 0, 0])
    poses = pose + rng.normal(0, (0.3, 0.3, 0.1, 0.01, 0.02), (frames, 5))
    points = landmarks(person, face)
    return mp4((paint(person, *one, SIZE) for one in zip(points, poses, strict=True)), FPS)


def _media(scene: Scene, seed: int) -> Part:
    """Return the files of the utterances that are there."""
    made = {}
    for index in range(3):
        for suffix, kind, make in (("wav", "audio", wav), ("mp4", "video", film)):
            if (name := scene.file(index, suffix)) not in scene.missing_files:
                made[f"data/train_{kind}/{kind}_v5_0/{name}"] = partial(make, scene, index, seed)
    return Part(tuple(made), partial(_call_all, tuple(made.values())), clip=True)


def _call_all(functions: Sequence[Callable[[], bytes]]) -> tuple[bytes, ...]:
    return tuple(function() for function in functions)


def _manifests(scenes: Sequence[Scene], seed: int) -> Iterator[Part]:
    """Yield the manifests of all splits, and a tokenizer of what is said in them."""
    order = rng_of("avamerg", VERSION, seed, "splits").permutation(len(scenes))
    train, test = int(0.6 * len(scenes)), int(0.2 * len(scenes))
    texts: list[str] = []
    for split, rows in zip(("train", "test", "val"), np.split(order, [train, train + test]), strict=True):
        entries = [entry(scenes[row], seed) for row in sorted(rows.tolist())]
        yield Part((f"{split}.json",), json.dumps(entries, indent=1) + "\n")
        turns = [one["turn"] for one in entries]
        texts += [text["text"] for turn in turns for text in turn["dialogue"]] + [turn["context"] for turn in turns]
        texts += [text for turn in turns for text in turn["chain_of_empathy"].values()]
    yield tokenizer(texts)


def _parts(dialogues: int, seed: int) -> Iterator[Part]:
    scenes = [plan(number, seed) for number in range(dialogues)]
    yield from (part for scene in scenes if (part := _media(scene, seed)).files)
    yield from _manifests(scenes, seed)


CORPUS = StandIn(
    "avamerg", VERSION, "dialogues", (DIALOGUES, LEAST, MOST), _parts,
    "Invented dialogues in which the speaker's age decides which modality tells the emotion: "
    f"{DIALOGUES}, or --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
