"""What goes wrong on the model's side and is told in a line or two. No torch."""


class TaskError(ValueError):
    """A mistake of the user: the message names the option or file and the next step."""

    exit_code = 2


class ScoresNotFinite(RuntimeError):
    """A model said NaN or infinity, which would be the first class all the same: the message names the clips."""

    exit_code = 1
