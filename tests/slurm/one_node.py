"""A real Slurm of one node in a temporary folder, without systemd (Debian, root)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONF = """\
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
KillWait=10
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def install() -> None:
    """Debian's packages, where they are not there."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch", "munged")):
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "slurm-wlm", "munge"], check=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def slurm(root: Path) -> Iterator[dict[str, str]]:
    """Run munged, slurmctld and slurmd; yields the environment for Slurm's commands."""
    host, daemons = socket.gethostname().split(".")[0], []
    conf = root / "slurm.conf"
    values = {"host": host, "root": root, "cores": os.cpu_count(), "controller": free_port(), "node": free_port()}
    conf.write_text(CONF.format(**values))
    (root / "munge.key").write_bytes(os.urandom(128))
    (root / "munge.key").chmod(0o600)
    for folder in ("state", "spool"):
        (root / folder).mkdir()
    munge = [f"--{name}-file={root}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    try:
        for command in (
            ["munged", "--foreground", "--force", f"--socket={root}/munge.socket", *munge],
            ["slurmctld", "-D", "-f", str(conf)],
            ["slurmd", "-D", "-f", str(conf), "-N", host],
        ):
            path = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
            with open(root / f"{command[0]}.out", "wb") as out:
                daemons.append(
                    subprocess.Popen([str(path), *command[1:]], env=environment, stdout=out, stderr=subprocess.STDOUT)
                )
            time.sleep(2)
        wait_until_idle(environment)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment)
        time.sleep(5)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def wait_until_idle(environment: dict[str, str]) -> None:
    for _ in range(60):
        found = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True).stdout
        if found.strip() == "idle":
            return
        time.sleep(1)
    raise RuntimeError(f"Slurm's node is {found.strip()!r}, not idle")
