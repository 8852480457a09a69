"""Pictures of a run: confusion and curves of any model, attention of those that have it; a stand-in is stamped."""

from types import SimpleNamespace

import pytest
import torch
from matplotlib import image
from matplotlib.figure import Figure
from tiny import TinyData, TinyTask, trainer
from torch import nn

from callbacks import plots
from callbacks.history import History
from callbacks.plots import AttentionPlot, ResultPlots, draw_attention, draw_confusion, draw_curves, draw_matrices, save
from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.ravdess import RAVDESSDataModule
from lightning_modules.base import EmotionTask

STEPS = 2


class Looking(EmotionTask):
    """A linear model over mean colours, with attention over a 4 x 4 grid at two times."""

    def __init__(self, attends=True, **kwargs):
        super().__init__(**kwargs)
        self.head = nn.Linear(3, self.num_classes)
        self.attends = attends

    def stages(self):
        return {"head": [self.head]}

    def forward(self, batch):
        video = batch["video"]
        maps = nn.functional.adaptive_avg_pool3d(video, (STEPS, 4, 4)).mean(1)
        aux = {"attention": maps.flatten(1).softmax(1).view(maps.shape)} if self.attends else {}
        return {"logits": self.head(video.mean((2, 3, 4))), "aux": aux}


def run_test(folder, root, attends=True, clips=4, size=5):
    data = RAVDESSDataModule(str(root), batch_size=size)
    task = Looking(attends, num_classes=8, input_shapes=data.input_shapes)
    trainer(folder, callbacks=[AttentionPlot(clips)]).test(task, datamodule=data, verbose=False)
    return task, data


@pytest.mark.parametrize("size", [1, 5])
def test_a_test_run_draws(ravdess, tmp_path, size):
    run_test(tmp_path, ravdess, size=size)
    picture = image.imread(tmp_path / "plots" / "attention.png")
    assert picture.shape[0] > 300  # four clips
    assert picture.shape[1] > 300
    assert picture[..., :3].std() > 0.05


def test_without_attention_nothing_is_drawn(ravdess, tmp_path):
    run_test(tmp_path, ravdess, attends=False)
    assert not list(tmp_path.iterdir())


def test_without_video_nothing_is_drawn(tmp_path):
    trainer(tmp_path, callbacks=[AttentionPlot()]).test(TinyTask(), datamodule=TinyData(), verbose=False)
    assert not list(tmp_path.iterdir())


def test_action_units_have_no_faces_to_draw_on():
    callback = AttentionPlot()
    batch = {"video": torch.randn(2, 35), "target": torch.tensor([0, 1])}
    callback.on_test_batch_start(SimpleNamespace(is_global_zero=True), None, batch, 0)
    assert callback._clips_to_draw == {}


@pytest.mark.parametrize("clips", [3, 9])
def test_first_clip_of_each_class_with_its_own_prediction(ravdess, tmp_path, monkeypatch, clips):
    drawn = {}
    monkeypatch.setattr(plots, "draw_attention", lambda *args: drawn.update(args=args) or Figure())
    task, data = run_test(tmp_path, ravdess, clips=clips)
    video, attention, titles = drawn["args"]
    labels = [0, 2, 4, 7][:clips]  # the fixture has four emotions
    assert (tmp_path / "plots" / "attention.png").exists()
    assert len(video) == len(attention) == len(titles) == len(labels)
    for row, label in enumerate(labels):
        clip = f"01-01-{label + 1:02d}-01-01-01-01"
        stored = data.dataset("test").__getitems__([data.store.ids.index(clip)])
        batch = {**data.on_after_batch_transfer(stored, 0)}
        output = task(batch)
        torch.testing.assert_close(video[row], batch["video"][0])
        torch.testing.assert_close(attention[row], output["aux"]["attention"][0])
        predicted = EMOTIONS[int(output["logits"].argmax())]
        assert titles[row] == f"{clip}: {EMOTIONS[label]}, predicted {predicted}"


