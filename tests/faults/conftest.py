from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.runs import unbroken


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the parts of the campaign work; they share the run that nothing troubles."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="package")
def reference(folder: Path) -> Path:
    return unbroken(folder)
