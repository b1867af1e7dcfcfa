"""Data flows one way: who may import whom (docs/architecture.md)."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

from bags.cli import TASKS

PACKAGE = Path(__file__).parents[1] / "bags"
BASE = {"errors", "settings", "types", "schedule", "system"}
ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "types": {"errors"},
    "schedule": {"settings"},
    "system": set(),
    "ops": BASE,
    "io": BASE | {"ops"},
    "rendering": BASE | {"ops"},
    "datamodules": BASE | {"ops", "io"},
    "preparation": BASE | {"ops", "io"},
    "modules": BASE | {"ops", "io", "rendering"},
    "densification": BASE | {"ops", "modules"},
    "evaluation": BASE | {"ops", "io", "modules", "datamodules"},
    "report": {"errors", "io", "evaluation"},
    "scene_page": BASE | {"io", "report"},
    "dashboards": BASE | {"io"},
    "summary": BASE | {"io"},
    "viewer": BASE | {"ops", "io", "modules", "datamodules", "evaluation"},
    "callbacks": BASE | {"ops", "io", "modules", "densification", "evaluation", "dashboards", "viewer"},
    "benchmark": BASE | {"ops", "io", "rendering", "modules", "datamodules"},
    "config": BASE | {"io"},
    "run": BASE
    | {"ops", "io", "rendering", "datamodules", "preparation", "modules", "densification", "evaluation", "report"}
    | {"dashboards", "callbacks", "config"},
    "sweeps": BASE | {"config", "ops", "run"},
}
ALLOWED["tasks"] = set(ALLOWED)
ALLOWED["cli"] = set(ALLOWED)
FRAMEWORKS = {
    "hydra": {"cli", "config", "sweeps"},
    "lightning": {"modules", "datamodules", "callbacks", "dashboards", "run", "tasks"},
}
LONGEST = 400  # lines of a file
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


def test_imports_go_one_way() -> None:
    wrong = []
    for path in FILES:
        here, names = room(path), imported(path)
        if here == "__init__":
            continue
        constants = {"bags.__version__", "bags.BEGAN", "bags.TORCH_SPINS"}
        rooms = {name.split(".")[1] for name in names - constants if name.startswith("bags.")} - {here}
        frameworks = {name.split(".")[0] for name in names} & set(FRAMEWORKS)
        strange = {framework for framework in frameworks if here not in FRAMEWORKS[framework]}
        wrong += [f"{path.relative_to(PACKAGE)} imports {name}" for name in sorted(rooms - ALLOWED[here] | strange)]
    assert wrong == []


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


def test_tasks_are_all_that_is_in_their_room() -> None:
    """One file a task, found by its name on the command line."""
    assert {path.stem for path in (PACKAGE / "tasks").glob("*.py")} - {"__init__"} == set(TASKS)


def test_the_package_starts_without_torch() -> None:
    """A mistake on the command line, ``--help`` and a sweep's questions are answered at once."""
    code = (
        "import sys, bags.cli, bags.run.folder, bags.system.signals, bags.schedule\n"
        "assert not {'torch', 'lightning', 'numba', 'psutil'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_no_file_is_long() -> None:
    """Kernels are: their parts compile together."""
    for path in FILES:
        if not any(word in path.stem for word in ("numba", "kernels", "triton")):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, path


def test_no_circles() -> None:
    paths = {module_name(path): path for path in FILES}
    graph = {name: modules_imported(path, set(paths)) - {name} for name, path in paths.items()}
    assert len(graph) > 100 and "bags.rendering.reference" in graph["bags.rendering.choice"]
    tuple(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle
