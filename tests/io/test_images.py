from __future__ import annotations

import os
import stat
import struct
import zlib
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from bags.errors import DataError
from bags.io.images import LABEL_HEIGHT, depth_picture, image_size, read_image, tile, write_png


def test_png_round_trip_rounds_and_clamps(tmp_path):
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    image[0, 0, 0] = torch.nan
    write_png(tmp_path / "new/a.png", image)
    found = np.asarray(read_image(tmp_path / "new/a.png")).transpose(2, 0, 1)
    assert image_size(tmp_path / "new/a.png") == (7, 5)
    assert np.abs(found / 255 - image.nan_to_num(0).clamp(0, 1).numpy()).max() <= 0.5 / 255 + 1e-6
    assert os.listdir(tmp_path / "new") == ["a.png"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new/a.png").stat().st_mode) == 0o666 & ~umask


def test_grey_png(tmp_path):
    write_png(tmp_path / "m.png", torch.full((4, 6), 0.5))
    assert np.asarray(read_image(tmp_path / "m.png")).tolist() == np.full((4, 6, 3), 128).tolist()


def test_modes(tmp_path):
    found = {}
    for mode in ("RGB", "L", "P", "1", "RGBA", "LA"):
        Image.new(mode, (6, 4)).save(tmp_path / "a.png")
        found[mode] = read_image(tmp_path / "a.png").mode
    assert found == {"RGB": "RGB", "L": "RGB", "P": "RGB", "1": "RGB", "RGBA": "RGBA", "LA": "RGBA"}


def test_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    Image.new("RGB", (16, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").size == (16, 8)


def test_unreadable(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match=r"a\.png"):
        image_size(path)
    path.write_text("text")
    for read in (image_size, read_image):
        with pytest.raises(DataError, match=r"a\.png: cannot be read"):
            read(path)
    for suffix in ("png", "jpg"):
        path = tmp_path / f"cut.{suffix}"
        Image.effect_noise((64, 64), 80).save(path)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(DataError, match=r"cut\..*cannot be read"):
            read_image(path)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png.*8 bits"):
        read_image(tmp_path / "deep.png")


def test_depth_picture_gets_darker_with_distance_and_black_where_nothing_is():
    distance = torch.linspace(2, 9, 100).expand(4, 100)
    alpha = torch.full((4, 100), 0.8)
    alpha[3] = 0
    picture = depth_picture(distance * alpha, alpha)
    assert picture.shape == (3, 4, 100)
    assert picture.min() >= 0
    assert picture.max() <= 1
    luminance = (torch.tensor([0.2126, 0.7152, 0.0722])[:, None] * picture[:, 0]).sum(0)
    assert (luminance.diff() <= 1e-6).all()
    assert luminance[0] > luminance[-1] + 0.5
    assert not picture[:, 3].any()
    assert not depth_picture(torch.zeros(4, 5), torch.zeros(4, 5)).any()


def test_tile():
    images = [torch.full((3, 4, 6), 0.2), torch.full((5, 3), 1.0), torch.full((3, 4, 6), 0.4)]
    sheet = tile(images, columns=2)
    assert sheet.shape == (3, 10, 12)
    assert sheet[:, :4, :6].unique().tolist() == pytest.approx([51 / 255])
    assert (sheet[:, :5, 6:9] == 1).all()
    assert not sheet[:, :5, 9:].any()
    assert sheet[:, 5:9, :6].unique().tolist() == pytest.approx([102 / 255])
    labelled = tile([torch.zeros(3, 20, 60)] * 3, columns=9, labels=["a", "b", ""])
    assert labelled.shape == (3, 20 + LABEL_HEIGHT, 180)
    assert labelled[:, :LABEL_HEIGHT, :60].any()
    assert not labelled[:, :, 120:].any()
    with pytest.raises(ValueError, match="2 labels for 1"):
        tile([torch.zeros(4, 4)], 1, ["a", "b"])


def test_only_formats_of_photos_are_opened_whatever_the_file_is_called(tmp_path, subtests):
    """Pillow knows many more; for EPS it runs a program."""
    path = tmp_path / "a.jpg"
    for kind, read in product(["GIF", "PPM", "ICO", "TGA", "EPS"], [image_size, read_image]):
        Image.new("RGB", (16, 16)).save(path, kind)
        with subtests.test(kind), pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
            read(path)


def test_any_of_them_under_any_name(tmp_path):
    for suffix in ("png", "jpg", "webp", "tif", "bmp"):
        Image.new("RGB", (16, 8)).save(tmp_path / f"a.{suffix}")
        (tmp_path / f"a.{suffix}").rename(tmp_path / "b.png")
        assert image_size(tmp_path / "b.png") == read_image(tmp_path / "b.png").size == (16, 8), suffix


def test_a_picture_that_claims_too_many_pixels_is_refused_unread(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    for read in (image_size, read_image):
        with pytest.raises(DataError, match=r"a\.png: cannot be read as an image .*pixels"):
            read(path)


def test_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: cannot be read .*no such file"):
        image_size(tmp_path / "pipe")
