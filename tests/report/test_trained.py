"""What a short training of a small scene already tells of its photos."""

from __future__ import annotations

import json
from pathlib import Path

from bags.tasks import train
from tests.integration.test_training import settings_of


def test_a_short_training_tells_shaken_photos_from_sharp_ones(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, "dataset.synthetic.width=96", "dataset.synthetic.height=64", "dataset.synthetic.train_views=8",
        "dataset.synthetic.blurs=[motion,sharp]", "dataset.synthetic.strength=2", "dataset.synthetic.points=1500",
        "dataset.synthetic.test_views=0", "model.bpn.kernels=[5,7,9]", "model.bpn.use_rgbd=false", "schedule.steps=650",
        "model.gaussians.max_count=2500", "schedule.shortest_opacity_reset_every=800",
        "schedule.shortest_densify_every=50", "schedule.shortest_densify_from=100",
        "output.images_every=null", "output.train_views=null", "densify.gradient=2e-4", "densify.init_gradient=8e-4",
    )  # fmt: skip
    train.run(settings)
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    assert metrics["blur_rank_correlation"] > 0.75  # 0.94 was measured
    for view in metrics["train_views"]:
        amount = view["true_blur"]["amount"]
        if amount == 0:
            assert view["kind"] == "sharp"
        elif amount > 0.8:  # three of the four shaken ones
            assert view["kind"] != "sharp" and view["rank"] > 5
    assert (settings.folder / "report.html").stat().st_size > 50_000
