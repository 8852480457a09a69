"""Words that stand before whatever is shown of some results, and what they mean."""

from collections.abc import Mapping
from typing import Any

LEAKED = "LEAKED"
TRANSDUCTIVE = "TRANSDUCTIVE"
MEANINGS = {
    LEAKED: "the model was given what its labels were made of",
    TRANSDUCTIVE: "every speaker was standardised by all of their clips, those of the test too, without their labels",
}


def stamped(result: Mapping[str, Any], text: str) -> str:
    """Return a text with the stamps of a result before it."""
    return "".join(f"{name}: " for name in MEANINGS if result.get(name.lower())) + text
