"""The picture of an answer shows all that is in it, whatever that is, and what the model looked at where it looked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from experiments.predict.loaded.answer import Answer
from experiments.predict.picture import MOST, SIDE, frames_seen

ANSWER = Answer("folder/clip.mp4", "calm", {"calm": 0.75, "$angry$": 0.25}, synthetic=True)
TIMES = tuple(
    {"start": t, "end": t + 2.0, "probabilities": {"calm": 0.1 * t, "$angry$": 1 - 0.1 * t}} for t in range(5)
)


def drawn(answer):
    """The figure and everything that is written in it."""
    figure = answer.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")
    return figure, [text.get_text() for text in figure.findobj(Text)]


def curves(figure, title):
    (axis,) = [axis for axis in figure.axes if axis.get_ylabel() == title]
    return {line.get_label(): line.get_xydata() for line in axis.lines}


def test_probabilities_values_and_weights_are_bars():
    answer = replace(ANSWER, values={"valence": -0.5}, weights={"video": 0.7, "audio": 0.3})
    figure, texts = drawn(answer)
    assert {axis.get_xlabel() for axis in figure.axes} == {"probability", "value", "weight of a modality"}
    assert {"75.0%", "-0.5", "70.0%", "30.0%", "$angry$", "SYNTHETIC"} <= set(texts)
    assert any(text.startswith("clip.mp4\ncalm 75.0%") for text in texts)
    assert "SYNTHETIC" not in "".join(drawn(replace(answer, synthetic=False))[1])


def test_of_many_classes_the_most_probable_are_shown():
    many = {f"class {number}": number / 496 for number in range(32)}
    figure, texts = drawn(replace(ANSWER, label="class 31", probabilities=many))
    assert len(figure.axes[0].patches) == MOST
    assert "class 31" in texts
    assert "class 3" not in texts
    assert f"probability (the {MOST} largest of 32)" in texts


def test_the_course_of_classes_and_weights_has_a_curve_each():
    over_time = [{**one, "weights": {"video": 0.6, "audio": 0.4}, "values": {}, "face": None} for one in TIMES]
    del over_time[2]["weights"]  # nothing was said of them there
    figure, _ = drawn(replace(ANSWER, over_time=tuple(over_time)))
    found = curves(figure, "probability")
    assert set(found) == {"calm", "$angry$"}
    np.testing.assert_allclose(found["calm"], [[t + 1, 0.1 * t] for t in range(5)], atol=1e-9)
    weights = curves(figure, "weight")
    assert np.isnan(weights["video"][2, 1])
    assert weights["audio"][0].tolist() == [1, 0.4]
    assert not [axis for axis in figure.axes if axis.get_ylabel() == "value"]


@pytest.mark.parametrize("shape", [(2, 4, 4), (5, 3), (35,)])
def test_attention_of_every_shape_is_drawn(shape):
    steps = {3: shape[0], 2: shape[-1]}.get(len(shape))
    seen = None if steps is None else np.full((steps, 24, 20, 3), 90, np.uint8)
    attention = np.full(shape, 1 / shape[-1], np.float32)
    figure, texts = drawn(replace(ANSWER, attention=attention, seen=seen))
    pictures = {3: 2 * shape[0] * 1.5, 2: 1 + shape[-1], 1: 0}[len(shape)]  # plain, and a grey one under its map
    assert sum(len(axis.images) for axis in figure.axes) == pictures
    if len(shape) == 2:
        assert texts.count("33%") == 3
        assert len(drawn(replace(ANSWER, attention=attention))[0].axes) == 2  # the sound's own steps: no frames


def test_a_plot_of_nothing_but_a_problem_says_it():
    assert any("no answer: no face" in text for text in drawn(Answer("x.mp4", problem="no face"))[1])


def test_frames_are_those_in_the_middle_of_their_maps():
    video = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 6, 4)
    seen = frames_seen({"video": video}, torch.rand(2, 2, 3, 2))
    assert seen.shape == (2, 2, 6, 4, 3)
    assert seen[0, :, 0, 0, 0].tolist() == [round(255 * 2 / 7), round(255 * 6 / 7)]
    steps = frames_seen({"video": video.transpose(1, 2)}, torch.rand(2, 3, 4))  # frames first, four steps attended to
    assert steps[0, :, 0, 0, 0].tolist() == [round(255 * frame / 7) for frame in (1, 3, 5, 7)]


def test_frames_are_kept_small_and_only_of_pictures():
    large = frames_seen({"video": torch.rand(1, 3, 2, 448, 224)}, torch.rand(1, 1, 2, 2))
    assert large.shape == (1, 1, SIDE, SIDE // 2, 3)
    assert frames_seen({}, torch.rand(1, 5, 5)) is None
    assert frames_seen({"video": torch.rand(1, 35)}, torch.rand(1, 35)) is None
