"""Errors of the models, reported in one or two lines. No torch."""


class TaskError(ValueError):
    """A mistake of the user: the message names the option or file and the next step."""

    exit_code = 2


class ScoresNotFinite(RuntimeError):
    """A model's scores are NaN or infinite, which would count as the first class: the message names the clips."""

    exit_code = 1
