"""A run's folder from somebody else: its configuration neither runs code nor leads elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from bags.config.nodes import on_top_of_saved
from bags.errors import DataError
from bags.io.records import plain
from bags.settings import DatasetSettings, Settings
from tests.integration.test_cli import in_process


def folder_of(root: Path, **changes: Any) -> Path:
    folder = root / "outputs" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**plain(asdict(Settings())), **changes}, sort_keys=False))
    return folder


def test_the_folder_is_the_one_that_was_named(tmp_path: Path) -> None:
    """So a run that was moved is found; and nothing is written where its configuration says."""
    code = {"x": {"_target_": "os.system", "command": f"touch {tmp_path}/ran"}}
    folder = folder_of(
        tmp_path, output_root=str(tmp_path / "other"), name="theirs", callbacks=plain(code), logger=plain(code)
    )
    (tmp_path / "other/theirs/checkpoints").mkdir(parents=True)
    (tmp_path / "other/theirs/checkpoints/last.ckpt").touch()
    done = in_process(tmp_path, "task=evaluate", "name=mine")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no checkpoint at outputs/mine/checkpoints/last.ckpt" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "outputs"]
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_resumed_run_keeps_its_photos(tmp_path: Path) -> None:
    """``task=reconstruct`` leaves ``source`` in ``config.yaml``; on the command line of such a task it is a mistake."""
    folder_of(tmp_path, source="/gone/photos", dataset=plain(asdict(DatasetSettings("colmap", root="/gone/scene"))))
    for task in ("evaluate", "export"):
        done = in_process(tmp_path, f"task={task}", "name=mine")
        assert done.returncode == 1 and "no checkpoint at outputs/mine" in done.stderr, done.stderr
    done = in_process(tmp_path, "task=view", "name=mine", "source=/gone/photos")
    assert done.returncode == 1 and "error: source = '/gone/photos': task=view does not use it" in done.stderr


def test_invalid_configurations_are_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "config.yaml"
    code = "x: !!python/object/apply:os.system [true]"
    for text in ("", "- 1", "a: [1", "a: &a [*a]", code, "x: 2020-01-01", "x: ${", "\x00", "x: \ud800"):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with subtests.test(repr(text)), pytest.raises(DataError, match=r"config\.yaml: "):
            on_top_of_saved(OmegaConf.create({}), path, [])


def test_finished_run_may_have_a_root_beside_the_built_in_scene(tmp_path: Path) -> None:
    folder_of(tmp_path, dataset=plain(asdict(DatasetSettings(root="/never/read"))))
    done = in_process(tmp_path, "task=evaluate", "name=mine")
    assert done.returncode == 1 and "no checkpoint at outputs/mine" in done.stderr, done.stderr
