"""scripts/train_jax.py on several devices; on one, tests/test_frameworks.py has it.

Without RUNNER_REQUIRE=frameworks it is skipped: the environment may have to be made first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import several_devices
from tests.needs import demand

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def jax() -> Path:
    demand("frameworks", "training takes minutes")
    return several_devices.interpreter("jax-0.10.2")


def test_two_devices_learn_what_one_does_from_the_images_of_both(jax: Path) -> None:
    together = several_devices.train(jax, "train_jax", "together")
    doubled = several_devices.train(jax, "train_jax", "doubled")

    assert (together.error, doubled.error) == (None, None)
    assert together.checks["ranks"] == 2
    assert together.checks["output_shape"] == [several_devices.BATCH, 10]
    assert together.losses == pytest.approx(doubled.losses, abs=1e-4)
    assert len(together.losses) == 6
    assert together.samples[0].items == doubled.samples[0].items == 2 * several_devices.BATCH
    assert doubled.communication is None
    cost = together.communication
    assert cost is not None
    assert cost.reduced_bytes == 4 * 1_250_858
    assert (cost.all_reduce_s, cost.probe_bytes) == ((), 1024**2)


def test_without_summing_devices_learn_something_else(jax: Path) -> None:
    """What `alone_s` times is the step without its sum, and not the same step again."""
    together = several_devices.train(jax, "train_jax", "together")
    apart = several_devices.train(jax, "train_jax", "apart")

    assert (together.error, apart.error) == (None, None)
    assert apart.losses[0] != pytest.approx(together.losses[0], abs=1e-4)
