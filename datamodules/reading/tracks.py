"""One value over time: a value a line, or an annotation of NOVA (https://github.com/hcmlab/nova).

What is wrong with a file is a ValueError whose message is a reason to skip what it belongs to.
"""

import math
import re
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from datamodules.reading.files import check_regular

_NONE = re.compile(r"[-+]?nan(\(.*\))?", re.IGNORECASE)  # Microsoft's C library writes -nan(ind)
_LONGEST = 1 << 20  # bytes of a header


def number(text: str) -> float:
    """Return a value, NaN where the program that wrote it had none, however it spells that."""
    return math.nan if _NONE.fullmatch(text) else float(text)


def read_rows(path: Path, delimiter: str | None = None) -> list[list[float]]:
    """Return the numbers of every line that is not empty.

    Args:
        path: The file.
        delimiter: Between them; blanks where not given.

    Raises:
        ValueError: It is missing, cannot be read, or holds something else.
    """
    try:
        check_regular(path)
        lines = path.read_text("utf-8-sig").splitlines()
        return [[number(value.strip()) for value in line.split(delimiter)] for line in lines if line.strip()]
    except FileNotFoundError:
        raise ValueError(f"no {path.name}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path.name} is not a table of numbers ({reason})") from None


def read_values(path: Path) -> np.ndarray:
    """Return the values of a file that has one a line, float64 ``(R,)``, NaN where there is none.

    Raises:
        ValueError: It is no such file, or a value is not between 0 and 1.
    """
    rows = read_rows(path)
    if (widths := {len(row) for row in rows}) != {1}:
        raise ValueError(f"{path.name} has {max(widths, default=0)} columns, not 1")
    return _within(path, np.array(rows, np.float64)[:, 0], 0, 1)


def read_nova(path: Path) -> tuple[np.ndarray, float]:
    """Return the values of a continuous annotation between 0 and 1, float64 ``(R,)``, and their rate per second.

    Args:
        path: Its header; the values are in the file of that name with a ``~`` behind it.

    Raises:
        ValueError: Header or values are missing, damaged or of another kind, or a value is outside of the scheme.
    """
    header, data = _header(path), path.with_name(f"{path.name}~")
    info, scheme = header.get("info", {}), header.get("scheme", {})
    if scheme.get("type") != "CONTINUOUS" or info.get("ftype") not in ("ASCII", "BINARY"):
        kind = f"{scheme.get('type', 'no scheme')}, {info.get('ftype', 'no ftype')}"
        raise ValueError(f"{path.name} is no continuous annotation as ASCII or BINARY ({kind})")
    try:
        rate, low, high = (float(scheme[name]) for name in ("sr", "min", "max"))
        size = int(info.get("size", 0))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name}: sr, min, max or size is missing or no number ({error})") from None
    if not (0 < rate < 1e4 and -math.inf < low < high < math.inf):
        raise ValueError(f"{path.name}: {rate:g} values a second between {low:g} and {high:g} make no sense")
    values = _ascii(data) if info["ftype"] == "ASCII" else _binary(data)
    if len(values) < size:
        raise ValueError(f"{data.name} has {len(values)} of {size} values")
    return (_within(data, values, low, high) - low) / (high - low), rate


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """Return the attributes of the elements of a small XML file that declares nothing: no entity can be in it."""

    def refuse(*args: object) -> None:
        raise ValueError(f"{path.name} has a DOCTYPE, which no annotation needs")

    found: dict[str, dict[str, Any]] = {}
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = found.setdefault
    try:
        check_regular(path)
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ValueError(f"{path.name} is no header of an annotation: over {_LONGEST:,} bytes")
        parser.Parse(content, True)
    except FileNotFoundError:
        raise ValueError(f"no {path.name}") from None
    except (OSError, expat.ExpatError) as error:
        raise ValueError(f"{path.name} is no header of an annotation ({error})") from None
    return found


def _ascii(path: Path) -> np.ndarray:
    """Return the values of lines ``value;confidence``, float64 ``(R,)``."""
    return np.array([row[0] for row in read_rows(path, ";")], np.float64)


def _binary(path: Path) -> np.ndarray:
    """Return the values of pairs of float32, value and confidence, float64 ``(R,)``."""
    try:
        check_regular(path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"no {path.name}") from None
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror})") from None
    if len(content) % 8:
        raise ValueError(f"{path.name} is cut off: {len(content)} bytes are no pairs of numbers")
    return np.frombuffer(content, "<f4").reshape(-1, 2)[:, 0].astype(np.float64)


def _within(path: Path, values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values between two bounds; NaN passes.

    Raises:
        ValueError: There is none, or one is outside.
    """
    if np.isnan(values).all():
        raise ValueError(f"{path.name} has no value")
    slack = 1e-3 * (high - low)
    if len(bad := np.flatnonzero((values < low - slack) | (values > high + slack))):
        raise ValueError(f"row {bad[0] + 1} of {path.name} is {values[bad[0]]:g}, not between {low:g} and {high:g}")
    return np.asarray(np.clip(values, low, high))
