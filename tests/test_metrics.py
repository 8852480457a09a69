"""The numbers of every table, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_score

from lightning_modules.nn.metrics import PredictionTable, class_labels, classification_metrics


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("held", [list(range(8)), [0, 2, 7], [4]])
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_sklearn_with_absent_classes_too(held, seed):
    rng = np.random.default_rng(seed)
    target = rng.choice(held, 40)
    logits = rng.normal(size=(40, 8)) + 1.5 * np.eye(8)[target]
    predicted = logits.argmax(1)
    present = np.unique(target)
    found = classification_metrics(torch.tensor(logits), torch.tensor(target))
    assert found["accuracy"] == pytest.approx(accuracy_score(target, predicted))
    assert found["uar"] == pytest.approx(balanced_accuracy_score(target, predicted))
    expected = f1_score(target, predicted, labels=present, average="macro", zero_division=0)
    assert found["f1"] == pytest.approx(expected)
    expected = precision_score(target, predicted, labels=present, average="macro", zero_division=0)
    assert found["precision"] == pytest.approx(expected)


def test_a_clip_of_another_class_only_costs_recall_and_precision():
    # Three classes, the third is predicted and never true: torchmetrics' own macro average would give 2/9.
    logits = torch.eye(3)[torch.tensor([0, 2, 2, 2, 2, 2])]
    target = torch.tensor([0, 0, 0, 1, 1, 1])
    assert classification_metrics(logits, target)["uar"] == pytest.approx(1 / 6)


def table(ids, values, target=None):
    logits = torch.tensor([[value, 1.0 - value] for value in values])
    labels = torch.tensor([], dtype=torch.float) if target is None else torch.tensor(target)
    return PredictionTable(list(ids), [f"group-{clip}" for clip in ids], logits, labels)


def test_clips_count_once_in_order_of_first_appearance():
    parts = [table("abc", [0.0, 0.1, 0.2], [0, 1, 0]), table("dab", [0.3, 9.0, 9.0], [1, 0, 1])]
    joined = PredictionTable.concatenate(parts)
    assert joined.ids == ["a", "b", "c", "d"]
    assert joined.groups == ["group-a", "group-b", "group-c", "group-d"]
    torch.testing.assert_close(joined.logits[:, 0], torch.tensor([0.0, 0.1, 0.2, 0.3]))
    assert joined.labels.tolist() == [0, 1, 0, 1]


def test_table_without_parts_or_labels():
    assert PredictionTable.concatenate([]).ids == []
    joined = PredictionTable.concatenate([table("ab", [0.0, 0.1]), table("b", [0.1])])
    assert joined.ids == ["a", "b"]
    assert len(joined.target) == 0


def test_soft_targets_are_deduplicated_and_give_the_most_probable_class():
    soft = [[0.9, 0.1], [0.2, 0.8]]
    joined = PredictionTable.concatenate([table("ab", [0.0, 0.1], soft), table("a", [0.0], soft[:1])])
    torch.testing.assert_close(joined.target, torch.tensor(soft))
    assert joined.labels.tolist() == [0, 1]


@pytest.mark.parametrize("task", [False, True])
def test_a_soft_target_with_a_hole_is_no_class(task):
    nan = float("nan")
    soft = torch.tensor([[0.1, 0.9], [nan, nan], [0.7, 0.3], [nan, 0.4]])
    logits, target = torch.zeros(4, 2), soft
    labels = class_labels({"emotion": logits, "value": torch.zeros(4)}, {"emotion": target}) if task else None
    labels = class_labels(logits, target) if labels is None else labels
    assert labels.tolist() == [1, -1, 0, -1]


def test_gathering_changes_nothing_outside_distributed_runs():
    one = table("ab", [0.0, 0.1], [0, 1])
    assert one.gathered() is one


def test_the_most_probable_few_are_there_where_they_say_something():
    """Places of the true class: third, second of four, first, fourth; last of five."""
    logits = torch.tensor([[5.0, 4, 3, 2, 1], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [5, 4, 3, 2, 1], [5, 4, 3, 2, 1]])
    found = classification_metrics(logits, torch.tensor([2, 3, 0, 3, 4]))
    assert [found[f"top{k}"] for k in (2, 3, 4)] == pytest.approx([2 / 5, 3 / 5, 4 / 5])
    for classes, names in ((2, set()), (3, {"top2"}), (4, {"top2", "top3"}), (5, {"top2", "top3", "top4"})):
        fewer = classification_metrics(logits[:3, :classes], torch.zeros(3, dtype=torch.long))
        assert {name for name in fewer if name.startswith("top")} == names


def test_clips_of_several_corpora_have_a_table_each():
    one = table(["a/1", "b/1", "a/2"], [0.1, 0.2, 0.3], [0, 1, 0])
    assert {name: part.ids for name, part in one.sources.items()} == {"a": ["a/1", "a/2"], "b": ["b/1"]}
    assert one.sources["a"].labels.tolist() == [0, 0]
    assert table(["a/1", "a/2"], [0.1, 0.2], [0, 1]).sources == {}
    assert table(["1", "2"], [0.1, 0.2], [0, 1]).sources == {}


def test_targets_of_other_tasks_alone_are_no_labels():
    logits = {"emotion": torch.zeros(2, 3), "value": torch.zeros(2)}
    assert class_labels(logits, {"value": torch.zeros(2)}).shape == (0,)
