"""Options of ``prepare`` that have another name since every corpus is prepared by the recipe of a paper."""

from collections.abc import Sequence

VIDEO, GRID, TEXT, FACE = "--views.video", "--views.people", "--views.text", "--views.face"
_ENGAGEMENT = {
    "--boxes": f"{GRID}.boxes",
    "--detector": f"{GRID}.detector",
    "--parts": f"{GRID}.parts",
    "--face-size": f"{GRID}.face_size",
    "--body-size": f"{GRID}.body_size",
    "--face-margin": f"{GRID}.face_margin",
    "--body-margin": f"{GRID}.body_margin",
}
RENAMED: dict[str, dict[str, str]] = {
    "ravdess": {
        "--landmarks": f"{VIDEO}.landmarks",
        "--face": f"{VIDEO}.face",
        "--landmark-rows": f"{VIDEO}.rows",
        "--landmark-confidence": f"{VIDEO}.confidence",
        "--margin": f"{VIDEO}.margin",
        "--crop": f"{VIDEO}.crop",
        "--size": f"{VIDEO}.size",
        "--audio": "--views.wave.rate",
    },
    "faces": {"--size": f"{FACE}.size", "--margin": f"{FACE}.margin"},
    "empathetic": {
        "--level": f"{TEXT}.text",
        "--tokens": f"{TEXT}.tokens",
        "--tokenizer": f"{TEXT}.tokenizer",
    },
    "avamerg": {
        "--tokenizer": f"{TEXT}.tokenizer",
        "--text-tokens": f"{TEXT}.tokens",
        "--context-tokens": f"{TEXT}.context_tokens",
        "--frames": f"{VIDEO}.frames",
        "--size": f"{VIDEO}.size",
        "--seconds": "--views.audio.seconds",
    },
    "vgaf": {
        "--frames": "--views.img.frames",
        "--size": "--views.img.size",
        "--fit": "--views.img.fit",
        "--dtype": "--views.img.dtype",
        "--spectrogram-size": "--views.spec.size",
        "--seed": "--sink.seed",
    },
    "daisee": _ENGAGEMENT,
    "noxi": _ENGAGEMENT,
}
NOTES = {"--views.img.frames": ", one number a command"}  # what else is different


def successor(corpus: str, arguments: Sequence[str]) -> str:
    """Return a message about the first option that has another name now; empty if there is none."""
    for word in arguments:
        option = word.partition("=")[0]
        if option in RENAMED.get(corpus, {}):
            new = RENAMED[corpus][option]
            renaming = f"{option} is called {new} now{NOTES.get(new, '')}"
            return f"{renaming}; python cli.py prepare {corpus} --help tells the options"
    return ""
