"""What a stranger meets first: versions, environment ids, a foreign `agents`, make, the cluster files."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gymnasium
import pettingzoo
import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

import arena

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")


def python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run this Python on the given arguments, outside the repository, with only the given variables added."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    return subprocess.run([sys.executable, *args], env=clean | env, cwd="/", capture_output=True, text=True)


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """A folder with an installation whose only module is the package itself."""
    for package in ("arena", "agents"):
        (tmp_path / package).mkdir()
        shutil.copy(ROOT / package / "__init__.py", tmp_path / package)
    return tmp_path


# --- versions ---------------------------------------------------------------------------------------------------------


def test_installed_versions_are_the_constrained_ones() -> None:
    wrong = {}
    for name, pin in PINS.items():
        try:
            installed = version(name).split("+")[0]
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        if installed != pin:
            wrong[name] = f"installed {installed}, constraints.txt {pin}"
    assert not wrong, f"{wrong}: install with -c constraints.txt, or renew it with `make lock`"


def test_every_folder_of_modules_is_a_package_that_git_knows() -> None:
    # a folder without __init__.py works in a checkout and is missing in the wheel
    folders = {path.parent for top in ("arena", "agents") for path in (ROOT / top).rglob("*.py")}
    missing = [str(one.relative_to(ROOT)) for one in sorted(folders) if not (one / "__init__.py").is_file()]
    assert not missing, f"{missing}: no __init__.py"
    ignored = subprocess.run(
        ["git", "check-ignore", *(str(one / "__init__.py") for one in folders)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ignored.stdout, f"ignored by git: {ignored.stdout}"


def test_every_requirement_has_a_lower_bound_that_its_pin_satisfies() -> None:
    project = PYPROJECT["project"]
    pins = {re.sub(r"[-_.]+", "-", name).lower(): pin for name, pin in PINS.items()}
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, wanted):
        assert any(clause.operator == ">=" for clause in requirement.specifier), f"{requirement}: no lower bound"
        pin = pins[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(pin), f"{requirement} refuses the pinned {pin}"


def test_pins_carry_no_local_tag() -> None:
    # A +cpu build is not on PyPI: pinning it would make the file useless for everybody else.
    assert not [pin for pin in PINS.values() if "+" in pin]


# --- environment ids --------------------------------------------------------------------------------------------------


def test_every_packaged_scenario_has_an_id_in_both_libraries() -> None:
    names = {path.stem for path in (ROOT / "scenarios").glob("*.yaml")}
    assert names
    for registry, entry_point in (
        (pettingzoo.parallel_registry, "arena.env:parallel_env"),
        (gymnasium.registry, "arena.env:single_agent"),
    ):
        ours = [spec for spec in registry.values() if spec.namespace == "OptionArena"]
        assert {spec.kwargs["scenario"] for spec in ours} == names
        # a string: Minari refuses a callable, and importing it here would cost every user its imports
        assert {spec.entry_point for spec in ours} == {entry_point}
        assert registry["OptionArena/TwoMMOneTrader-v0"].kwargs["scenario"] == "two_mm_one_trader"


@pytest.mark.parametrize(
    "first",
    [
        "arena, pettingzoo, gymnasium",
        "gymnasium, pettingzoo, arena",
        "arena, gymnasium",
        "arena, importlib.util as util; util.find_spec('gymnasium'); import gymnasium",  # asking is not importing
    ],
)
def test_ids_do_not_depend_on_the_order_of_imports(install: Path, first: str) -> None:
    (install / "scenarios").mkdir()
    (install / "scenarios" / "toy_mm.yaml").write_text("")
    code = f"import {first}; print([k for k in gymnasium.registry if k.startswith('OptionArena/')])"
    assert python("-c", code, PYTHONPATH=str(install)).stdout == "['OptionArena/ToyMM-v0']\n"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, arena; print([m for m in ('numpy', 'numba', 'torch', 'ray', 'pettingzoo') if m in sys.modules])"
    assert python("-c", code, PYTHONPATH=str(ROOT)).stdout.strip() == "[]"
    assert not arena.__all__


# --- the package `agents` -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["agents.py", "agents/__init__.py"])
def test_a_foreign_package_named_agents_is_named(install: Path, name: str) -> None:
    foreign = install / "foreign" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("")
    path = f"{install / 'foreign'}{os.pathsep}{install}"
    run = python("-m", "arena.selfplay", PYTHONPATH=path)
    assert run.returncode == 2
    assert f"found {foreign}, expected {install / 'agents'}" in run.stderr
    assert "Traceback" not in run.stderr
    assert "ImportError" in python("-c", "import arena", PYTHONPATH=path).stderr


def test_an_overwritten_or_missing_package_agents_is_told(install: Path) -> None:
    (install / "agents" / "__init__.py").write_text('"""Somebody else\'s."""\n')
    assert "overwritten" in python("-m", "arena.selfplay", PYTHONPATH=str(install)).stderr
    shutil.rmtree(install / "agents")
    assert "missing" in python("-m", "arena.selfplay", PYTHONPATH=str(install)).stderr


