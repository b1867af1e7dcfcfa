"""What is left out of an exported scene: a wall with one of each kind of what has no place there."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bags.evaluation.cleaning import LEVELS, Evidence, gather, group_sizes, removable
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


def seen_from_all_over(seed: int) -> list[Camera]:
    """Cameras at different places, of two focal lengths each, that look along z."""
    draw = torch.Generator().manual_seed(seed)
    places = torch.rand(4, 3, generator=draw) * torch.tensor([1.2, 0.8, 1.5]) - torch.tensor([0.6, 0.4, 1.0])
    return [Camera(torch.eye(3), -place, 20.0, 32.0, 32, 24, offset=(1.5, -2.0)) for place in places]


@pytest.mark.parametrize("seed", range(3))
def test_evidence_of_all_photos_is_what_each_gaussian_alone_adds_to_them(seed: int) -> None:
    """A Gaussian that is white among black ones makes as much light as its share; point by point, photo by photo."""
    splats = splats_of([*wall()[::4], *STRANGERS.values()])
    module, photos = module_of(splats), seen_from_all_over(seed)
    evidence = gather(module, photos)
    rasterizer, count = make_rasterizer("reference", "cpu"), len(splats.means)
    for number in range(count - 6, count):
        only = torch.full((count, 1, 3), -0.5 / 0.28209479177387814)
        only[number] *= -1
        colours = replace(splats, sh_dc=only, sh_rest=torch.zeros_like(splats.sh_rest))
        shares, nearest, seen, before = [], [], 0, 0
        for camera in photos:
            drawn = rasterizer(colours, camera, sh_degree=0, background=torch.zeros(3), kernel_size=0.1)
            shares.append(float(drawn.rgb[0].sum()))
            x, y, z = (splats.means[number] - camera.center).tolist()
            nearest.append(math.sqrt(x * x + y * y + z * z))
            row, column = round(32 * y / z + camera.cy), round(20 * x / z + camera.cx)
            if z > 0 and 0 <= row < 24 and 0 <= column < 32 and float(drawn.alpha[row, column]) > 0.5:
                seen += 1
                before += nearest[-1] < 0.8 * float(drawn.depth[row, column] / drawn.alpha[row, column])
        assert float(evidence.most[number]) == pytest.approx(max(shares), rel=1e-3, abs=1e-4)
        together = sum(shares) ** 2 / max(sum(share**2 for share in shares), 1e-12)
        assert float(evidence.photos[number]) == pytest.approx(together, rel=1e-3)
        assert float(evidence.nearest[number]) == pytest.approx(min(nearest), rel=1e-5)
        assert (float(evidence.seen[number]), float(evidence.before[number])) == (seen, before)


@pytest.mark.parametrize("seed", range(3))
def test_the_rules_hold_in_free_space_and_the_first_counts(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    count, limits = 200, replace(LEVELS["careful"], faint=0.3, few=4)

    def uniform(high: float) -> torch.Tensor:
        return high * torch.rand(count, generator=draw)

    seen = torch.randint(0, 5, (count,), generator=draw).float()
    before = torch.minimum(seen, torch.randint(0, 5, (count,), generator=draw).float())
    evidence = Evidence(uniform(1), uniform(8), uniform(2), seen, before)
    places, sizes = [(float(i) * 100, 0.0, 0.0) for i in range(count)], uniform(2).tolist()  # each for itself
    splats = splats_of([(place, size, 0.5) for place, size in zip(places, sizes, strict=True)])
    found = removable(splats, evidence, limits)
    assert int((2 * before == seen).sum()) > 0 and all(rows.any() for rows in found.values())
    for i, (most, photos, nearest, number, free) in enumerate(
        zip(*(part.tolist() for part in vars(evidence).values()), strict=True)
    ):
        in_front = free > 0 and free >= number / 2
        reasons = {
            "faint": most < 0.3,
            "huge": in_front and sizes[i] > nearest,
            "in few photos": in_front and photos < 4,
            "specks": in_front,
        }
        first = next((reason for reason, holds in reasons.items() if holds), None)
        assert [reason for reason, rows in found.items() if rows[i]] == ([first] if first else [])


def test_groups_hang_together_by_their_reach() -> None:
    places = torch.tensor([0.0, 1.0, 2.0, 3.0, 10.0, 11.5, 30.0])
    means = torch.stack([places, torch.zeros(7), torch.zeros(7)], dim=1)
    assert group_sizes(means, torch.full((7,), 0.25), reach=2).tolist() == [4, 4, 4, 4, 1, 1, 1]
    assert group_sizes(means, torch.full((7,), 0.25), reach=3).tolist() == [4, 4, 4, 4, 2, 2, 1]
    sizes = torch.tensor([0.1, 0.4, 0.1, 0.9, 0.1, 0.1, 0.1])  # of both: 0.5 each, then 1.0, then 0.2
    assert group_sizes(means, sizes, reach=2).tolist() == [4, 4, 4, 4, 1, 1, 1]
    assert group_sizes(means[:1], torch.ones(1), reach=3).tolist() == [1]
