"""What every DataModule shares: draws, splits, weights, order."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from tiny import CLASSES, PER_SPEAKER, SPEAKERS, TinyData

from datamodules.batches import uniform_draw
from datamodules.errors import DataError


def ids(loader):
    return [clip for batch in loader for clip in batch["id"]]


def speakers(data, split):
    return {data.groups[row] for row in data.rows[split]}


def test_draws_are_uniform_and_belong_to_their_key():
    draws = np.array([uniform_draw("missing", "audio", number) for number in range(5000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    assert np.histogram(draws, 10, (0, 1))[0] == pytest.approx(500, abs=100)
    assert draws[7] == uniform_draw("missing", "audio", 7)
    # The same on every machine and in every release: results would silently change with it.
    assert uniform_draw("missing", "audio", "01-01-01-01-01-01-01") == pytest.approx(0.7212461703)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_missing_rate_is_met_and_modalities_are_independent(rate):
    data = TinyData(missing={"audio": rate, "video": rate})
    clips = [f"clip-{number}" for number in range(5000)]
    audio, video = (np.array([data.is_missing(name, clip) for clip in clips]) for name in ("audio", "video"))
    assert audio.mean() == pytest.approx(rate, abs=0.02)
    assert (audio & video).mean() == pytest.approx(rate**2, abs=0.02)
    assert not any(data.is_missing("text", clip) for clip in clips)


@pytest.mark.parametrize("fold", range(SPEAKERS))
def test_paper_protocol_validates_on_the_test_fold(fold):
    data = TinyData(fold=fold)
    assert speakers(data, "test") == {f"{fold:02d}"}
    assert speakers(data, "train") == {f"{n:02d}" for n in range(SPEAKERS)} - {f"{fold:02d}"}
    assert ids(data.val_dataloader()) == ids(data.test_dataloader()) == ids(data.predict_dataloader())
    assert data.selections == ["best", "last"]
    assert data.split_sizes() == {"train": (SPEAKERS - 1) * PER_SPEAKER, "val": 0, "test": PER_SPEAKER}


@pytest.mark.parametrize("fold", range(SPEAKERS))
def test_honest_protocol_validates_on_the_next_fold(fold):
    data = TinyData(fold=fold, protocol="honest")
    following = f"{(fold + 1) % SPEAKERS:02d}"
    assert speakers(data, "test") == {f"{fold:02d}"}
    assert speakers(data, "val") == {following}
    assert speakers(data, "train") == {f"{n:02d}" for n in range(SPEAKERS)} - {f"{fold:02d}", following}
    assert {clip[:2] for clip in ids(data.val_dataloader())} == {following}
    assert data.selections == ["selected"]
    assert data.split_sizes() == {"train": (SPEAKERS - 2) * PER_SPEAKER, "val": PER_SPEAKER, "test": PER_SPEAKER}


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_shared_speakers_are_refused(protocol):
    data = TinyData(protocol=protocol)
    folds = np.array([int(group) for group in data.groups])
    folds[3] = 1
    with pytest.raises(DataError, match=r"splits\.csv: speakers 00 are in both"):
        data.split_by_fold(folds, data.groups, "splits.csv")


def test_empty_split_names_the_speakers():
    data = TinyData(fold=2)
    with pytest.raises(DataError, match=r"--data.fold 2: no test clips; there are speakers 00, 01"):
        data.split_by_fold(np.zeros(4, int), ["00", "00", "01", "01"], "splits.csv")


@pytest.mark.parametrize("other", [" Andr\u00e9", "Andre\u0301", "Andr\u00e9\t"])
def test_a_name_written_in_two_ways_is_one_group_of_the_leak_check(other):
    with pytest.raises(DataError, match=r"splits.csv: speakers André are in both train and test"):
        TinyData().split_by_fold(np.array([0, 1, 1]), ["Andr\u00e9", other, "b"], "splits.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": SPEAKERS}, r"--data.fold 6: TinyData has folds 0 to 5"),
        ({"fold": -1}, r"--data.fold -1"),
        ({"batch_size": 0}, r"--data.batch_size 0"),
        ({"num_workers": -1}, r"--data.num_workers -1: at least 0"),
        ({"missing": {"audio": 1.5}}, r"--data.missing: rate 1.5 of 'audio'"),
        ({"missing": {"audio": -0.1}}, r"--data.missing: rate -0.1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(DataError, match=message) as stop:
        TinyData(**options)
    assert stop.value.exit_code == 2


def test_balanced_weights_are_those_of_sklearn():
    data = TinyData(class_weighting="balanced")
    data.targets = (torch.arange(SPEAKERS * PER_SPEAKER) % 7).clamp(max=CLASSES - 1)
    labels = data.train_labels
    assert len(set(Counter(labels.tolist()).values())) > 1
    expected = compute_class_weight("balanced", classes=np.arange(CLASSES), y=labels)
    assert data.class_weights == pytest.approx(list(expected))
    data.targets = torch.where(data.targets == 1, 2, data.targets)  # a class that train does not hold
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=data.train_labels)
    assert data.class_weights == pytest.approx([expected[0], 0, expected[1]])
    assert TinyData().class_weights is None


def test_training_order_is_a_function_of_seed_and_epoch(monkeypatch):
    def order(seed, epoch):
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        loader = TinyData().train_dataloader()
        loader.sampler.set_epoch(epoch)
        return ids(loader)

    first = order(3, 0)
    torch.rand(5)  # nothing else that draws has a say
    assert order(3, 0) == first
    assert order(3, 1) != first
    assert order(4, 0) != first
    assert sorted(order(3, 1)) == sorted(first) == sorted(TinyData().ids[PER_SPEAKER:])


def test_evaluation_keeps_the_order_of_the_data():
    data = TinyData(batch_size=3)
    assert ids(data.test_dataloader()) == data.ids[:PER_SPEAKER]


def test_ranks_share_the_clips():
    seen = []
    for rank in range(2):
        data = TinyData(batch_size=3)
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank)
        seen.append(ids(data.train_dataloader()))
    assert len(seen[0]) == len(seen[1])
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == sorted(TinyData().ids[PER_SPEAKER:])


def test_worker_processes_change_nothing():
    plain, workers = (list(TinyData(num_workers=n).train_dataloader()) for n in (0, 1))
    for one, other in zip(plain, workers, strict=True):
        assert one["id"] == other["id"]
        assert torch.equal(one["audio"], other["audio"])
