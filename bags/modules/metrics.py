"""Image metrics of a render against a photo, by the two protocols of docs/method.md section 5.

==============  ===============================================  ==========================================
protocol        SSIM                                             LPIPS
==============  ===============================================  ==========================================
deblur_nerf     scikit-image, 7x7 uniform window, on [-1, 1]     AlexNet, fed [-1, 1]
mip_splatting   11x11 Gaussian window, zero padding, on [0, 1]   VGG, fed [0, 1] as in the published code
==============  ===============================================  ==========================================

PSNR is the same in both: computed per image, never pooled over a set. Renders are clamped to [0, 1] but not rounded to
8 bits. Figures of different protocols cannot be compared.
"""

from __future__ import annotations

import functools
import logging
import math
import socket
import threading
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bags.ops.ssim import ssim
from bags.settings import MetricsSettings

log = logging.getLogger(__name__)

NAMES = ("psnr", "ssim", "lpips")
CORRECTED = {name: f"{name}_colour_corrected" for name in NAMES}  # the same after ``in_colours_of``
PROTOCOLS = ("deblur_nerf", "mip_splatting")
PATIENCE = 10.0  # seconds to wait for the server of the LPIPS weights
LPIPS_SMALLEST = {"alex": 32, "vgg": 16}  # pixels; the networks' pooling leaves nothing of smaller images


class ImageMetrics:
    """PSNR, SSIM and LPIPS of single images by one protocol.

    Args:
        settings: ``protocol``; ``lpips=False`` leaves LPIPS out.
    """

    def __init__(self, settings: MetricsSettings) -> None:
        self.settings = settings

    @torch.no_grad()
    def __call__(self, render: Tensor, photo: Tensor, counts: Tensor | None = None) -> dict[str, float | None]:
        """Compare ``render`` with ``photo``, both (3, H, W), at least 8 x 8 pixels.

        Args:
            render: clamped to [0, 1] here.
            photo: in [0, 1].
            counts: (H, W) bool, the pixels to compare; None: all. The others are replaced by the render's, and each
                figure's distance from its ideal value is divided by the share of compared pixels.

        Returns:
            ``psnr`` in dB, ``ssim``, ``lpips`` (None if it is switched off, its weights are not available, or the image
            is too small for it).
        """
        from torchmetrics.functional.image import peak_signal_noise_ratio

        render = render.float().clamp(0, 1)
        photo = photo.to(render)
        part = 1.0
        if counts is not None:
            photo, part = torch.where(counts, photo, render), float(counts.float().mean())
        nerf = self.settings.protocol == "deblur_nerf"
        lpips = None
        if self.settings.lpips:
            lpips = _lpips("alex", 2 * render - 1, 2 * photo - 1) if nerf else _lpips("vgg", render, photo)
        likeness = _skimage_ssim(2 * render - 1, 2 * photo - 1) if nerf else float(ssim(render, photo))
        return {
            "psnr": float(peak_signal_noise_ratio(render, photo, data_range=1.0)) + 10 * math.log10(part),
            "ssim": 1 - (1 - likeness) / part,
            "lpips": None if lpips is None else lpips / part,
        }


def mean_metrics(per_image: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means over images of what ``ImageMetrics`` gave; None where an image has none, or where there is no image.

    Args:
        per_image: mappings with ``psnr``, ``ssim`` and ``lpips``, perhaps also those of ``CORRECTED``; other keys are
            ignored.
    """
    means: dict[str, float | None] = {}
    for name in (*NAMES, *(name for name in CORRECTED.values() if any(name in image for image in per_image))):
        values = [image[name] for image in per_image]
        means[name] = sum(values) / len(values) if values and None not in values else None
    return means


def _skimage_ssim(render: Tensor, photo: Tensor) -> float:
    """scikit-image's SSIM with its default 7x7 uniform window, images in [-1, 1]."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(photo.cpu().numpy(), render.cpu().numpy(), data_range=2.0, channel_axis=0))


def _lpips(net: str, render: Tensor, photo: Tensor) -> float | None:
    if min(render.shape[1:]) < LPIPS_SMALLEST[net]:
        return None
    network = lpips_network(net)
    return None if network is None else float(network.to(render.device)(render[None], photo[None]))


@functools.cache
def lpips_network(net: str) -> nn.Module | None:
    """The LPIPS network with backbone ``alex`` or ``vgg``, made once per process.

    Torchvision downloads the backbone's weights at first use. If that fails, a warning is logged once, after
    ``PATIENCE`` seconds at most, and the result is None: a finished run must not fail because of its last figure.
    """
    try:
        import lpips
        from torchvision.models import AlexNet_Weights, VGG16_Weights

        url = {"alex": AlexNet_Weights, "vgg": VGG16_Weights}[net].IMAGENET1K_V1.url
        if not (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file() and (trouble := _trouble()):
            raise OSError(trouble)
        with warnings.catch_warnings(), _socket_timeout(PATIENCE):
            warnings.simplefilter("ignore")  # lpips calls torchvision by its old arguments
            return lpips.LPIPS(net=net, verbose=False).requires_grad_(False)
    except Exception as error:
        log.warning("LPIPS (%s) is left out: its weights are not available (%s)", net, error)
        return None


@functools.cache
def _trouble() -> str:
    """Why the server of the networks' weights cannot be reached; empty if it can. Checked once per process.

    The check runs in a thread, because name resolution has no timeout.
    """
    from torchvision.models import AlexNet_Weights

    url = AlexNet_Weights.IMAGENET1K_V1.url
    server = urllib.parse.urlsplit(url).netloc
    outcome: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE):
                outcome.append("")
        except Exception as error:
            outcome.append(f"{server}: {error}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return outcome[0] if outcome else f"no answer from {server} within {PATIENCE:g} s"


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Make a stalled download fail instead of hanging."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
