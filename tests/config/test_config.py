"""Every option of every group composes; every mistake is told at once, with its key."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException

from bags.cli import TASKS, check_words, config_folder
from bags.config import compose as our_compose
from bags.config.nodes import instantiate, register, to_settings
from bags.errors import SettingError
from bags.settings import Settings
from bags.sweeps.naming import group_of

CONF = Path(config_folder())
OPTIONS = sorted(f"{path.parent.relative_to(CONF)}={path.stem}" for path in CONF.rglob("*.yaml") if path.parent != CONF)
OPTIONS = [option.replace("scene/ladder=", "scene=ladder/") for option in OPTIONS]  # options, not a group of their own
ELSEWHERE = re.compile("scene=(ladder/|blur|defocus)")  # test_scenes.py composes every one


@functools.cache
def settings_of(*overrides: str) -> Settings:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return to_settings(compose("config", overrides=list(overrides)))


LIST = """
import atexit, sys
heavy = {"torch", "lightning", "numba", "wandb", "pycolmap", "scipy", "skimage", "torchmetrics", "av", "viser"}
atexit.register(lambda: print("loaded:", *sorted(heavy & set(sys.modules))))
from bags.cli import main
main()
"""


def run_and_list(*words: str, folder: Path | None = None) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The command line with these words, and the heavy packages that it has loaded; its output is without them."""
    done = subprocess.run([sys.executable, "-c", LIST, *words], capture_output=True, text=True, cwd=folder)
    done.stdout, loaded = done.stdout.split("loaded:")
    return done, loaded.split()


def test_the_glob_finds_the_groups() -> None:
    assert {"model=bags", "scene=demo", "experiment=none", "rasterizer=numba"} <= set(OPTIONS)


def test_every_option_composes(subtests: pytest.Subtests) -> None:
    for option in filter(lambda option: not ELSEWHERE.match(option), OPTIONS):
        with subtests.test(option):
            own = [] if option.startswith("scene=") else ["scene=own"]
            built_in = option in ("dataset=synthetic", "scene=demo", "scene=tiny")
            extra = [] if built_in else [*own, "dataset.root=/some/where"]
            assert isinstance(settings_of(option, *extra), Settings)


def test_defaults_are_the_demo() -> None:
    settings = settings_of()
    assert (settings.scene, settings.name) == ("demo", "demo")
    assert (settings.task, settings.dataset.parser) == ("train", "synthetic")
    assert str(settings.folder) == "outputs/demo"


def test_scene_beats_components_and_command_line_beats_scene() -> None:
    settings = settings_of("scene=blurball", "dataset.root=/x", "schedule.ms_steps=100")
    assert (settings.dataset.factor, settings.dataset.hold) == (4, 7)
    assert (settings.schedule.iterations, settings.schedule.ms_steps) == (49_000, 100)


def test_own_folder_names_the_run() -> None:
    for dataset, parser in {"colmap": "colmap", "deblur_nerf": "colmap", "blender": "blender"}.items():
        settings = settings_of("scene=own", f"dataset={dataset}", "dataset.root=/photos/kitchen")
        assert (settings.scene, settings.name, settings.dataset.parser) == ("kitchen", "kitchen", parser), dataset
        points = settings.model.gaussians.background_points
        assert points > settings_of("scene=blurball").model.gaussians.background_points, dataset


def test_hold_by_hand() -> None:
    found = {hold: settings_of("scene=blurball", f"dataset.hold={hold}").dataset.hold for hold in ("auto", "null", "5")}
    assert found == {"auto": "auto", "null": None, "5": 5}


