"""A sweep and its table.

On the command line, `-m` sweeps over every combination of comma-separated values. `task=summarize` makes the table:

```sh
python run.py -m scene=tiny model=bags,mip_splatting seed=0,1
python run.py task=summarize
```

Runs that differ only in their seed share a cell, which gives mean ± standard deviation. `summarize.columns` says which
settings make the columns. `cluster=local` and `cluster=slurm` run the jobs side by side (docs/clusters.md).

In Python, a sweep is a loop. `ckpt_path=auto` skips runs that are finished and resumes those that were stopped, so the
script can be started again at any time. It takes about half a minute, and writes the table as Markdown, CSV and LaTeX:

```sh
python examples/07_sweep.py
```
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from bags.config import compose
from bags.tasks import summarize, train


def main(root: str = "outputs/examples/sweep", steps: int = 100) -> Path:
    """Train two models with two seeds each, and return the table's file."""
    common = ("scene=tiny", f"schedule.steps={steps}", f"output_root={root}")
    for model, seed in product(("bags", "mip_splatting"), (0, 1)):
        train.run(compose(*common, f"model={model}", f"seed={seed}", f"name={model}-seed{seed}", "ckpt_path=auto"))
    table = compose("task=summarize", "name=summary", f"output_root={root}")
    summarize.run(table)
    return table.folder / "summary.md"


if __name__ == "__main__":
    main()
