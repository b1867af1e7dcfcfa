"""Links and pictures of README and docs/: each leads to a file, a heading, or another site."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT, Page

BY_NAME = {page.name: page for page in PAGES}
MOST = 500_000  # bytes of all pictures of the documentation together


@pytest.mark.parametrize("here", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(here: Page) -> None:
    for link in here.links():
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / here.name).parent.joinpath(path).resolve() if path else ROOT / here.name
        assert target.exists(), f"{here.name}: {link}"
        if here.name.startswith("docs/"):
            assert target.is_relative_to(ROOT / "docs"), f"{here.name}: {link} leads out of the site"
        if anchor:
            assert anchor in BY_NAME[str(target.relative_to(ROOT))].anchors(), f"{here.name}: {link}"


def test_every_page_is_in_the_sites_navigation_once() -> None:
    named = re.findall(r'"([\w/]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(named) == [page.name.removeprefix("docs/") for page in PAGES if page.name.startswith("docs/")]


def test_pictures_stay_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures and sum(picture.stat().st_size for picture in pictures) < MOST
