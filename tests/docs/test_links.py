"""Links and pictures of README and docs/: each leads to a file, a heading, or another site."""

from __future__ import annotations

import re

from tests.docs.pages import PAGES, ROOT, Page

BY_NAME = {page.name: page for page in PAGES}
MOST = 500_000  # bytes of all pictures of the documentation together


def broken(here: Page, link: str) -> bool:
    """A file or heading that is not there, or from a page of the site to a file outside it."""
    path, _, anchor = link.partition("#")
    target = (ROOT / here.name).parent.joinpath(path).resolve() if path else ROOT / here.name
    outside = here.name.startswith("docs/") and not target.is_relative_to(ROOT / "docs")
    if outside or not target.exists():
        return True
    return bool(anchor) and anchor not in BY_NAME[str(target.relative_to(ROOT))].anchors()


def test_links_lead_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in page.links() if not re.match(r"https?://|mailto:", link)]
    assert len(links) > 100
    assert [f"{page.name}: {link}" for page, link in links if broken(page, link)] == []


def test_every_page_is_in_the_sites_navigation_once() -> None:
    named = re.findall(r'"([\w/]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(named) == [page.name.removeprefix("docs/") for page in PAGES if page.name.startswith("docs/")]


def test_pictures_stay_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures and sum(picture.stat().st_size for picture in pictures) < MOST
