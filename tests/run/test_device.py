"""``trainer.accelerator`` and ``rasterizer.name`` decide where a run's tensors live, or say why they cannot."""

from __future__ import annotations

import pytest
import torch

from bags.errors import SettingError
from bags.rendering import gsplat_backend
from bags.run.device import choose_device, idle_cuda
from bags.run.start import decide
from bags.run.trainer import make_trainer
from bags.settings import RasterizerSettings, Settings, TrainerSettings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def pretend(cuda: bool, gsplat: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if cuda else 0)
        monkeypatch.setattr(gsplat_backend, "why_not", lambda: None if gsplat else "no nvcc; install it")

    return pretend


def asked(accelerator: str = "auto", rasterizer: str = "auto") -> tuple[TrainerSettings, RasterizerSettings]:
    return TrainerSettings(accelerator=accelerator), RasterizerSettings(name=rasterizer)


def several(devices: int) -> tuple[TrainerSettings, RasterizerSettings]:
    return TrainerSettings(devices=devices), RasterizerSettings()


def test_device(machine, subtests: pytest.Subtests) -> None:
    for cuda, accelerator, rasterizer, device in [
        (False, "auto", "auto", "cpu"),
        (False, "auto", "reference", "cpu"),
        (True, "auto", "auto", "cuda"),
        (True, "auto", "numba", "cpu"),
        (True, "auto", "diff_gaussian", "cuda"),
        (True, "auto", "reference", "cuda"),
        (True, "cpu", "auto", "cpu"),
        (True, "gpu", "auto", "cuda"),
        (True, "gpu", "gsplat", "cuda"),
    ]:
        with subtests.test(cuda=cuda, accelerator=accelerator, rasterizer=rasterizer, device=device):
            machine(cuda)
            assert choose_device(*asked(accelerator, rasterizer)).type == device
            assert idle_cuda(*asked(accelerator, rasterizer)) is None


def test_impossible_devices_are_refused(machine, subtests: pytest.Subtests) -> None:
    for cuda, accelerator, rasterizer, needle in [
        (False, "gpu", "auto", "trainer.accelerator = 'gpu': torch .* sees no CUDA device"),
        (True, "gpu", "numba", "rasterizer.name = 'numba': draws on the CPU only"),
        (False, "auto", "gsplat", "rasterizer.name = 'gsplat': needs a CUDA device, but torch .* sees none"),
        (True, "cpu", "diff_gaussian", "needs a CUDA device, but trainer.accelerator=cpu"),
    ]:
        with subtests.test(needle):
            machine(cuda)
            with pytest.raises(SettingError, match=needle):
                choose_device(*asked(accelerator, rasterizer))


def test_auto_without_a_gsplat_that_can_draw_uses_the_cpu_and_says_so(machine) -> None:
    machine(cuda=True, gsplat=False)
    assert choose_device(*asked()).type == "cpu"
    assert idle_cuda(*asked()) == (
        "there is a CUDA device but no rasteriser for it, so the CPU is used: no nvcc; install it"
    )
    # Asked for outright, it is left to the factory to say what is missing.
    assert choose_device(*asked("gpu")).type == "cuda" and idle_cuda(*asked("gpu")) is None


def test_the_trainer_follows(machine) -> None:
    machine(cuda=False)
    assert make_trainer(decide(Settings())).strategy.root_device == torch.device("cpu")
    with pytest.raises(SettingError, match="sees no CUDA device"):
        decide(Settings(trainer=TrainerSettings(accelerator="gpu")))


def test_each_of_several_processes_takes_a_device_of_its_own(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(True)
    assert choose_device(*several(2)) == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device(*several(2)) == torch.device("cuda", 1)
    with pytest.raises(SettingError, match=r"trainer.devices = 3: torch sees only 2 CUDA device\(s\)"):
        choose_device(*several(3))
