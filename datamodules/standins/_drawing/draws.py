"""Random numbers that depend only on what they are drawn for."""

import hashlib

import numpy as np


def rng_of(*what: object) -> np.random.Generator:
    """Return a generator that depends only on the key."""
    key = "/".join(map(str, what))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
