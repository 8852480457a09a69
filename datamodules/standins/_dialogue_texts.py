"""Texts of the invented dialogues: by class for the speaker, the same for all from the listener."""

import json
from collections.abc import Sequence
from functools import partial

from datamodules.standins._stand_in import Part

WORDPIECE = ("tokenizer.json", "tokenizer_config.json")  # files of the tokenizer
# Four classes of the label map `avamerg`, each with the emotions that make it.
CLASSES = (("joyful", "excited", "grateful"), ("angry", "furious"), ("sad", "lonely"), ("terrified", "afraid"))
TOPICS = {
    "Work & Career": ("my new job", "the meeting", "my colleague"),
    "Family": ("my sister", "our house", "my son"),
    "Travel": ("the train ride", "our trip", "the airport"),
    "Pets": ("my dog", "the cat", "the kitten"),
}
OPENINGS = (
    "You know, it is about {}.",
    "Let me tell you about {}.",
    "Today it was {} again.",
    "I keep thinking of {}.",
)
SAYINGS = (
    (
        "It was wonderful, I could dance and sing!",
        "What a delightful surprise, I am smiling all day.",
        "I won a prize and we had a great party.",
        "Such luck, I love it and I laugh.",
    ),
    (
        "It is unfair, I want to shout and slam the door.",
        "How dare they cheat me, I was boiling.",
        "They lied and insulted me, it is outrageous.",
        "I hit the table, this rude nonsense must stop.",
    ),
    (
        "I cried all night and miss them so much.",
        "Nothing helps, I feel empty and alone.",
        "It broke my heart, tears came to my eyes.",
        "We said goodbye and I mourn the loss.",
    ),
    (
        "I was shaking and wanted to hide in the dark.",
        "A noise made me scream, my heart raced.",
        "There was danger and I froze in panic.",
        "I dread it, a shadow followed me.",
    ),
)
LISTENING = ("Oh, tell me more.", "And what happened then?", "I see, go on.", "Really? How was that?")
ECHOES = (
    "That is lovely, congratulations!",
    "No wonder that you are angry.",
    "I am sorry for your loss.",
    "That must have been scary.",
)


def tokenizer(texts: Sequence[str]) -> Part:
    """Return the files of a tokenizer of these texts."""
    return Part(tuple(f"tokenizer/{name}" for name in WORDPIECE), partial(wordpiece_files, texts))


def wordpiece_files(texts: Sequence[str], size: int = 1024) -> tuple[str, str]:
    """Return the content of the two files of a small WordPiece tokenizer for a stand-in corpus.

    Args:
        texts: What it is trained on; the same texts give the same files.
        size: Largest number of ids.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words: dict[str, int] = {}
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            words[word] = words.get(word, 0) + 1
    # Whole words, the frequent ones first, then single characters: the trainer of the library breaks ties by chance.
    letters = sorted({letter for word in words for letter in word})
    base = [*special, *letters, *(f"##{letter}" for letter in letters)]
    ranked = [word for word in sorted(words, key=lambda word: (-words[word], word)) if word not in base]
    vocabulary = {piece: index for index, piece in enumerate([*base, *ranked][:size])}
    tokenizer.model = models.WordPiece(vocab=vocabulary, unk_token="[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.add_special_tokens(special)
    names = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("pad", "unk", "cls", "sep", "mask")}
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names}
    return tokenizer.to_str(pretty=True), json.dumps(content, indent=1) + "\n"
