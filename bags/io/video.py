"""Writes videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorRange, Colorspace
from torch import Tensor

from bags.io.atomic import replacing
from bags.io.images import to_uint8

ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the first that PyAV was built with; all players support all of them
BT709, LIMITED = 1, 1  # colour space and range, stated in the file: otherwise players guess from the picture's size


@contextmanager
def writing_video(path: str | Path, width: int, height: int, fps: float) -> Iterator[Callable[[Tensor], None]]:
    """An MP4 file that is moved to ``path`` when the block ends without an error.

    Args:
        path: ends in ``.mp4``.
        width: of the frames; even, as required by the pixel format (yuv420p, which every player supports).
        height: of the frames; even.
        fps: frames per second.

    Yields:
        A function that appends a frame, (3, H, W) or (H, W) float in [0, 1].
    """
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream(encoder(), rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        if context.name == "libx264":
            stream.options = {"crf": "17"}  # visually lossless
        else:  # no constant-quality mode: bits per second
            stream.bit_rate = round(0.3 * width * height * fps)

        def write(image: Tensor) -> None:
            frame = av.VideoFrame.from_ndarray(to_uint8(image).contiguous().numpy(), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode())


def encoder() -> str:
    """The best available encoder: H.264, or MPEG-4 part 2, which PyAV always has."""
    return next(name for name in ENCODERS if name in av.codecs_available)
