"""Small mp4 files and pictures whose bytes depend only on their content."""

import io
from collections.abc import Iterable, Sequence

import av
import cv2
import numpy as np
from numpy.typing import NDArray

BITEXACT = 0x400  # AVFMT_FLAG_BITEXACT: no dates, no version tags
VIDEO_BITS, AUDIO_BITS = 250_000, 96_000  # per second: about 150 kB for a drawn clip


def mp4(
    frames: Iterable[NDArray[np.uint8]], fps: int, sound: NDArray[np.float32] | None = None, rate: int = 48_000
) -> bytes:
    """Encode RGB pictures ``(H, W, 3)`` (mpeg4) and stereo sound ``(2, N)`` within -1..1 (aac).

    On one thread, without dates or version tags; without ``sound`` the film is silent.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.flags = BITEXACT
        exact = {"threads": "1", "flags": "+bitexact"}
        video = container.add_stream("mpeg4", rate=fps, options=exact)
        video.bit_rate = VIDEO_BITS
        if sound is not None:
            # the default coder takes seven times as long and gains nothing here
            audio = container.add_stream("aac", rate=rate, layout="stereo", options=exact | {"aac_coder": "fast"})
            audio.bit_rate = AUDIO_BITS
        for i, picture in enumerate(frames):
            if i == 0:
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout="stereo")
            block.sample_rate, block.pts = rate, 0
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return buffer.getvalue()


def picture_file(image: NDArray[np.uint8], suffix: str, options: Sequence[int] = ()) -> bytes:
    """Encode a picture, RGB ``(H, W, 3)`` or RGBA ``(H, W, 4)``, in the format of a suffix; JPEG of quality 95."""
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(suffix, cv2.cvtColor(image, code), options)[1].tobytes()
