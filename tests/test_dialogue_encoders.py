"""Encoders of utterances: padding never counts, and pretrained weights load or say why not."""

import pytest
import torch
import transformers
from dialogues import BERT, WAV2VEC2, bert, video_transformer, wav2vec2

from lightning_modules.errors import TaskError
from lightning_modules.nn.dialogue_encoders import BertText, VideoConvNet, VideoTransformer, Wav2Vec2Audio
from lightning_modules.nn.state_pooling import masked_mean


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_full_size_networks_have_the_measured_parameters():
    with torch.device("meta"):
        assert count(BertText()) == 108_891_648
        assert count(Wav2Vec2Audio()) == 94_371_712
        assert count(VideoTransformer()) == 8_596_224
        assert count(VideoConvNet().linear) == 12_544 * 384 + 384


def test_video_attention_is_joint_over_all_patches_of_all_frames():
    torch.manual_seed(0)
    encoder = video_transformer().eval()
    seen = []
    encoder.layers.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    video = torch.randn(2, 3, 2, 16, 16)
    embedding = encoder(video)
    assert seen == [(2, 8, 24)]
    # By hand: patch (0, 1) of frame 1 is token 4 + 1.
    patch = (encoder.patches.weight * video[0, None, :, 1, :8, 8:]).sum((1, 2, 3)) + encoder.patches.bias
    tokens = encoder.norm(patch + encoder.time[1] + encoder.space[1])
    captured = []
    encoder.layers.register_forward_pre_hook(lambda module, args: captured.append(args[0]))
    encoder(video)
    torch.testing.assert_close(captured[0][0, 5], tokens)
    pooled = encoder.layers(captured[0]).mean(1)
    torch.testing.assert_close(embedding, pooled + encoder.residual(pooled))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bert_is_the_librarys_without_its_padding(pooling):
    torch.manual_seed(0)
    encoder = bert(pooling=pooling).eval()
    ids = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 8, 3, 0, 0, 0]])
    said = encoder(ids)
    for row, length in enumerate((4, 3)):
        states = encoder.network(input_ids=ids[row : row + 1, :length]).last_hidden_state[0]
        torch.testing.assert_close(said[row], states[0] if pooling == "cls" else states.mean(0))
        torch.testing.assert_close(encoder(ids[row : row + 1])[0], said[row])
    assert torch.isfinite(encoder(torch.zeros(1, 6, dtype=torch.long))).all()


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_wav2vec2_is_the_librarys_without_its_padding(norm):
    config = {**WAV2VEC2, "feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer"}
    torch.manual_seed(0)
    encoder = Wav2Vec2Audio(config).eval()
    plain = transformers.Wav2Vec2Model(encoder.network.config).eval()
    plain.load_state_dict(encoder.network.state_dict())
    waves = torch.randn(3, 500)
    waves[0, 300:] = 0
    waves[1, 123:] = 0
    said = encoder(waves)
    for row, length in enumerate((300, 123, 500)):
        wave = waves[row, :length]
        wave = (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt()
        torch.testing.assert_close(said[row], plain(wave[None]).last_hidden_state[0].mean(0), atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(encoder(waves[row : row + 1])[0], said[row], atol=2e-5, rtol=1e-4)


def test_silence_and_a_single_sample_have_an_embedding():
    encoder = wav2vec2().eval()
    waves = torch.zeros(2, 400)
    waves[1, 0] = 0.5
    assert torch.isfinite(encoder(waves)).all()
    assert encoder.shortest == 20
    assert not encoder.accepts([19])
    with torch.device("meta"):
        assert Wav2Vec2Audio().shortest == 400


def test_loudness_does_not_count():
    encoder = wav2vec2().eval()
    wave = torch.randn(1, 400)
    torch.testing.assert_close(encoder(wave), encoder(100 * wave), atol=1e-4, rtol=1e-3)


def test_nothing_is_masked_in_training():
    encoder = Wav2Vec2Audio({**WAV2VEC2, "hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0})
    encoder = encoder.train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    wave = torch.randn(2, 400)
    assert torch.equal(encoder(wave), encoder(wave))


def test_the_conv_net_reads_videos_of_any_size():
    encoder = VideoConvNet(dim=16, heads=2, layers=1, widths=(4, 4, 8)).eval()
    assert encoder(torch.randn(2, 3, 4, 32, 32)).shape == (2, 16)
    assert encoder.accepts([3, 8, 224, 224])
    assert not encoder.accepts([3, 1, 224, 224])


def test_masked_mean_ignores_what_is_not_there():
    values = torch.tensor([[[1.0], [torch.nan]], [[2.0], [4.0]], [[5.0], [6.0]]])
    there = torch.tensor([[True, False], [True, True], [False, False]])
    assert masked_mean(values, there).tolist() == [[1.0], [3.0], [0.0]]


@pytest.mark.parametrize(("make", "config"), [(bert, BERT), (wav2vec2, WAV2VEC2)])
def test_pretrained_weights_load_from_a_folder(make, config, tmp_path):
    torch.manual_seed(1)
    source = make()
    source.network.save_pretrained(tmp_path)
    torch.manual_seed(2)
    encoder = make(weights=str(tmp_path))
    encoder.load_pretrained()
    given = source.network.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in encoder.network.state_dict().items())
    other = type(encoder)({**config, "hidden_size": 24, "num_attention_heads": 2}, weights=str(tmp_path))
    with pytest.raises(TaskError, match=r"does not fit the config of the encoder: it differs in shape at"):
        other.load_pretrained()


def test_pretrained_weights_of_a_network_with_a_head_load_too(tmp_path):
    config = transformers.BertConfig(**BERT)
    source = transformers.BertForMaskedLM(config)
    source.save_pretrained(tmp_path)
    encoder = bert(weights=str(tmp_path))
    encoder.load_pretrained()
    assert torch.equal(encoder.network.embeddings.word_embeddings.weight, source.bert.embeddings.word_embeddings.weight)


def test_weights_that_are_not_there_or_not_whole_are_one_error(tmp_path):
    for name in ("no/such-model", str(tmp_path)):
        with pytest.raises(TaskError, match=r"could not be had.*\nName a local folder in `weights`"):
            bert(weights=name).load_pretrained()
    wav2vec2().network.save_pretrained(tmp_path)
    with pytest.raises(TaskError, match=r"is no BertModel: it lacks|could not be had"):
        bert(weights=str(tmp_path)).load_pretrained()


def test_ids_of_another_tokenizer_are_one_line():
    with pytest.raises(TaskError, match="knows id 50, the encoder 50 ids"):
        bert()(torch.tensor([[2, 50, 3]]))


def test_a_config_that_cannot_be_is_one_line():
    with pytest.raises(TaskError, match="transformers cannot build bert") as caught:
        BertText({**BERT, "num_attention_heads": 3})
    assert "\n" not in str(caught.value)
    with pytest.raises(TaskError, match="patch 7 must divide size 16"):
        VideoTransformer(size=16, patch=7)


def test_checkpoints_of_waves_keep_their_names():
    names = set(wav2vec2().state_dict())
    assert {"norm.weight", "network.feature_extractor.conv_layers.0.layer_norm.weight"} <= names
