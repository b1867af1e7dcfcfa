"""The Python of README and docs/, run as it stands."""

from __future__ import annotations

import pytest

from bags.modules import blur_model
from bags.settings import model
from tests.docs.pages import PAGES, Page

PYTHON = [page for page in PAGES if page.blocks("python")]


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_python(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page in their order, as cells of a notebook; what they register is for this test only."""
    monkeypatch.setattr(blur_model, "REGISTERED", dict(blur_model.REGISTERED))
    known = list(model.BLUR_MODELS)
    names: dict[str, object] = {}
    try:
        for block in page.blocks("python"):
            exec(compile("\n" * block.line + block.text, page.name, "exec"), names)
    finally:
        model.BLUR_MODELS[:] = known
