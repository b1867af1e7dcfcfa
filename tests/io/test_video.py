from __future__ import annotations

import av
import numpy as np
import pytest
import torch

from bags.io import video
from bags.io.video import writing_video


def frames(count=7, height=32, width=48):
    """A red bar that moves over a gradient."""
    rows = torch.linspace(0, 1, height)[:, None].expand(height, width)
    for i in range(count):
        image = torch.stack([rows * 0, rows, 1 - rows])
        image[:, :, 4 * i : 4 * i + 8] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
        yield image


def write(path, fps=25.0):
    with writing_video(path, 48, 32, fps) as append:
        for image in frames():
            append(image)


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = stream.codec_context.name, stream.codec_context.pix_fmt, float(stream.average_rate)
        return facts, [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


@pytest.mark.parametrize(("encoder", "codec", "noise"), [(None, "h264", 6), ("mpeg4", "mpeg4", 16)])
def test_frames_come_back(tmp_path, monkeypatch, encoder, codec, noise):
    """Mean error of a level in 255: 2 with H.264, 5 with MPEG-4 (colour edges are halved in both)."""
    if encoder:
        monkeypatch.setattr(video, "ENCODERS", ("no_such_encoder", encoder))
    elif video.encoder() == "mpeg4":
        pytest.skip("PyAV was built without an H.264 encoder")
    write(tmp_path / "new/a.mp4")
    (name, layout, fps), found = read(tmp_path / "new/a.mp4")
    assert (name, layout, fps) == (codec, "yuv420p", 25.0)
    assert len(found) == 7
    for image, back in zip(frames(), found, strict=True):
        expected = (image.permute(1, 2, 0) * 255).numpy()
        assert np.abs(back - expected).mean() < noise


def test_fractions_of_frames_per_second(tmp_path):
    write(tmp_path / "a.mp4", fps=30000 / 1001)
    assert read(tmp_path / "a.mp4")[0][2] == pytest.approx(29.97, abs=0.01)


def test_grey_frames_too(tmp_path):
    with writing_video(tmp_path / "a.mp4", 48, 32, 10) as append:
        append(torch.full((32, 48), 0.5))
    _, (frame,) = read(tmp_path / "a.mp4")
    assert np.abs(frame.astype(int) - 128).max() <= 3


def test_interrupted_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    write(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), writing_video(path, 48, 32, 25) as append:
        append(next(frames()))
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
