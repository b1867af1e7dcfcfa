from __future__ import annotations

import logging
import socket
import threading
from typing import ClassVar

import lpips
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bags.modules import metrics
from bags.modules.metrics import PROTOCOLS, ImageMetrics, lpips_network, mean_metrics
from bags.ops.ssim_reference import ssim_reference
from bags.settings import MetricsSettings


@pytest.fixture(autouse=True)
def fresh_networks():
    clear()
    yield
    clear()


def clear():
    for cached in (lpips_network, metrics._trouble):
        if hasattr(cached, "cache_clear"):  # not while a test has put something else there
            cached.cache_clear()


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(3, 40, 48, generator=generator)
    return photo + 0.2 * torch.randn(photo.shape, generator=generator), photo


class FakeLPIPS(torch.nn.Module):
    """Says how it was called."""

    calls: ClassVar[list] = []

    def __init__(self, net, **kwargs):
        super().__init__()
        self.net = net

    def forward(self, render, photo):
        self.calls.append((self.net, render, photo))
        return torch.tensor([[[[0.25]]]])


@pytest.fixture
def fake_lpips(monkeypatch):
    monkeypatch.setattr(lpips, "LPIPS", FakeLPIPS)
    monkeypatch.setattr(metrics, "_trouble", str)
    monkeypatch.setattr(FakeLPIPS, "calls", [])
    return FakeLPIPS


def test_deblur_nerf_is_scikit_image_on_minus_one_to_one(pair, fake_lpips):
    render, photo = pair
    found = ImageMetrics(MetricsSettings("deblur_nerf"))(render, photo)
    a, b = (2 * image.clamp(0, 1).permute(1, 2, 0).numpy() - 1 for image in (photo, render))
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(a, b, data_range=2), abs=1e-4)
    assert found["ssim"] == pytest.approx(structural_similarity(a, b, data_range=2, channel_axis=-1), abs=1e-5)
    assert found["lpips"] == 0.25
    [(net, seen, target)] = fake_lpips.calls
    assert net == "alex"
    torch.testing.assert_close(seen, 2 * render.clamp(0, 1)[None] - 1)
    torch.testing.assert_close(target, 2 * photo[None] - 1)


def test_mip_splatting_uses_its_own_ssim_and_unscaled_vgg(pair, fake_lpips):
    render, photo = pair
    found = ImageMetrics(MetricsSettings("mip_splatting"))(render, photo)
    clamped = render.clamp(0, 1)
    assert found["psnr"] == pytest.approx(-10 * (clamped - photo).square().mean().log10().item(), abs=1e-4)
    assert found["ssim"] == pytest.approx(ssim_reference(clamped.double(), photo.double()).item(), abs=1e-5)
    [(net, seen, target)] = fake_lpips.calls
    assert net == "vgg"
    torch.testing.assert_close(seen, clamped[None])
    torch.testing.assert_close(target, photo[None])


def test_lpips_is_that_of_the_pixels_that_count(pair, fake_lpips):
    render, photo = pair
    counts = torch.ones(40, 48, dtype=torch.bool)
    counts[:, :12] = False
    found = ImageMetrics(MetricsSettings("mip_splatting"))(render, photo, counts)
    assert found["lpips"] == pytest.approx(0.25 / 0.75)
    [(_, seen, target)] = fake_lpips.calls
    assert torch.equal(target, torch.where(counts, photo, seen))


def test_the_real_lpips_network_runs(pair, monkeypatch):
    real = lpips.LPIPS
    monkeypatch.setattr(metrics, "_trouble", str)
    monkeypatch.setattr(lpips, "LPIPS", lambda net, verbose: real(net=net, verbose=verbose, pnet_rand=True))
    judge = ImageMetrics(MetricsSettings("deblur_nerf"))
    assert judge(*pair)["lpips"] > 0
    assert judge(pair[1], pair[1])["lpips"] == 0


def test_images_too_small_for_lpips(fake_lpips):
    image = torch.rand(3, 20, 100, generator=torch.Generator().manual_seed(0))
    assert ImageMetrics(MetricsSettings("deblur_nerf"))(image, image)["lpips"] is None
    assert ImageMetrics(MetricsSettings("mip_splatting"))(image, image)["lpips"] == 0.25


def test_lpips_can_be_left_out(pair, monkeypatch):
    monkeypatch.setattr(metrics, "lpips_network", lambda net: pytest.fail("asked for"))
    assert ImageMetrics(MetricsSettings(lpips=False))(*pair)["lpips"] is None


def test_without_weights_the_run_goes_on_and_says_so_once(pair, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise OSError("no network")

    monkeypatch.setattr(metrics.urllib.request, "urlopen", refuse)
    judges = [ImageMetrics(MetricsSettings(protocol)) for protocol in PROTOCOLS]
    with caplog.at_level(logging.WARNING):
        results = [judge(*pair) for _ in range(3) for judge in judges]
    assert all(result["lpips"] is None and result["psnr"] > 0 for result in results)
    assert len(caplog.records) == len(PROTOCOLS) and len(asked) == 1
    assert all(record.getMessage().endswith("(download.pytorch.org: no network)") for record in caplog.records)


def test_silent_server_does_not_block(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(metrics, "PATIENCE", 0.2)
    given_up, waited = threading.Event(), []

    def silent(request, timeout):
        waited.append(given_up.wait(20))
        raise OSError("silent")

    monkeypatch.setattr(metrics.urllib.request, "urlopen", silent)
    before = set(threading.enumerate())
    assert lpips_network("alex") is None
    given_up.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert waited == [True]  # the answer came while the server was still silent
    assert socket.getdefaulttimeout() is None


def test_means():
    rows = [
        {"name": "a", "psnr": 20.0, "ssim": 0.5, "lpips": None},
        {"name": "b", "psnr": 30.0, "ssim": 1.0, "lpips": 0.1},
    ]
    assert mean_metrics(rows) == {"psnr": 25.0, "ssim": 0.75, "lpips": None}
    assert mean_metrics([]) == {"psnr": None, "ssim": None, "lpips": None}
    corrected = [{**row, "psnr_colour_corrected": row["psnr"] + 2, "lpips_colour_corrected": None} for row in rows]
    assert mean_metrics(corrected) == {
        **mean_metrics(rows), "psnr_colour_corrected": 27.0, "lpips_colour_corrected": None,
    }  # fmt: skip
