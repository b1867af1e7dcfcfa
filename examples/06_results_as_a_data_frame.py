"""The results of runs as a data frame.

A run leaves its results in files that any program can read: `metrics.json` (figures of the run and of each view),
`views.csv` (the blur of each training photo), `history.csv` (loss, PSNR and number of Gaussians over the steps) and
`config.yaml` (every setting). `find_runs` reads all finished runs below a folder; each `Run` becomes a row:

```python
runs, problems = find_runs(Path("outputs"), ["**"], ["model.name"])
frame = pandas.DataFrame(row(run) for run in runs)
frame.groupby("model")["psnr"].mean()
```

`bags` does not need pandas, and neither does this example: rows are dictionaries, which `pandas.DataFrame` and
`polars.DataFrame` take as they are. The example makes two short runs. It prints a row for each, and the training curve
of the first. It takes about fifteen seconds:

```sh
python examples/06_results_as_a_data_frame.py
```
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bags.config import compose
from bags.summary.runs import Run, find_runs
from bags.tasks import train


def row(run: Run) -> dict[str, Any]:
    """What is known of a run, in one row; any of its settings can be a column."""
    return {
        "run": run.folder.name,
        "model": run.column,
        "seed": run.seed,
        "steps": run.config["schedule.steps"],
        **run.figures["deblur_nerf"],  # psnr, ssim, lpips
        **run.costs,  # train_seconds, peak_memory_mb, gpu_memory_mb, num_gaussians
    }


def main(root: str = "outputs/examples/data_frame", steps: int = 80) -> list[dict[str, Any]]:
    """Make two runs and return a row for each."""
    for model in ("bags", "mip_splatting"):
        words = ("scene=tiny", f"model={model}", f"schedule.steps={steps}", f"name={model}", f"output_root={root}")
        train.run(compose(*words))
    runs, problems = find_runs(Path(root), ["*"], ["model.name"])
    assert not problems, problems
    rows = [row(run) for run in runs]
    for each in rows:
        print(each)
    with open(runs[0].folder / "history.csv", newline="") as file:
        for point in csv.DictReader(file):
            print(f"step {point['step']}: loss {point['loss']}, {point['gaussians']} Gaussians")
    return rows


if __name__ == "__main__":
    main()
