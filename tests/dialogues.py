"""Small dialogues and encoders, for tests of the models over them."""

import torch

from lightning_modules.nn.dialogue_encoders import BertText, VideoTransformer, Wav2Vec2Audio

UTTERANCES, CLASSES = 4, 3
SHAPES = {
    "text": [UTTERANCES, 6],
    "context": [8],
    "audio": [UTTERANCES, 400],
    "video": [UTTERANCES, 3, 2, 16, 16],
    "meta": [4],
}
SIZES = {"speaker_age": 5, "speaker_gender": 3, "listener_age": 5, "topic": 4}
NAMES = ["happy", "sad", "angry"]
BERT = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 12,
    "initializer_range": 0.5,
}
WAV2VEC2 = {
    "hidden_size": 20,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def bert(**options):
    return BertText(BERT, **options)


def wav2vec2(**options):
    return Wav2Vec2Audio(WAV2VEC2, **options)


def video_transformer():
    return VideoTransformer(frames=2, size=16, patch=8, dim=24, heads=2, layers=1)


def encoders():
    return {"text": bert(), "audio": wav2vec2(), "video": video_transformer()}


def dialogues(size=3, seed=0, absent=()):
    """A raw batch of dialogues of 2 to 4 utterances; ``absent`` names (modality, row) pairs."""
    generator = torch.Generator().manual_seed(seed)
    length = 2 + torch.arange(size) % (UTTERANCES - 1)
    valid = torch.arange(UTTERANCES) < length[:, None]
    batch = {
        "id": [f"{seed}-{row}" for row in range(size)],
        "group": [f"{row}" for row in range(size)],
        "text": torch.randint(1, 50, (size, *SHAPES["text"]), generator=generator),
        "context": torch.randint(1, 50, (size, *SHAPES["context"]), generator=generator),
        "audio": torch.randn(size, *SHAPES["audio"], generator=generator),
        "video": torch.randn(size, *SHAPES["video"], generator=generator),
        "meta": torch.randint(0, 3, (size, *SHAPES["meta"]), generator=generator),
        "role": torch.where(valid, 1 + torch.arange(UTTERANCES) % 2, 0),
        "length": {"utterances": length},
        "utterance_mask": {modality: valid.clone() for modality in ("text", "audio", "video")},
        "mask": {
            modality: torch.ones(size, dtype=torch.bool) for modality in ("text", "context", "audio", "video", "meta")
        },
        "target": torch.arange(size) % CLASSES,
    }
    batch["text"][:, :, 4:] = 0  # padding
    batch["audio"][:, :, 300:] = 0
    for modality, row in absent:
        batch["mask"][modality][row] = False
    return batch


def with_content(batch, modality, row, value):
    """The batch with one modality of one dialogue overwritten."""
    changed = {**batch, modality: batch[modality].clone()}
    changed[modality][row] = value
    return changed
