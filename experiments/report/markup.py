"""Text that others wrote (labels, titles, notes, names of classes and people's groups) in Markdown, LaTeX and HTML.

It is shown as it was written and means nothing in any of them: no element, no link, no command, no end of a cell.
"""

import html
import re
import unicodedata

from datamodules.reading.names import UNSHOWN

# Signs that turn the direction of what follows them.
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_LATEX = {
    "\\": r"\textbackslash{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # after a line's end it would be a length, and a star a command's form
    "]": "{]}",
    "*": "{*}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def one_line(text: str) -> str:
    """Return a text on one line: whatever is no visible sign is a blank."""
    hidden = {sign for sign in set(text) if unicodedata.category(sign) in UNSHOWN or sign in _TURNING}
    return "".join(" " if sign in hidden else sign for sign in text)


def markdown(text: str) -> str:
    """Return a text for a line or a table's cell of Markdown."""
    text = re.sub(r"[\\`*\[\]|]", r"\\\g<0>", one_line(text))
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)  # a sign of less-than is followed by something else


def latex(text: str) -> str:
    """Return a text for a cell or a caption of LaTeX."""
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))


def escape(text: str) -> str:
    """Return a text for an element or an attribute of HTML."""
    return html.escape(one_line(text))
