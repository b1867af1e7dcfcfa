"""``task=gpu_check``: checks and times everything that needs a GPU, in one command (``make gpu-check``)."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from bags.benchmark import gpu_checks
from bags.benchmark.gpu_checks import Check
from bags.errors import BagsError
from bags.io.records import write_json, write_text
from bags.run.device import choose_device, idle_cuda
from bags.run.facts import device_name, versions
from bags.run.process import prepare_process
from bags.settings import OutputSettings, Settings
from bags.system.terminal import terminal
from bags.tasks import train

PSNR = 25.0  # least PSNR of the built-in scene after the short training, dB


def run(settings: Settings) -> None:
    """Run every check, write ``gpu_check.json`` and ``gpu_check.md``, and report which failed.

    With ``trainer.accelerator=cpu`` small versions of the checks run on the CPU, to test the checks themselves.

    Raises:
        BagsError: there is no GPU, or a check failed.
    """
    prepare_process(settings.trainer, settings.seed)
    device = choose_device(settings.trainer, settings.rasterizer).type
    if device == "cpu" and settings.trainer.accelerator != "cpu":
        why = idle_cuda(settings.trainer, settings.rasterizer) or "there is no CUDA device to use"
        raise BagsError(f"task=gpu_check: {why}; trainer.accelerator=cpu runs small versions of the checks")
    small, console, checks = device == "cpu", terminal(), []
    for name, part in parts(settings, device, small).items():
        begin = time.perf_counter()
        found = guarded(name, part)
        checks += found
        for check in found:
            console.print(line(check))
        console.print(f"  {name}: {time.perf_counter() - begin:.0f} s")
    machine, found_versions = device_name(device), versions()
    result = {"machine": machine, "versions": found_versions, "checks": [asdict(check) for check in checks]}
    write_json(settings.folder / "gpu_check.json", result)
    write_text(settings.folder / "gpu_check.md", markdown(machine, found_versions, checks))
    failed = [check.name for check in checks if check.passed is False]
    if failed:
        raise BagsError(f"failed: {', '.join(failed)}; see {settings.folder / 'gpu_check.json'}")
    console.print(f"all checks passed; results in {settings.folder}/")


def parts(settings: Settings, device: str, small: bool) -> dict[str, Callable[[], list[Check]]]:
    """The checks, quick ones first."""
    return {
        "rasterisers": lambda: gpu_checks.rasterizers(device, small),
        "convolution, figures": lambda: gpu_checks.convolution_is_right(device),
        "path and lens, figures": lambda: gpu_checks.camera_blur_is_right(device),
        "convolution, speed": lambda: gpu_checks.convolution_is_fast(device, small),
        "training": lambda: [short_training(settings, small)],
        "steps": lambda: gpu_checks.steps(device, small),
    }


def guarded(name: str, part: Callable[[], list[Check]]) -> list[Check]:
    """The part's checks; if it raises an error, that is a failed check, and the other parts still run."""
    try:
        return part()
    except Exception as error:
        return [Check(name, False, {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})]


def short_training(settings: Settings, small: bool) -> Check:
    """Train the built-in scene for a short time; its sharp test views show whether all parts work together."""
    steps = 20 if small else 1500
    run_settings = replace(
        settings,
        task="train",
        name=f"{settings.name}/training",
        schedule=replace(settings.schedule, steps=steps),
        output=replace(OutputSettings(), images_every=None, train_views=2),
        metrics=replace(settings.metrics, lpips=False),
    )
    train.run(run_settings)
    metrics = json.loads((run_settings.folder / "metrics.json").read_text(encoding="utf-8"))
    keys = ("psnr", "ssim", "steps", "train_seconds", "num_gaussians", "gpu_memory_mb", "device")
    figures = {key: metrics[key] for key in keys}
    good = None if small else metrics["psnr"] >= PSNR
    return Check("short training of the built-in scene", good, figures, f"at least {PSNR:g} dB")


def line(check: Check) -> str:
    """One line of text about a check."""
    word = {True: "passed", False: "FAILED", None: "measured"}[check.passed]
    told = {key: value for key, value in check.figures.items() if key not in ("trace", "name")}
    figures = ", ".join(f"{key} {value}" for key, value in told.items())
    return f"{word}: {check.name}: {figures}" + (f" (limit: {check.limit})" if check.limit else "")


def markdown(machine: str, found: dict[str, str], checks: Sequence[Check]) -> str:
    """The summary, as in docs/gpu.md."""
    with_versions = ", ".join(" ".join(pair) for pair in found.items())
    title = f"# GPU check\n\n{time.strftime('%Y-%m-%d')}, {machine}"
    return "\n\n".join([title, with_versions, "\n".join(f"- {line(check)}" for check in checks)]) + "\n"
