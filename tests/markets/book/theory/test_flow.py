"""What theory says about the book's flows: the spec's rates, kernels as the market plays them, sentences elsewhere."""

import json

import numpy as np
import pytest

from arena.markets.book.market import Market
from arena.markets.book.theory.flow import answer, process_of
from arena.solvers.hawkes import moments
from arena.theory import answer as told


def market(**flow) -> Market:
    return Market.model_validate({"flow": flow})


def test_the_default_flow_has_the_rates_of_its_linear_system():
    found = answer(market(preset="hawkes_exp"), "open_loop")
    assert found.rates[:6] == pytest.approx([1.341, 2.251, 6.618, 6.635, 0.544, 2.012], abs=6e-4)
    assert found.rates == pytest.approx(found.rates[::-1])
    assert found.process.radius == pytest.approx(0.726, abs=5e-4)
    assert moments.ancestry(found.process) == pytest.approx(0.713, abs=5e-4)
    assert "spectral radius 0.726, 71.3 % of the events caused by others" in found.headline()
    assert [len(one.rows) for one in found.tables()] == [12, 2]
    assert len(found.panels()) == 2
    shown = found.to_dict()
    json.dumps(shown, allow_nan=False)
    assert np.shape(shown["count_covariance"]["1"]) == (12, 12)


def test_a_poisson_queue_has_its_first_passage():
    base = [0.0, 0.0, 1.0, 1.2, 0.3, 0.5]
    found = answer(Market.model_validate({"flow": {"base": base}, "depth": {"queues": [8, 3]}}), "feedback")
    assert found.passages[0] == (1.0, pytest.approx(16.0), pytest.approx(160.0))
    assert found.to_dict()["first_passage"][1] == {"orders": 3, "certain": 0.0, "mean": None, "variance": None}
    assert found.covariances[1] == pytest.approx(np.diag(found.rates))


def test_every_kernel_becomes_the_process_that_the_market_plays():
    whole = market(preset="hawkes_exp")
    matrix = whole.flow.excitation.tolist()
    base = whole.flow.rates.tolist()
    kernels = [
        {"kind": "exponential", "rate": 5.0},
        {"kind": "exponentials", "rates": [5.0, 0.5], "weights": [0.25, 0.75]},
        {"kind": "per_pair", "rates": (1.0 + np.arange(144).reshape(12, 12)).tolist()},
        {"kind": "power_law", "exponent": 1.7, "scale": 20.0},
    ]
    for kernel in kernels:
        process = process_of(market(base=base, matrix=matrix, kernel=kernel))
        assert process.total == pytest.approx(np.array(matrix), abs=1e-8)
        assert moments.rates(process)[0] == pytest.approx(1.341, abs=6e-4)
    pairs = process_of(market(base=base, matrix=matrix, kernel=kernels[2]))
    assert pairs.rates[0, 2, 5] == 1.0 + 2 * 12 + 5


def test_where_rates_are_cut_at_zero_there_is_a_sentence():
    assert "some events lower rates" in told(market(preset="aapl_src"))
