"""Shares, p values, counts and times as text."""

import math

NONE = "-"  # stands where there is no figure


def percent(value: float) -> str:
    """Return a share as a percentage with two decimals."""
    return NONE if math.isnan(value) else f"{100 * value:.2f}"


def p_value(value: float) -> str:
    """Return a p value with three decimals."""
    if math.isnan(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def quantity(value: float | None, unit: str = "") -> str:
    """Return a number in thousands, millions or billions."""
    if value is None or math.isnan(value):
        return NONE
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.2f} {prefix}{unit}"
    return f"{value:.4g} {unit}".rstrip()


def duration(seconds: float) -> str:
    """Return seconds as text."""
    if math.isnan(seconds):
        return NONE
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
