import json

import pytest
import torch
from tiny import CLASSES, TinyData, TinyTask
from torch import nn

from experiments.errors import UsageError
from experiments.train import embed
from lightning_modules.nn.dialogue_encoders import BertText


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
        self.seen = 0

    def forward(self, items):
        self.seen += len(items)
        return torch.tanh(self.layer(items))


class Encoded(TinyTask):
    """A head over a frozen encoder."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = Encoder().eval().requires_grad_(False)
        self.head = nn.Linear(4, CLASSES)

    def stages(self):
        return {"encoder": [self.encoder], "rest": [self.bottom, self.middle, self.scale], "head": [self.head]}

    def frozen_encoders(self):
        return {"audio": self.encoder}

    def forward(self, batch):
        values = batch["audio"]
        return {"logits": self.head(values if values.shape[1] == 4 else self.encoder(values)), "aux": {}}


class Items(TinyData):
    def __init__(self, root, **kwargs):
        super().__init__(**kwargs)
        self.root = str(root)

    def count_items(self, modality):
        assert modality == "audio"
        return len(self.values)

    def items(self, modality, start, stop):
        return self.values[start:stop]

    def use_embeddings(self, modality, values):
        self.values = values


@pytest.fixture
def task():
    torch.manual_seed(0)
    return Encoded()


def embedded(task, root, **kwargs):
    data = Items(root, **kwargs)
    embed.use_frozen_encoders(task, data)
    return data


def test_a_model_says_the_same_from_the_store(task, tmp_path):
    raw, data = Items(tmp_path), embedded(task, tmp_path)
    assert data.values.shape == (len(raw.values), 4)
    task.eval()
    torch.testing.assert_close(task({"audio": data.values})["logits"], task({"audio": raw.values})["logits"])


def test_a_hit_equals_a_miss_to_the_bit_and_runs_the_encoder_on_one_item_alone(task, tmp_path):
    first = embedded(task, tmp_path).values
    task.encoder.seen = 0
    again = embedded(task, tmp_path).values
    assert torch.equal(first, again)
    assert task.encoder.seen == 0


def test_other_weights_or_other_data_are_another_store(task, tmp_path):
    embedded(task, tmp_path)
    with torch.no_grad():
        task.encoder.layer[0].bias += 1
    changed = embedded(task, tmp_path).values
    assert len(list((tmp_path / "embeddings").iterdir())) == 2
    torch.testing.assert_close(changed, task.encoder(Items(tmp_path).values))
    other = Items(tmp_path)
    other.fingerprint_value = "another preparation"
    embed.use_frozen_encoders(task, other)
    assert len(list((tmp_path / "embeddings").iterdir())) == 3


@pytest.mark.parametrize("change", [{"pooling": "mean"}, {"config": {"num_attention_heads": 4}}], ids=str)
def test_an_option_that_neither_text_nor_weights_tell_is_another_store(change, tmp_path):
    size = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 9,
    }

    class Texts(Items):
        def items(self, modality, start, stop):
            return torch.arange(stop - start)[:, None].expand(-1, 4) % 8 + 1

    def key(options):
        torch.manual_seed(0)
        encoder = BertText(**{**options, "config": size | options.get("config", {})})
        return embed._key(encoder, Texts(tmp_path), "audio"), str(encoder), encoder.state_dict()

    (first, text, weights), (again, *_), (other, same_text, same) = key({}), key({}), key(change)
    assert text == same_text
    assert all(torch.equal(weights[name], value) for name, value in same.items())
    assert first == again != other


def test_an_encoder_that_cannot_read_the_items_is_no_broken_store(task, tmp_path):
    class Narrow(Items):
        def items(self, modality, start, stop):
            return super().items(modality, start, stop)[:, :3]

    def refuse(items):
        raise ValueError("five values wanted")

    task.encoder.forward = refuse
    with pytest.raises(UsageError, match=r"frozen Encoder cannot read audio of shape \[3\]: five values") as error:
        embed.use_frozen_encoders(task, Narrow(tmp_path))
    assert "delete" not in str(error.value)


def test_options_that_change_the_items_are_another_store(task, tmp_path):
    class Normalised(Items):
        def items_key(self, modality):
            return f"{modality} halved"

        def items(self, modality, start, stop):
            return super().items(modality, start, stop) / 2

    whole, half = embedded(task, tmp_path).values, Normalised(tmp_path)
    embed.use_frozen_encoders(task, half)
    assert len(list((tmp_path / "embeddings").iterdir())) == 2
    assert not torch.equal(half.values, whole)


def test_an_interrupted_run_ends_with_the_same_bytes(task, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "CHUNK", 16)
    monkeypatch.setattr(embed, "BATCH", 8)
    whole = embedded(task, tmp_path / "whole").values.clone()

    calls = []

    class Killed(Items):
        def items(self, modality, start, stop):
            calls.append(start)
            if start >= 24:
                raise KeyboardInterrupt
            return super().items(modality, start, stop)

    with pytest.raises(KeyboardInterrupt):
        embed.use_frozen_encoders(task, Killed(tmp_path / "part"))
    path = next((tmp_path / "part" / "embeddings").rglob("audio.f32"))
    with path.open("ab") as file:
        file.write(b"half")  # of a chunk that was not written whole
    task.encoder.seen = 0
    assert torch.equal(embedded(task, tmp_path / "part").values, whole)
    assert task.encoder.seen == len(whole) - 16 + 1


def test_a_damaged_store_is_one_line(task, tmp_path):
    embedded(task, tmp_path)
    path = next((tmp_path / "embeddings").rglob("audio.f32"))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UsageError, match="delete that folder"):
        embedded(task, tmp_path)


def test_the_store_says_what_it_is(task, tmp_path):
    embedded(task, tmp_path)
    manifest = json.loads(next((tmp_path / "embeddings").rglob("manifest.json")).read_text())
    assert (manifest["source"], manifest["synthetic"], manifest["width"]) == ("tiny", True, 4)


def test_an_encoder_that_trains_or_augmented_input_is_refused(task, tmp_path):
    task.encoder.layer[0].weight.requires_grad_(True)
    with pytest.raises(UsageError, match=r"--data\.cache false"):
        embedded(task, tmp_path)
    task.encoder.requires_grad_(False)
    data = Items(tmp_path)
    data.augmented = True
    with pytest.raises(UsageError, match=r"--data\.augment"):
        embed.use_frozen_encoders(task, data)
    data.cache = False
    embed.use_frozen_encoders(task, data)
    assert data.values.shape[1] == 5


def test_encoders_take_their_weights_from_a_checkpoint_of_the_model_or_of_its_parts(task, tmp_path):
    trained = Encoded()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "whole.ckpt")
    part = {f"encoder.{name}": value for name, value in trained.encoder.state_dict().items()}
    torch.save({"state_dict": part}, tmp_path / "part.ckpt")
    expected = trained.encoder.eval()(Items(tmp_path).values)
    data = Items(tmp_path)
    embed.use_frozen_encoders(task, data, tmp_path / "whole.ckpt")
    torch.testing.assert_close(data.values, expected)
    other = Encoded(init_from={"encoder": str(tmp_path / "part.ckpt")})
    torch.testing.assert_close(embedded(other, tmp_path).values, expected)


@pytest.mark.parametrize("byte", [0, 100, -1])
def test_a_flipped_bit_in_kept_embeddings_is_found(task, tmp_path, byte):
    embedded(task, tmp_path)
    path = next((tmp_path / "embeddings").rglob("audio.f32"))
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"audio\.f32 is not what was computed.*delete that folder") as caught:
        embedded(task, tmp_path)
    assert "\n" not in str(caught.value)


def test_embeddings_that_an_earlier_version_kept_are_taken(task, tmp_path):
    first = embedded(task, tmp_path).values
    path = next((tmp_path / "embeddings").rglob("manifest.json"))
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest))
    assert torch.equal(embedded(task, tmp_path).values, first)


@pytest.mark.parametrize(
    "text", ["[]", "null", "{", "{}", '{"width": 4}', '{"width": "4", "items": 48}', '{"width": 5, "items": 48}']
)
def test_a_damaged_manifest_of_embeddings_is_one_line(task, tmp_path, text):
    embedded(task, tmp_path)
    path = next((tmp_path / "embeddings").rglob("manifest.json"))
    path.write_text(text)
    with pytest.raises(UsageError, match="delete that folder") as caught:
        embedded(task, tmp_path)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


class States(nn.Module):
    """As many states as the longest of a batch has values before the zeros at its end, zeros behind its own."""

    def forward(self, items):
        steps = (items != 0).sum(1)
        kept = items[:, : int(steps.max()), None]
        return torch.cat([kept, -kept], 2)


def test_states_of_unequal_length_are_kept_whole_with_zeros_behind_them(task, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "BATCH", 2)
    raw = Items(tmp_path)
    lengths = torch.arange(len(raw.values)) % 4 + 1
    values = (raw.values.abs() + 1) * (torch.arange(5) < lengths[:, None])
    task.encoder = States()
    for _ in range(2):  # a miss, a hit
        data = Items(tmp_path)
        data.values = values
        embed.use_frozen_encoders(task, data)
        assert torch.equal(data.values, torch.stack([values, -values], 2))
    (manifest,) = (tmp_path / "embeddings").glob("*/manifest.json")
    content = json.loads(manifest.read_text())
    assert (content["steps"], content["width"]) == (5, 10)
    for steps in (None, [], 3, "5x"):
        manifest.write_text(json.dumps({**content, "steps": steps}))
        data = Items(tmp_path)
        data.values = values
        with pytest.raises(UsageError, match="cannot be kept or read"):
            embed.use_frozen_encoders(task, data)
