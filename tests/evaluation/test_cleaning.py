"""What is left out of an exported scene: a wall with one of each kind of what has no place there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bags.evaluation.cleaning import LEVELS, gather, group_sizes, removable
from bags.rendering import make_rasterizer
from bags.types import Camera, Splats

STRANGERS = {  # centre, standard deviation, opacity
    "faint": ((0.0, 0.0, 3.99), 0.05, 0.003),
    "huge": ((0.0, 0.0, 1.5), 1.8, 0.05),
    "in few photos": ((-0.6, 0.0, 0.3), 0.02, 0.5),
    "specks": ((0.1, 0.1, 2.0), 0.03, 0.6),
}


def wall() -> list[tuple[tuple[float, float, float], float, float]]:
    return [((x / 5, y / 5, 4.0), 0.12, 0.95) for x in range(-7, 8) for y in range(-3, 4)]


def splats_of(rows: list[tuple[tuple[float, float, float], float, float]]) -> Splats:
    means, sizes, opacities = (torch.tensor(column) for column in zip(*rows, strict=True))
    count = len(rows)
    turned = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1)
    colours = torch.ones(count, 4, 3)
    return Splats(means, sizes[:, None].repeat(1, 3), turned, opacities, colours[:, :1], colours[:, 1:])


def cameras(count: int = 6) -> list[Camera]:
    places = torch.linspace(-0.6, 0.6, count)
    return [Camera(torch.eye(3), torch.tensor([-float(x), 0.0, 0.0]), 30.0, 30.0, 32, 24) for x in places]


def module_of(splats: Splats) -> Any:
    rasterizer = make_rasterizer("reference", "cpu")

    def render(camera: Camera, drawn: Splats = splats) -> Any:
        return rasterizer(drawn, camera, sh_degree=1, background=torch.ones(3), kernel_size=0.1)

    return SimpleNamespace(gaussians=SimpleNamespace(splats=lambda: splats), render=render)


def test_each_kind_is_found_for_its_reason() -> None:
    splats = splats_of([*wall(), *STRANGERS.values()])
    evidence = gather(module_of(splats), cameras())
    found = removable(splats, evidence, LEVELS["careful"])
    assert list(found) == list(STRANGERS)
    for number, rows in enumerate(found.values()):
        assert rows.nonzero().flatten().tolist() == [len(wall()) + number]
    more = removable(splats, evidence, LEVELS["thorough"])
    assert sum(rows[-4:].sum() for rows in more.values()) == 4


def test_a_clean_scene_stays_as_it_is() -> None:
    splats = splats_of(wall())
    found = removable(splats, gather(module_of(splats), cameras()), LEVELS["careful"])
    assert not any(rows.any() for rows in found.values())


def test_a_wire_before_the_wall_stays() -> None:
    """All photos show it, and it hangs together."""
    splats = splats_of([*wall(), *(((x / 20, 0.0, 2.0), 0.03, 0.6) for x in range(-5, 6))])
    evidence = gather(module_of(splats), cameras())
    assert evidence.before[-6] == 6 and evidence.photos[-6] > 5
    assert not any(rows.any() for rows in removable(splats, evidence, LEVELS["careful"]).values())


@pytest.mark.parametrize("what", [((0.0, 1.4, 4.0), 0.03, 0.9), ((0.0, 0.0, 20.0), 25.0, 0.9)], ids=["detail", "sky"])
def test_what_is_no_nearer_than_the_surface_stays(what: tuple[tuple[float, float, float], float, float]) -> None:
    splats = splats_of([*wall(), what])
    found = removable(splats, gather(module_of(splats), cameras()), LEVELS["careful"])
    assert not any(rows.any() for rows in found.values())


def test_evidence_is_what_is_drawn() -> None:
    splats = splats_of([*wall(), *STRANGERS.values()])
    module, camera = module_of(splats), cameras(1)[0]
    evidence = gather(module, [camera])
    alpha = module.render(camera).alpha
    assert float(evidence.most.sum()) == pytest.approx(float(alpha.sum()), rel=1e-4)
    assert evidence.photos[:5].tolist() == pytest.approx([1.0] * 5, abs=1e-3)
    torch.testing.assert_close(evidence.nearest, (splats.means - camera.center).norm(dim=1))


def test_groups_hang_together_by_their_reach() -> None:
    places = torch.tensor([0.0, 1.0, 2.0, 3.0, 10.0, 11.5, 30.0])
    means = torch.stack([places, torch.zeros(7), torch.zeros(7)], dim=1)
    assert group_sizes(means, torch.full((7,), 0.25), reach=2).tolist() == [4, 4, 4, 4, 1, 1, 1]
    assert group_sizes(means, torch.full((7,), 0.25), reach=3).tolist() == [4, 4, 4, 4, 2, 2, 1]
    assert group_sizes(means[:1], torch.ones(1), reach=3).tolist() == [1]
