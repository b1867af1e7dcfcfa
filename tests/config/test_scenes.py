"""Every scene's file against the authors' table (docs/method.md section 6), written out here once more."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from bags.cli import config_folder
from bags.config.nodes import register
from bags.settings import Settings
from tests.config.test_config import settings_of

# scene: hold, init_dgt, iterations, ms_steps; depth TV, RGB TV, second network ("MLP2"), BPN rate
DEBLUR_NERF = {
    "blurball": (7, 8e-4, 49000, 9000, 0, 0, None, None),
    "blurbasket": (7, 6e-4, 40000, 6000, 0.001, 0, None, None),
    "blurbuick": (7, 8e-4, 38000, 9000, 0, 0, None, None),
    "blurcoffee": (6, 6e-4, 12000, 6000, 0, 0, None, None),
    "blurdecoration": (6, 8e-4, 49000, 9000, 0, 0, None, None),
    "blurgirl": (7, 8e-4, 49000, 9000, 0.01, 0.001, None, None),
    "blurheron": (8, 8e-4, 49000, 9000, 0.01, 0.001, None, None),
    "blurparterre": (6, 8e-4, 35000, 9000, 0, 0, None, None),
    "blurpuppet": (6, 8e-4, 28000, 9000, 0, 0, None, None),
    "blurstair": (6, 8e-4, 25000, 9000, 0, 0, None, None),
    "defocuscake": (9, 8e-4, 58000, 12000, 0.001, 0.001, True, None),
    "defocuscaps": (5, 6e-4, 12000, 9000, 0.001, 0.001, None, None),
    "defocuscisco": (7, 6e-4, 49000, 6000, 0.001, 0, None, None),
    "defocuscoral": (10, 6e-4, 22000, 18000, 0, 0, True, None),
    "defocuscupcake": (6, 6e-4, 30000, 10000, 0, 0, None, None),
    "defocuscups": (8, 6e-4, 22000, 9000, 0, 0, None, None),
    "defocusdaisy": (8, 2e-4, 18000, 9000, 0.01, 0, True, None),
    "defocussausage": (6, 6e-4, 12000, 9000, 0, 0, None, None),
    "defocusseal": (6, 2e-4, 10000, 7000, 0.01, 0.01, None, None),
    "defocustools": (7, 6e-4, 40000, 6000, 0.001, 0.001, None, 1e-3),
}  # fmt: skip
# scene: iterations, ms_steps, BPN rate
MIP360 = {
    "bicycle": (48000, 6000, 1e-3),
    "bonsai": (60000, 6000, 1e-3),
    "counter": (58000, 6000, 5e-4),
    "flowers": (58000, 12000, 1e-3),
    "garden": (60000, 6000, 1e-3),
    "kitchen": (58000, 12000, 1e-3),
    "room": (58000, 12000, 1e-3),
    "stump": (58000, 12000, 1e-3),
    "treehill": (35000, 12000, 1e-3),
}
SCENES = [*DEBLUR_NERF, *MIP360]
LADDER = {  # layout: its blurred worlds
    "room": ["mixed"],
    "walk_around": ["mild", "strong"],
    "facade": ["one_direction", "roll", "drift"],
    "forward_facing": ["defocus", "one_sided"],
}
SWEEPS = {
    "paper_motion": [scene for scene in SCENES if scene.startswith("blur")],
    "paper_defocus": [scene for scene in SCENES if scene.startswith("defocus")],
    "paper_mixed_resolution": list(MIP360),
    "one_setting": SCENES,
}


def test_every_scene_has_its_file() -> None:
    files = {path.stem for path in (Path(config_folder()) / "scene").glob("*.yaml")}
    assert len(SCENES) == 29 and files == {*SCENES, "demo", "tiny", "own", "photos", "mip360_mixed"}


def of_scene(scene: str, paper: bool) -> Settings:
    """What a scene's file says, having seen what it says of all: its name, its folder, how it is trained."""
    run = settings_of(f"scene={scene}", "paths.data=/data", *(["experiment=paper"] if paper else []))
    data = run.dataset
    assert (run.scene, run.name, data.root, data.parser) == (scene, scene, f"/data/{scene}", "colmap")
    assert run.schedule.steps is None and run.model.bpn.kernels == (5, 9, 17)
    return run


