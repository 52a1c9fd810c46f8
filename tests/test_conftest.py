"""What all tests rest on: the clock of their time limit, and how they are dealt to workers."""

import os
import signal
import time

import pytest
from numba import njit


@pytest.mark.timeout(600)
def test_compiling_a_kernel_does_not_count_against_a_tests_limit(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.pluginmanager.hasplugin("timeout"):
        pytest.skip("pytest-timeout is switched off: there is no limit")

    @njit
    def kernel(x: float) -> float:
        return x + 1.0

    left, began = signal.getitimer(signal.ITIMER_REAL)[0], time.monotonic()
    assert kernel(1.0) == 2.0
    compiled = time.monotonic() - began
    assert left - signal.getitimer(signal.ITIMER_REAL)[0] < 0.5 * compiled
    began, left = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)[0]
    time.sleep(0.2)
    assert left - signal.getitimer(signal.ITIMER_REAL)[0] > 0.1  # it runs on


WORKERS: list[str] = []


def test_a_file_is_dealt_to_one_worker() -> None:
    WORKERS.append(os.environ.get("PYTEST_XDIST_WORKER", ""))


def test_which_is_the_worker_of_all_its_tests(request: pytest.FixtureRequest) -> None:
    if any(item.name == "test_a_file_is_dealt_to_one_worker" for item in request.session.items):
        assert [os.environ.get("PYTEST_XDIST_WORKER", "")] == WORKERS  # else every worker makes a file's fixtures
    assert "--dist loadfile" in (request.config.rootpath / "Makefile").read_text(encoding="utf-8")