def test_maps_are_where_the_model_looked(tmp_path):
    video = torch.rand(1, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    pictures = []
    for corner in (0, -1):
        attention = torch.zeros(1, 1, 4, 4)
        attention[..., corner, corner] = 1
        save(draw_attention(video, attention, ["clip"]), tmp_path / "a.png", synthetic=False)
        pictures.append(image.imread(tmp_path / "a.png")[..., :3])
    changed = (pictures[0] - pictures[1]).any(-1)
    middle = changed.shape[1] // 2
    assert not changed[:, : middle - 5].any()  # the plain frame
    rows = changed.nonzero()[0]
    assert changed[:, middle:].mean() > 0.02
    assert rows.max() - rows.min() > changed.shape[0] / 2  # both corners of the overlaid one


def test_frames_are_from_the_time_of_the_map(tmp_path):
    video = torch.zeros(1, 3, 8, 8, 8)
    video[:, :, 4:] = 1  # black, then white
    save(draw_attention(video, torch.rand(1, 2, 4, 4), ["clip"]), tmp_path / "a.png", synthetic=False)
    picture = image.imread(tmp_path / "a.png")[..., :3].mean(-1)
    row = picture[picture.shape[0] // 2 :].mean(0)
    width = len(row)
    assert row[round(0.125 * width)] < 0.2  # the plain frame of the first half
    assert row[round(0.625 * width)] > 0.8  # and of the second


def test_matrices_are_drawn_as_they_are():
    attention = torch.eye(3).expand(2, 3, 3).clone()
    attention[1] = 1 / 3
    figure = draw_matrices(attention, ["a: x", "b: y"])
    first, second = (axis.images[0] for axis in figure.axes)
    assert first.get_array().tolist() == torch.eye(3).tolist()
    assert first.get_clim() == (0, 1)
    assert second.get_clim() == pytest.approx((0, 2 / 3))  # an even row is neither blank nor dark
    assert figure.axes[1].get_title() == "b:\ny"


def test_confusion_matrix_counts_true_by_row():
    figure = draw_confusion(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), ["low", "high"])
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["2", "1", "0", "1"]
    assert axis.images[0].get_array().ravel().tolist() == pytest.approx([2 / 3, 1 / 3, 0, 1])
    assert axis.get_ylabel() == "true"


def test_curves_have_one_panel_for_loss_accuracy_and_rates():
    row = {
        "epoch": "0",
        "train_loss": "2",
        "val_loss": "",
        "train_accuracy": "0.5",
        "val_accuracy": "0.25",
        "lr/head": "0.1",
    }
    figure = draw_curves([row, {**row, "epoch": "1", "train_loss": "1"}])
    loss, accuracy, rate = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    assert [line.get_label() for line in rate.lines] == ["head"]
    assert accuracy.get_title() == "accuracy"


def test_a_fit_and_its_test_leave_both_pictures_stamped(tmp_path, monkeypatch):
    stamps = []
    original = plots.save
    monkeypatch.setattr(
        plots, "save", lambda figure, path, *stamped: stamps.append(stamped) or original(figure, path, *stamped)
    )
    run = trainer(tmp_path, 2, [History(), ResultPlots()])
    task, data = TinyTask(), TinyData()
    run.fit(task, datamodule=data)
    run.test(task, datamodule=data, verbose=False)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"confusion.png", "curves.png"}
    assert stamps == [(True, False)] * 2  # TinyData says that it is synthetic
    (tmp_path / "result.json").touch()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "plots").iterdir()}
    run.test(task, datamodule=data, verbose=False)  # of a finished run: beside its own pictures
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "plots").iterdir()} == before
    assert {path.name for path in (tmp_path / "plots-test").iterdir()} == {"confusion.png"}


def test_many_stages_have_colours_of_their_own_and_a_legend_beside_them():
    row = {"epoch": "0", "train_loss": "2"} | {f"lr/stage{number}": "0.1" for number in range(15)}
    rate = draw_curves([row, {**row, "epoch": "1"}]).axes[2]
    assert len({line.get_color() for line in rate.lines}) == 15
    assert all(float(tick).is_integer() for tick in rate.get_xticks())


def test_stamp_is_in_the_picture(tmp_path):
    for synthetic in (False, True):
        figure = Figure(figsize=(4, 3))
        save(figure, tmp_path / f"{synthetic}.png", synthetic)
    plain, stamped = (image.imread(tmp_path / f"{name}.png") for name in (False, True))
    assert (plain != stamped).any()
