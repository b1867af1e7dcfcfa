"""Videos, written here by PyAV: the sharpest frame of every part of the way is taken."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from bags.errors import DataError
from bags.io.atomic import WriteError
from bags.preparation.scene import prepare
from bags.preparation.video import Candidate, pick, take_frames, upright
from bags.settings import PrepareSettings
from bags.types import Scene
from tests.io.test_atomic import small_disk
from tests.preparation.conftest import silent

SHARP = (1, 4, 7, 10, 13, 16)


@pytest.fixture(scope="module")
def frames(world: Scene) -> list[np.ndarray]:
    """The camera glides over a photo; all frames but a few are blurred."""
    still = np.asarray(world.train[0].load().resize((432, 288)), dtype=np.float64)
    crops = [still[40:232, 8 * i : 8 * i + 288] for i in range(18)]
    return [crop if i in SHARP else gaussian_filter(crop, (3, 3, 0)) for i, crop in enumerate(crops)]


def write(path: Path, frames: list[np.ndarray], codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_sharpest_frames_are_taken(frames, tmp_path) -> None:
    video = write(tmp_path / "clip.mp4", frames)
    (tmp_path / "into").mkdir()
    photos = take_frames(video, tmp_path / "into", 4, silent)
    numbers = [int(photo.name.removeprefix("frame_").removesuffix(".jpg")) for photo in photos]
    assert len(numbers) == 4 and set(numbers) <= set(SHARP)
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == [photo.name for photo in photos]
    with Image.open(tmp_path / "into" / photos[0].name) as first:
        assert first.size == (288, 192) == (photos[0].width, photos[0].height)
        difference = np.asarray(first, dtype=np.float64) - frames[numbers[0]]
    assert np.abs(difference).mean() < 6  # two lossy codecs; another frame differs by 20 and more


def test_short_video_yields_all_frames(frames, tmp_path) -> None:
    (tmp_path / "into").mkdir()
    assert len(take_frames(write(tmp_path / "clip.mkv", frames[:4]), tmp_path / "into", 60, silent)) == 4


def test_a_still_camera_gives_few_frames() -> None:
    moving, still = [5.0] * 20, [0.0] * 60
    candidates = [Candidate(i, 0.5, change) for i, change in enumerate(moving + still + moving)]
    chosen = pick(candidates, 20)
    assert len(chosen) == 20
    assert sum(20 <= number < 80 for number in chosen) <= 3
    assert sum(number < 20 for number in chosen) >= 8 and sum(number >= 80 for number in chosen) >= 8


def test_a_camera_that_never_moves_still_gives_frames() -> None:
    assert len(pick([Candidate(i, i % 7, 0.0) for i in range(100)], 10)) == 10


def test_portrait_phone_photos() -> None:
    """Its stored frame lies on its side; the video says -90: turn it clockwise to see it."""
    stored = Image.new("RGB", (40, 20))
    stored.putpixel((0, 0), (255, 255, 255))  # top left; after a clockwise turn, top right
    seen = upright(stored, -90)
    assert seen.size == (20, 40) and seen.getpixel((19, 0)) == (255, 255, 255)
    assert upright(stored, 0) is stored


def test_invalid_videos_are_refused(frames, tmp_path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    whole = write(tmp_path / "clip.avi", frames[:6]).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "tiny.avi", [frame[:48, :48] for frame in frames[:3]])
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    for name, message in (
        ("text.mp4", "cannot be read as a video"),
        ("sound.mkv", "this file contains no video"),
        ("tiny.avi", "48 x 48 pixels; at least 64"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(tmp_path / name, tmp_path / "scene", PrepareSettings(), 0, silent)
    (tmp_path / "into").mkdir()
    assert 1 <= len(take_frames(tmp_path / "cut.avi", tmp_path / "into", 60, silent)) <= 5


def test_full_disk_is_reported_in_one_line(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 192, 288, 3))  # large files
    video = write(tmp_path / "clip.avi", list(noise))
    refused = pytest.raises(WriteError, match=r"cannot write .*File too large.*; free some space.*dataset\.root=")
    with small_disk(), refused:
        prepare(video, tmp_path / "scenes/clip", PrepareSettings(), 0, silent)
    assert not (tmp_path / "scenes").exists()


def test_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DataError, match=r"pipe\.mp4: cannot be read as a video .*no such file"):
        take_frames(tmp_path / "pipe.mp4", tmp_path, 3, silent)


def test_pixels_that_are_not_square(frames, tmp_path) -> None:
    """A camcorder's 1440 x 1080 stand for 1920 x 1080: frames are widened, then turned."""
    video = tmp_path / "clip.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 288, 192, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for frame in frames[:4]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "into").mkdir()
    photos = take_frames(video, tmp_path / "into", 3, silent)
    assert [(photo.width, photo.height) for photo in photos] == [(384, 192)] * 3
    with Image.open(tmp_path / "into" / photos[0].name) as first:
        assert first.size == (384, 192)
