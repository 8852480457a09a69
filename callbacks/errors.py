"""Errors that end a training run, reported in one or two lines."""


class TrainingCollapsed(RuntimeError):
    """Training cannot go on: the message names the epoch, the reason and the clips."""

    exit_code = 1
