"""Every part starts where there is no fcntl, no resource, no SIGUSR1 and no /proc (Windows; macOS has no /proc)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# psutil alone may use what only this platform has: it knows the others, too.
ELSEWHERE = """
import os, signal, sys
import psutil  # of this platform: it asks each in its own way

sys.modules["fcntl"] = sys.modules["resource"] = None
del signal.SIGUSR1, os.getuid
os.environ["USERNAME"] = "somebody"  # as Windows says it

def refuse(event, args):
    if event not in ("open", "os.listdir", "os.scandir") or not str(args[0]).startswith("/proc"):
        return
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("psutil"):
            return
        frame = frame.f_back
    raise FileNotFoundError(2, "No such file or directory", str(args[0]))

sys.addaudithook(refuse)
"""
PROVED = """
for missing in ("fcntl", "resource"):
    try:
        __import__(missing)
    except ImportError:
        continue
    raise SystemExit(f"{missing} is there")
try:
    open("/proc/self/status")
except FileNotFoundError:
    pass
else:
    raise SystemExit("/proc is there")
"""
ALL = """
import bags
from bags.cli import main

sys.argv = ["run.py", "--help"]
main()
assert "torch" not in sys.modules
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

_SignalConnector.register_signal_handlers = lambda self: None  # as Lightning does on Windows
sys.argv = ["run.py", *WORDS]
main()
"""
WORDS = [
    "schedule.steps=20", "dataset.synthetic.width=48", "dataset.synthetic.height=32", "dataset.synthetic.samples=4",
    "dataset.synthetic.train_views=3", "dataset.synthetic.test_views=1", "dataset.synthetic.points=100",
    "model.bpn.kernels=[3,3,3]", "metrics.lpips=false", "trainer.accelerator=cpu", "output.report=false",
    "ckpt_path=auto",
]  # fmt: skip


def test_importing_helping_and_training(tmp_path: Path) -> None:
    code = f"{ELSEWHERE}\n{PROVED}\nWORDS = {[*WORDS, f'output_root={tmp_path}']}\n{ALL}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "usage: python run.py" in done.stdout
    run = tmp_path / "demo"
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["steps"] == 20 and metrics["peak_memory_mb"] > 50
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt"}
    assert not [path for path in run.rglob(".*") if path.is_file()], "nothing temporary is left"


def test_the_package_names_none_of_them_where_it_is_imported() -> None:
    """A stand-in may be more forgiving than Windows: no module's top imports what only Unix has."""
    package = Path(__file__).parents[2] / "bags"
    for path in package.rglob("*.py"):
        tops = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("import", "from"))]
        assert not {"import fcntl", "import resource", "import pwd", "import grp"} & set(tops), path
