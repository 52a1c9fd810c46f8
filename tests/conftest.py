"""Shared by all tests: quiet threads, one Ray cluster a worker, how the tests are dealt to xdist workers, and a
clock that does not count the compilation of kernels."""

import os

# Before numpy, numba or torch are imported: the tests run in parallel and must not spin on each other's cores.
for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MPLBACKEND": "Agg",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # seconds that Ray waits for its own processes, which a loaded machine starts late
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_worker_register_timeout_seconds": "600",
}.items():
    os.environ.setdefault(_name, _value)

import signal  # noqa: E402  (the environment above comes first)
from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from numba.core import event  # noqa: E402

RAY_LIMIT = 1200.0
"""Seconds for a test that starts or joins Ray: a loaded machine takes minutes for what an idle one does in ten."""

# derandomize: a failure in CI is the same failure at a desk; deadline: the first call compiles kernels.
hypothesis.settings.register_profile("arena", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("arena")


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist deal files in the order below instead of by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal files (--dist loadfile) that need Ray first, for they take longest, then those of the solvers.

    These need no kernel of a market: two workers that begin with the same market would both compile it.
    """
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)
        if item.get_closest_marker("ray") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(RAY_LIMIT))
    long = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: (item.path not in long, "solvers" not in item.path.parts))


class StoppedClock(event.Listener):
    """Stops the clock of pytest-timeout while numba compiles: a limit is for a test that hangs, not for a new cache."""

    depth, left = 0, 0.0

    def on_start(self, event: event.Event) -> None:
        if not self.depth:
            self.left, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        self.depth -= 1
        if not self.depth and self.left:
            signal.setitimer(signal.ITIMER_REAL, self.left)


event.register("numba:compile", StoppedClock())


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray cluster with two CPUs, shared by every test of a worker that asks for it."""
    import ray

    from arena.training.session import start_ray

    start_ray(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=150 * 1024**2,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