def test_deblur_nerf(subtests: pytest.Subtests) -> None:
    for scene, paper in [*product(DEBLUR_NERF, [False]), ("blurgirl", True), ("defocustools", True)]:
        with subtests.test(scene, paper=paper):
            run = of_scene(scene, paper)
            data, densify, bpn, rate = run.dataset, run.densify, run.model.bpn, DEBLUR_NERF[scene][-1]
            assert (data.factor, data.mixed_resolution.factors, run.model.gaussians.kernel_size) == (4, (), 0.1)
            assert (densify.min_opacity, densify.init_opacity) == (0.1, -1.0)
            assert (bpn.single_kernel, bpn.use_rgbd) == (None, True)
            plan = data.hold, densify.init_gradient, run.schedule.iterations, run.schedule.ms_steps
            assert (*plan, run.loss.depth_tv, run.loss.rgb_tv, bpn.second_network, rate) == DEBLUR_NERF[scene]
            if paper or rate:
                assert run.optim.bpn == (rate or 5e-4)


def test_mip360_mixed_resolution(subtests: pytest.Subtests) -> None:
    for scene, paper in [*product(MIP360, [False]), ("bicycle", True), ("counter", True)]:
        with subtests.test(scene, paper=paper):
            run = of_scene(scene, paper)
            data, densify, bpn = run.dataset, run.densify, run.model.bpn
            assert (data.factor, data.hold) == (-1, 8) and max(data.mixed_resolution.factors) > 1
            assert (densify.init_gradient, densify.min_opacity, densify.init_opacity) == (6e-4, 0.005, 0.1)
            assert (run.loss.depth_tv, run.loss.rgb_tv) == (0.01, 0.001)
            assert (bpn.second_network, bpn.single_kernel, bpn.use_rgbd) == (None, 5, False)
            assert (run.schedule.iterations, run.schedule.ms_steps, run.optim.bpn) == MIP360[scene]


def experiment(name: str) -> dict[str, list[str]]:
    """What a sweep sweeps."""
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        cfg = compose("config", overrides=[f"experiment={name}"], return_hydra_config=True)
    assert cfg.hydra.mode.name == "MULTIRUN"
    return {key: str(values).replace(" ", "").split(",") for key, values in cfg.hydra.sweeper.params.items()}


def test_sweeps_name_their_scenes_and_the_papers_are_the_paper() -> None:
    assert {name: experiment(name)["scene"] for name in SWEEPS} == SWEEPS
    for name in ("paper_motion", "paper_defocus", "paper_mixed_resolution"):
        scene = f"scene={SWEEPS[name][-1]}"
        assert settings_of(scene, f"experiment={name}") == settings_of(scene, "experiment=paper"), name


def test_one_setting_is_the_same_for_all_scenes_but_for_their_data() -> None:
    runs = [settings_of(f"scene={scene}", "experiment=one_setting") for scene in SCENES]
    for part in ("model", "schedule", "optim", "densify", "loss", "metrics", "rasterizer"):
        assert len({getattr(run, part) for run in runs}) == 1, part
    assert runs[0].schedule.steps is None and len({run.dataset.root for run in runs}) == len(SCENES)


def test_the_ladder_is_every_world_with_three_seeds() -> None:
    worlds = [f"ladder/{layout}_{kind}" for layout, kinds in LADDER.items() for kind in ["sharp", *kinds]]
    files = {f"ladder/{path.stem}" for path in (Path(config_folder()) / "scene" / "ladder").glob("*.yaml")}
    whole, quick = experiment("ladder"), experiment("ladder_quick")
    assert whole["scene"] == worlds and set(worlds) == files and whole["seed"] == ["0", "1", "2"]
    assert whole["model"][0] == "mip_splatting" and quick["model"] == whole["model"] and quick["seed"] == ["0"]
    layouts = {layout for layout in LADDER for world in quick["scene"] if world.startswith(f"ladder/{layout}")}
    tops = {f"ladder/{layout}_sharp" for layout in layouts}
    assert tops < set(quick["scene"]) < set(worlds)


def test_sharp_reference_world_differs_in_blur_only(subtests: pytest.Subtests) -> None:
    for layout, kind in ((layout, kind) for layout, kinds in LADDER.items() for kind in kinds):
        with subtests.test(f"{layout}_{kind}"):
            top, world = (settings_of(f"scene=ladder/{layout}_{end}") for end in ("sharp", kind))
            assert (top.scene, world.scene) == (f"{layout}_sharp", f"{layout}_{kind}")
            photos = world.dataset.synthetic
            assert photos.layout == layout and photos.blurs != ("sharp",)
            blurred = {"blurs": photos.blurs, "strength": photos.strength, "least": photos.least, "drift": photos.drift}
            alike = replace(top.dataset, synthetic=replace(top.dataset.synthetic, **blurred))
            assert top.dataset.synthetic.blurs == ("sharp",) and top.dataset.synthetic.drift == 0
            assert replace(top, scene=world.scene, name=world.name, dataset=alike) == world
            assert world.schedule.steps == 1500
            assert photos.seed not in (7, 11, 12, 13, 14)  # those that settings were chosen on