def test_a_data_set_of_ones_own_is_a_yaml_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """The example of docs/datasets.md."""
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "garden_party.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /dataset: colmap\nscene: garden_party\n"
        "dataset:\n  root: ${paths.data}/garden_party\n  images: photos\n  factor: 2\n  hold: 10\n"
    )
    command = [sys.executable, "-c", "from bags.cli import main; main()", "--config-dir", str(tmp_path)]
    command += ["scene=garden_party", "paths.data=/d", "--cfg", "job", "--resolve", "--package", "dataset"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "root: /d/garden_party" in result.stdout and "images: photos" in result.stdout


def test_jobs_of_a_sweep_share_a_group() -> None:
    for overrides in (["scene=demo", "seed=1"], ["seed=2", "scene=demo"]):
        assert group_of("none", overrides) == "scene,seed"
    assert group_of("paper_motion", ["experiment=paper_motion", "seed=1"]) == "paper_motion"
    assert group_of("none", [f"{letter * 60}=1" for letter in "ab"]) == "a" * 60 + "," + "b" * 39


def test_every_key_of_every_section_can_be_set() -> None:
    """A key that is documented but missing from the composed tree could not be overridden."""
    register()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        tree = compose("config")

    def check(kind: type, node: object, prefix: str) -> None:
        for field in fields(kind):
            assert field.name in node, f"{prefix}{field.name}"  # type: ignore[operator]
            default = getattr(kind(), field.name)
            if is_dataclass(default):
                check(type(default), node[field.name], f"{prefix}{field.name}.")  # type: ignore[index]

    check(Settings, tree, "")


def test_impossible_values_name_their_key(subtests: pytest.Subtests) -> None:
    for override, needle in [
        ("dataset.synthetic.width=2000000000", "dataset.synthetic.width = 2000000000: must be at most 20,000"),
        ("dataset.synthetic.points=100000000000", "dataset.synthetic.points"),
        ("model.gaussians.random_points=1000000000000", "model.gaussians.random_points"),
        ("model.gaussians.background_points=1000000000000", "model.gaussians.background_points"),
        ("model.gaussians.background_points=-1", "model.gaussians.background_points"),
        (r"source=/a\${b}", "source"),
        ("model.bpn.hidden=1000000000", "model.bpn.hidden"),
        ("model.bpn.kernels=[3,5,1000000001]", "model.bpn.kernels"),
        ("model.bpn.kernels=[4,9,17]", "model.bpn.kernels"),
        ("schedule.ms_steps=60000", "schedule.ms_steps"),
        ("optim.bpn=-0.001", "optim.bpn"),
        ("optim.position=0", "optim.position"),
        (f"optim.position={10**400}", "optim.position"),
        (f"optim.position={'9' * 4000}", "optim.position"),
        ("schedule.steps=many", "schedule.steps"),
        ("dataset.factor=2.5", "dataset.factor"),
        ("dataset.hold=1", "dataset.hold"),
        ("dataset.hold=2.5", "dataset.hold"),
        ("dataset.hold=often", "dataset.hold"),
        ("dataset.mixed_resolution.factors=[1,0.5]", "dataset.mixed_resolution.factors"),
        ("dataset.resolutions=some", "dataset.resolutions"),
        ("name=${nme}", "name"),
        ("model.blur=3", "model.blur"),
        ("loss.ssim=2", "loss.ssim"),
        ("name=../elsewhere", "name"),
        ("model.bpn.kernels=[5,9]", "model.bpn.kernels"),
        ("+model.bpn.kernelz=[5,9,17]", "did you mean kernels"),
        ("densify.split_into=1", "densify.split_into"),
        ("metrics.protocol=best", "metrics.protocol"),
        ("metrics.colour_corrected=twice", "metrics.colour_corrected = 'twice': must be one of true, false, auto"),
        ("model.exposure=on", "model.exposure = 'on': must be one of off, gain, affine"),
        ("optim.exposure=-1", "optim.exposure"),
        ("trainer.devices=0", "trainer.devices"),
        ("dataset.images_on=disk", "dataset.images_on"),
        ("render.path=circle", "must be one of train, ellipse, spiral, before_after"),
        ("render.frames=1", "render.frames"),
        ("render.fps=0", "render.fps"),
        ("render.factor=0", "render.factor"),
        ("export.clean=everything", "must be one of off, careful, thorough"),
        ("export.region=all", "export.region = 'all': must be auto, a sphere [x, y, z, radius] or a box"),
        ("export.region=[1,2,3]", "export.region"),
        ("export.region=[0,0,0,0]", "export.region"),
        ("export.region=[0,0,0,nan]", "export.region"),
        ("export.region=[0,0,0,1,-1,1]", "the lower corner first"),
        ("export.region=[0,0,0,big]", "export.region"),
        ("export.formats=[ply,ksplat]", "must be one of ply, ply_with_filter, compressed_ply, splat"),
    ]:
        with subtests.test(override):
            with pytest.raises(SettingError) as error:
                settings_of(override)
            assert needle in str(error.value)
            assert "\n" not in str(error.value)


def test_every_process_takes_as_many_views() -> None:
    assert settings_of("trainer=ddp", "trainer.devices=4").trainer.views == 4
    assert settings_of("trainer.views_per_step=3").trainer.views == 3
    with pytest.raises(SettingError, match=r"trainer\.views_per_step.*multiple of trainer\.devices \(2\)"):
        settings_of("trainer=ddp", "trainer.views_per_step=3")


def test_command_line_tells_a_mistake_at_once(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Before anything heavy loads, without a traceback, with exit status 1, leaving nothing behind."""
    for override, needle in [
        ("schedule.stepz=3", "error: schedule.stepz = '3': no such key; did you mean schedule.steps?"),
        ("hydra/sweeper=optuna", "pip install -e '.[optuna]'"),
        ("schedule.steps=many", "schedule.steps"),
        ("task=trian", "error: task = 'trian': did you mean train? there are train, evaluate, "),
        ("scene=tinny", "error: scene = 'tinny': no such option; did you mean tiny? --help lists all there are\n"),
        ("scene=own", "dataset.root"),
        ("scene=photos", "source=/path/to/photos"),
        ("source=/some/photos", "source = '/some/photos': task=train does not use it; leave it out, or add task=recon"),
        ("dataset.root=/some/where", "dataset.root = '/some/where'"),
        ("scene=own dataset.root=/nowhere", "/nowhere: no such folder; set dataset.root"),
        ("task=reconstruct", "source = None: give a folder of photos or a video"),
        ("task=prepare source=/nowhere", "/nowhere: no such folder or file"),
        ("task=view name=none", "no run in outputs/none"),
    ]:
        with subtests.test(override):
            result, loaded = run_and_list(*override.split(), folder=tmp_path)
            assert loaded == []
            assert result.returncode == 1
            assert needle in result.stderr and "Traceback" not in result.stderr
            assert list(tmp_path.iterdir()) == []


def test_mistyped_key_gets_a_suggestion(subtests: pytest.Subtests) -> None:
    for word, meant in [
        ("steps=300", "did you mean schedule.steps?"),
        ("factor=4", "did you mean dataset.factor or render.factor?"),
        ("scheduel.steps=1,2", "did you mean schedule.steps?"),
        ("exepriment=paper", "did you mean experiment?"),
        ("qqq=1", "--cfg job prints all there are"),
    ]:
        with subtests.test(word):
            with pytest.raises(SettingError) as error:
                check_words([word])
            assert str(error.value).startswith(word.split("=")[0]) and meant in str(error.value)


def test_mistyped_option_gets_a_suggestion(subtests: pytest.Subtests) -> None:
    for word, meant in [
        ("scene=blurball,blurbal", "scene = 'blurbal': no such option; did you mean blurball?"),
        ("scene=facade_roll", "did you mean ladder/facade_roll?"),
        ("scene=ladder/facade_rol", "did you mean ladder/facade_roll?"),
        ("model=[hybird]", "model = 'hybird': no such option; did you mean hybrid?"),
        ("dataset=nerfstudios", "did you mean nerfstudio?"),
        ("experiment=ladder_quik", "did you mean ladder_quick?"),
        ("logger=qqq", "logger = 'qqq': no such option; --help lists all there are"),
    ]:
        for check in (lambda: check_words(["-m", word]), lambda: our_compose(word)):  # noqa: B023
            with subtests.test(word), pytest.raises(SettingError, match=re.escape(meant)):
                check()


def test_what_is_right_or_for_hydra_to_judge_passes(subtests: pytest.Subtests) -> None:
    for words in [
        ["scene=tiny.yaml", "logger=[csv,tensorboard]", "ablation=null", "experiment="],
        ["-m", "model=choice(bags,hybrid)", "scene=glob(ladder/*)", "optim='paper'", "loss=${optim}"],
        ["hydra.searchpath=[file:///mine]", "scene=mine"],
        ["-m", "seed=1,2", "optim.bpn=tag(log,interval(1e-4,1e-2))", "model.bpn.kernels=[3,5,7]", "name=a=b"],
        ["scene=own", "experiment=none", "cluster=slurm", "local=mine", "dataset@x=colmap"],
        ["hydra.launcher.jobs=2", "hydra/launcher=basic", "+anything=1", "++model.x=1", "~callbacks.densify=null"],
        ["callbacks.progress._target_=my.Bar", "logger.csv.x=1", "schedule.steps"],
        ["--config-dir", "a=b", "mygroup=mine"],
        ["--config-name", "mine", "ownkey=3"],
        ["-sc", "install=bash"],
    ]:
        with subtests.test(" ".join(words)):
            check_words(words)


def test_help_names_every_task() -> None:
    """And every group, on little more than a screen; the whole configuration is not in it."""
    command = [sys.executable, "-c", "from bags.cli import main; main()", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tasks = said.split("TASK (default")[1].split("examples:")[0]
    assert sorted(re.findall(r"^  (\w+) ", tasks, re.MULTILINE)) == sorted(TASKS)
    assert "usage: python run.py" in said and said.count("\n  python run.py") == 5 and "\nscene: " in said
    assert "Hydra" not in said.split("--hydra-help")[0] and len(said.splitlines()) < 60


def test_help_equals_that_of_hydra() -> None:
    """It is put together here, as Hydra takes seconds; a configuration of one's own sends it to Hydra."""
    assert run_and_list("--help")[0].stdout == run_and_list("--help", "--config-name", "config")[0].stdout


def test_help_loads_nothing_heavy() -> None:
    assert run_and_list("--help")[1] == []


def test_a_class_that_is_not_there_is_named() -> None:
    with pytest.raises(
        SettingError, match=r"^callbacks\.foo\._target_ = 'bags\.nonsense': cannot be created: .* module"
    ):
        instantiate("callbacks", {"off": None, "foo": {"_target_": "bags.nonsense"}})
    with pytest.raises(InstantiationException):  # its own mistakes keep their traceback
        instantiate("callbacks", {"foo": {"_target_": "bags.callbacks.Densify", "nothing": 3}})


def test_the_paper_is_untouched() -> None:
    """docs/method.md sections 3 and 4: what ``experiment=paper`` must mean for a benchmark scene."""
    settings = settings_of("scene=blurball", "dataset.root=/x", "experiment=paper")
    bpn = settings.model.bpn
    assert (bpn.margin, bpn.bfloat16, bpn.fit_to_width, bpn.mask_bias) == (False, False, None, 0.0)
    assert (settings.loss.ssim, settings.loss.mask, settings.optim.bpn) == (0.2, 0.001, 5e-4)
    assert (settings.schedule.iterations, settings.schedule.ms_steps) == (49_000, 9_000)
    assert settings.schedule.sharp_after_restart and settings.schedule.sharp_steps == 250
    assert (settings.densify.gradient, settings.densify.init_gradient) == (2e-4, 8e-4)
    assert (settings.densify.min_opacity, settings.densify.prune_screen) == (0.1, None)
    own = settings_of("scene=own", "dataset.root=/x", "experiment=paper", "model=mip_splatting")
    assert own.model.gaussians == settings.model.gaussians and own.optim == settings.optim
