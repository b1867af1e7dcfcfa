"""What each logger keeps of a run that was stopped and resumed, read back."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from bags.io.images import image_size
from bags.settings import Settings
from bags.tasks import summarize
from tests.integration.test_cli import RUN
from tests.integration.test_training import TINY, run, settings_of
from tests.integration.wandb_records import items, settled

TRIO = (
    "logger=[csv,tensorboard,wandb]", "group=trio", "schedule.steps=30", "output.images_every=15",
    "loss.mask=0.001", "loss.depth_tv=0.01", "loss.rgb_tv=0.01",
)  # fmt: skip
CURVES = {f"loss/{term}" for term in ("photo", "mask", "depth_tv", "rgb_tv", "total")} | {
    f"rate/{group}"
    for group in ("means", "log_scales", "rotations", "opacity_logits", "sh_dc", "sh_rest", "bpn")
} | {"train/psnr", "train/gaussians", "train/scale", "train/mask"}  # fmt: skip
FINAL = {"test/psnr", "test/deblur_nerf/ssim", "test/mip_splatting/ssim"} | {
    f"final/{key}" for key in ("train_seconds", "num_gaussians", "peak_memory_mb", "blur_rank_correlation")
}
PICTURES = {f"view/{kind}" for kind in ("photo", "sharp", "prediction", "mask", "kernels")}
TABLE = [("test_000.png", "deblur_nerf"), ("test_001.png", "deblur_nerf"), ("mean", "deblur_nerf"),
         ("test_000.png", "mip_splatting"), ("test_001.png", "mip_splatting"), ("mean", "mip_splatting")]  # fmt: skip


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Stopped after step 15, then resumed."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        run(settings_of(root, *TRIO), 15, patch)
    settings = settings_of(root, *TRIO, "ckpt_path=last")
    run(settings)
    return settings


def results(settings: Settings) -> dict[str, Any]:
    return json.loads((settings.folder / "metrics.json").read_text())


def assert_summary(settings: Settings, rows: Sequence[Sequence[Any]]) -> None:
    """``rows`` (scene, view, protocol, PSNR, SSIM, ...) say what ``metrics.json`` says."""
    assert [(row[1], row[2]) for row in rows] == TABLE and {row[0] for row in rows} == {"demo"}
    for row in rows:
        found = results(settings)["protocols"][row[2]]
        view = next((v for v in found["per_view"] if v["name"] == row[1]), found)
        assert [float(row[3]), float(row[4])] == pytest.approx([view["psnr"], view["ssim"]])


def test_csv(resumed: Settings) -> None:
    folders = sorted((resumed.folder / "csv").iterdir())
    sittings = [list(csv.DictReader((folder / "metrics.csv").read_text().splitlines())) for folder in folders]
    assert [[int(row["step"]) for row in rows if row["loss/total"]] for rows in sittings] == [[10], [20, 30]]
    assert set(sittings[1][0]) >= CURVES | FINAL
    assert float(sittings[1][-1]["test/psnr"]) == pytest.approx(results(resumed)["psnr"])
    assert yaml.safe_load((folders[1] / "hparams.yaml").read_text())["loss"]["rgb_tv"] == 0.01
    assert_summary(resumed, list(csv.reader((folders[1] / "test_summary.csv").read_text().splitlines()))[1:])


def test_tensorboard(resumed: Settings) -> None:
    events = EventAccumulator(str(resumed.folder / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert set(tags["scalars"]) >= CURVES | FINAL and set(tags["images"]) == PICTURES
    assert [event.step for event in events.Scalars("loss/total")] == [10, 20, 30], "one run, both sittings"
    assert [event.step for event in events.Images("view/kernels")] == [15, 30]
    assert events.Scalars("test/psnr")[-1].value == pytest.approx(results(resumed)["psnr"])
    written = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert yaml.safe_load(written)["loss"]["rgb_tv"] == 0.01
    listed = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    assert listed.session_start_info.hparams["loss/rgb_tv"].number_value == 0.01
    table = events.Tensors("test/summary/text_summary")[0].tensor_proto.string_val[0].decode().splitlines()
    assert_summary(resumed, [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]])


def test_wandb_offline(resumed: Settings) -> None:
    import wandb

    assert wandb.run is None, "the run must be finished: the next job of a sweep shares the process"
    folders = sorted((resumed.folder / "wandb").glob("offline-run-*"))
    sittings = [settled(next(folder.glob("*.wandb"))) for folder in folders]
    runs = [next(r.run for r in sitting if r.WhichOneof("record_type") == "run") for sitting in sittings]
    assert len(runs) == 2 and runs[0].run_id == runs[1].run_id, "resumed into the same run"
    assert (runs[1].display_name, runs[1].run_group, runs[1].project) == ("demo", "trio", "bags")
    configs = [items(r.config.update) for r in sittings[1] if r.WhichOneof("record_type") == "config"]
    assert configs[0]["loss"]["rgb_tv"] == 0.01 and configs[0]["scene"] == "demo"
    history = [[items(r.history.item) for r in s if r.WhichOneof("record_type") == "history"] for s in sittings]
    steps = [[row["trainer/global_step"] for row in rows if "loss/total" in row] for rows in history]
    assert steps == [[10], [20, 30]]
    last: dict[str, Any] = {}
    for row in history[1]:
        last |= row
    assert set(last) >= CURVES | FINAL
    assert last["test/psnr"] == pytest.approx(results(resumed)["psnr"])
    assert last["train/gaussians"] == last["final/num_gaussians"] == results(resumed)["num_gaussians"]
    for name in PICTURES:
        file = folders[1] / "files" / last[f"{name}.path"]
        assert image_size(file) == (48, 32) or name == "view/kernels"
        assert last[f"{name}.caption"].startswith("train_")
    assert_summary(resumed, json.loads((folders[1] / "files" / last["test/summary.path"]).read_text())["data"])


def test_tables_of_many_runs(resumed: Settings) -> None:
    settings = settings_of(
        Path(resumed.output_root), "task=summarize", "name=summary", "logger=[csv,tensorboard,wandb]", "group=trio"
    )
    summarize.run(settings)
    means = results(resumed)["protocols"]["mip_splatting"]
    row = ["PSNR ↑", "demo", f"{means['psnr']:.2f}"]
    name = "summary/Test views, mip_splatting protocol"
    table = next(settings.folder.glob("csv/version_0/summary_Test views, mip*.csv")).read_text().splitlines()
    assert list(csv.reader(table))[:2] == [["quantity", "scene", "bags"], row]
    events = EventAccumulator(str(settings.folder / "tensorboard"))
    events.Reload()
    assert "| " + " | ".join(row) + " |" in next(
        events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
        if "mip_splatting" in tag
    )
    found = settled(next(settings.folder.rglob("*.wandb")))
    history = [items(r.history.item) for r in found if r.WhichOneof("record_type") == "history"]
    path = next(entry[f"{name}.path"] for entry in history if f"{name}.path" in entry)
    written = json.loads(next(settings.folder.glob(f"wandb/offline-run-*/files/{path}")).read_text())
    assert written["columns"] == ["quantity", "scene", "bags"] and written["data"][0] == row


def test_a_failed_run_is_marked_as_failed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "logger=wandb", "schedule.steps=3", "rasterizer=reference")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="out of luck"):
        patch.setattr("bags.tasks.train.finish", lambda *_: (_ for _ in ()).throw(RuntimeError("out of luck")))
        run(settings)
    found = settled(next(settings.folder.rglob("*.wandb")))
    assert [r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"] == [1]


def test_wandb_without_an_account(tmp_path: Path) -> None:
    """In a process of its own: wandb decides once per process whether it is online."""
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_MODE": "online"}
    env = {key: value for key, value in os.environ.items() if key != "WANDB_API_KEY"} | home
    command = [*RUN, *TINY, "logger=wandb"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "WANDB_MODE=offline" in result.stderr and "Traceback" not in result.stderr
