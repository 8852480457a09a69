"""What ends a training run and is told in a line or two."""


class TrainingCollapsed(RuntimeError):
    """Training cannot go on: the message names the epoch, the reason and the clips."""

    exit_code = 1
