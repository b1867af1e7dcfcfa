"""Names that are not UTF-8: what a run writes holds them escaped, and its settings find the file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from bags.dashboards import log_settings, log_table
from bags.errors import BagsError, in_utf8
from bags.io.documents import read_yaml
from bags.io.records import plain, write_json, write_table, write_text
from bags.report.page import flat
from bags.run.folder import begin
from bags.settings import Settings

RAW = os.fsdecode(b"M\xfcller")


def test_files_of_a_run(tmp_path: Path) -> None:
    write_text(tmp_path / "report.html", f"<p>{RAW} Küche</p>")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == r"<p>M\udcfcller Küche</p>"
    write_table(tmp_path / "views.csv", [{"view": RAW, "x": 1}])
    assert (tmp_path / "views.csv").read_text(encoding="utf-8") == "view,x\nM\\udcfcller,1\n"
    write_json(tmp_path / "metrics.json", {"scene": RAW})
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == {"scene": RAW}
    assert in_utf8(RAW) == r"M\udcfcller" and in_utf8("Küche") == "Küche"


def test_settings_find_the_folder_again(tmp_path: Path) -> None:
    settings = replace(Settings(), output_root=str(tmp_path / RAW), name=RAW, source=f"/photos/{RAW}")
    begin(settings)
    assert os.listdir(os.fsencode(tmp_path)) == [b"M\xfcller"]
    assert read_yaml(settings.folder / "config.yaml")["source"] == settings.source
    assert ("source", settings.source) in flat(plain(asdict(settings)))


def test_tensorboard(tmp_path: Path) -> None:
    settings = replace(Settings(), output_root=str(tmp_path), name="plain", source=RAW)
    logger = TensorBoardLogger(str(settings.folder), default_hp_metric=False)
    log_settings([logger], settings)
    log_table([logger], "test/summary", ("view", "psnr"), [(RAW, 20.0)])
    logger.finalize("success")
    settings = replace(settings, name=RAW)
    with pytest.raises(BagsError, match=r"TensorBoardLogger cannot write to .*M\\udcfcller: its folder's name"):
        log_settings([TensorBoardLogger(str(settings.folder), default_hp_metric=False)], settings)
