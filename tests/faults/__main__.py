"""``make faults``: the whole campaign, as a table of what was tried, survived and lost.

``python -m tests.faults [PART ...] [--seed N] [--quick]``. Results go to ``outputs/faults/``; what lost a fault is kept
beside them. The exit status is 1 where anything is lost.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.faults.campaign import PARTS, campaign

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"which ones: {', '.join(PARTS)}; default: all")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--quick", action="store_true", help="a few faults of each part")
    given = arguments.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        arguments.error(f"no such part: {', '.join(sorted(unknown))}")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(1 if campaign(given.parts or list(PARTS), given.seed, given.quick) else 0)
