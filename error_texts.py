"""Parts of error messages: an error's causes, its first line, the first of many names."""

from collections.abc import Iterator


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of, one after the other: parsers wrap what a constructor raised."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def first_line(error: BaseException, limit: int | None = None) -> str:
    """Return the first line of an error's message; the name of its kind where it has none.

    Args:
        error: The error.
        limit: Number of characters that are kept.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit]


def first_names(names: list[str], limit: int = 3, between: str = ", ") -> str:
    """Return the first names, what cannot be shown written out, and how many more there are."""
    first = (name if name.isprintable() else ascii(name)[1:-1] for name in names[:limit])
    return between.join(first) + (f" and {len(names) - limit} more" if len(names) > limit else "")