# --- make -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fake", "sentence"),
    [
        (None, "apt install make python3 python3-venv"),
        ('case "$2" in *version_info*) exit 1;; *) echo Python 3.9.2;; esac', "Python 3.9.2 is too old"),
        ('case "$2" in *venv*) exit 1;; esac', "apt install python3-venv"),
    ],
)
def test_make_says_what_is_missing(tmp_path: Path, fake: str | None, sentence: str) -> None:
    interpreter = tmp_path / "fake-python"
    if fake is not None:
        interpreter.write_text(f"#!/bin/sh\n{fake}\n")
        interpreter.chmod(0o755)
    run = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), f"PYTHON={interpreter}", ".venv/.made"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2
    assert sentence in run.stderr
    assert not (tmp_path / ".venv").exists()


def test_kernel_sets_are_what_other_machines_take_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    command = ["make", "-f", str(ROOT / "Makefile"), "--old-file", ".venv/.dev"]
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".dev").touch()
    shown = subprocess.run([*command, "-n", "test-kernels"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for setting in ("OPENBLAS_CORETYPE=Haswell", "NUMBA_CPU_NAME=generic", "-m anywhere"):
        assert setting in shown.stdout
    wrong = subprocess.run(
        [*command, "test-kernels", "KERNELS=sparc"], cwd=tmp_path, capture_output=True, text=True
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "KERNELS: found sparc; allowed are haswell and generic" in wrong.stderr


# --- the cluster and its monitoring -----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file_only_with_a_token() -> None:
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "--profile", "monitoring", "config"]
    env = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    refused = subprocess.run(command, env=env, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "set RAY_AUTH_TOKEN to a secret of your own" in refused.stderr
    accepted = subprocess.run(command, env=env | {"RAY_AUTH_TOKEN": "s"}, capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stderr


def test_nothing_without_a_login_leaves_the_cluster() -> None:
    services = COMPOSE["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"head": ["127.0.0.1:8265:8265"], "grafana": ["127.0.0.1:3000:3000"]}
    for name in ("head", "worker"):
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert services[name]["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
        assert services[name]["shm_size"] == "2g"
    grafana = services["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_PASSWORD"].startswith("${RAY_AUTH_TOKEN:?")
    assert grafana["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert {name for name, service in services.items() if "profiles" in service} == {"prometheus", "grafana"}


def test_what_the_services_mount_and_scrape_exists() -> None:
    for service in COMPOSE["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source
    (job,) = YAML(typ="safe").load(ROOT / "monitoring" / "prometheus.yml")["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    for node in discovery["names"]:
        assert f"--metrics-export-port={discovery['port']}" in COMPOSE["services"][node]["command"]


def test_the_grafana_dashboard_shows_our_gauges_and_rllibs_counters() -> None:
    board = json.loads((ROOT / "monitoring" / "grafana" / "dashboards" / "arena.json").read_text(encoding="utf-8"))
    shown = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    for gauge in ("nash_gap", "league_size", "rating", "agent_steps_per_second"):
        assert f"ray_arena_{gauge}{{" in shown
    assert "ray_rllib_env_runner_num_env_steps_sampled_counter_total" in shown
    provisioning = ROOT / "monitoring" / "grafana" / "provisioning"
    (source,) = YAML(typ="safe").load(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, f"panel {panel['title']} covers another"
        taken |= cells
