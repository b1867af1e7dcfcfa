"""Data flows one way: who may import whom (docs/architecture.md)."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bags"
BASE = {"errors", "settings", "stopping", "types", "schedule"}
ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "types": {"errors"},
    "schedule": {"settings"},
    "pace": {"schedule"},
    "stopping": set(),
    "ops": BASE,
    "io": BASE | {"ops"},
    "rendering": BASE | {"ops"},
    "datamodules": BASE | {"ops", "io"},
    "preparation": BASE | {"ops", "io"},
    "modules": BASE | {"ops", "io", "rendering"},
    "densification": BASE | {"ops", "modules"},
    "pictures": BASE | {"ops", "modules"},
    "evaluation": BASE | {"ops", "io", "modules", "datamodules", "pictures"},
    "run_folder": BASE | {"io"},
    "report": {"errors", "io", "evaluation", "run_folder"},
    "dashboards": BASE | {"io", "run_folder"},
    "console": set(),
    "summary": BASE | {"io"},
    "viewer": BASE | {"ops", "io", "modules", "datamodules", "pictures"},
    "callbacks": BASE
    | {"ops", "io", "modules", "densification", "evaluation", "pictures", "run_folder", "dashboards"}
    | {"viewer", "console", "pace"},
    "benchmark": BASE | {"ops", "io", "rendering", "modules", "datamodules"},
    "config": BASE | {"io"},
    "words": {"errors", "settings"},
    "sweeps": BASE | {"config", "ops", "run_folder", "tasks", "words"},
    "tasks": None,  # anything but the command line
    "cli": None,
}
FRAMEWORKS = {
    "hydra": {"cli", "config", "sweeps", "words"},
    "lightning": {"modules", "datamodules", "callbacks", "dashboards", "tasks"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "bags" else {f"bags.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    names = imported(path)
    rooms = {
        name.split(".")[1]
        for name in names
        if name.startswith("bags.") and name not in ("bags.__version__", "bags.BEGAN")
    } - {here}
    allowed = ALLOWED[here]
    assert "cli" not in rooms
    if allowed is not None:
        assert rooms <= allowed, f"{path.name} imports {sorted(rooms - allowed)}"
    for framework, homes in FRAMEWORKS.items():
        if any(name.split(".")[0] == framework for name in names):
            assert here in homes, f"{framework} has no place in {here}"


def test_every_room_is_listed() -> None:
    assert {room(path) for path in FILES} - {"__init__"} == set(ALLOWED)


def test_importing_loads_no_kernels() -> None:
    """Neither Numba nor a CUDA extension comes with the package; nothing is compiled at import."""
    modules = [
        module_name(path)
        for path in FILES
        if "numba" not in path.stem and "kernels" not in path.stem and path.stem not in ("__init__", "__main__")
    ]
    code = "import importlib, sys\n" + "".join(f"importlib.import_module({name!r})\n" for name in modules)
    code += "heavy = {'numba', 'gsplat', 'diff_gaussian_rasterization', 'simple_knn', 'viser'}\n"
    code += "heavy &= {name.split('.')[0] for name in sys.modules}\nassert not heavy, heavy"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def modules_imported(path: Path, known: set[str]) -> set[str]:
    """The package's own modules that a file imports, at its top or anywhere below."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= named or {node.module}
    return found & known


def test_no_circles() -> None:
    paths = {module_name(path): path for path in FILES}
    graph = {name: modules_imported(path, set(paths)) - {name} for name, path in paths.items()}
    assert len(graph) > 100 and "bags.rendering.reference" in graph["bags.rendering.choice"]
    tuple(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle
