"""Shared by all tests: quiet threads, one Ray cluster for the session, and how the tests are dealt to xdist workers."""

import os

# Before numpy, numba or torch are imported: the tests run in parallel and must not spin on each other's cores.
for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MPLBACKEND": "Agg",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}.items():
    os.environ.setdefault(_name, _value)

from collections.abc import Iterator  # noqa: E402  (the environment above comes first)

import hypothesis  # noqa: E402
import pytest  # noqa: E402

# derandomize: a failure in CI is the same failure at a desk; deadline: the first call compiles kernels.
hypothesis.settings.register_profile("arena", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("arena")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal whole files to xdist workers (--dist loadgroup), and everything that needs Ray to one of them."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)
        group = "ray" if item.get_closest_marker("ray") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray cluster with two CPUs, shared by every test that asks for it."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=150 * 1024**2,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
