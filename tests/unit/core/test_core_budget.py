import pytest

from nlpcompress.core.budget import Budget
from nlpcompress.errors import ConfigError


def test_margins_are_bound_minus_cost_and_a_bound_that_is_met_exactly_holds():
    budget = Budget(parameters=100, latency_ms=2.5)
    assert budget.margins({"parameters": 110, "latency_ms": 2.0, "macs": 1}) == {
        "parameters": -10,
        "latency_ms": 0.5,
    }
    assert budget.allows({"parameters": 100, "latency_ms": 2.5})
    assert not budget.allows({"parameters": 101, "latency_ms": 2.5})
    assert Budget().allows({})
    assert Budget(metric_drop=0.01).allows({"metric_drop": 0.9 - 0.89})  # 0.01 and a rounding
    assert not Budget(metric_drop=0.01).allows({"metric_drop": 0.0100001})


def test_misses_are_shares_of_their_bounds():
    budget = Budget(parameters=100, metric_drop=0.0, latency_ms=2.0)
    costs = {"parameters": 150, "metric_drop": 0.25, "latency_ms": 1.0}
    assert budget.misses(costs) == {"parameters": 0.5, "metric_drop": 0.25, "latency_ms": 0.0}


def test_a_bounded_cost_that_was_not_measured_is_an_error():
    with pytest.raises(ConfigError, match="bounds latency_ms, which was not measured; have: macs"):
        Budget(latency_ms=1.0).margins({"macs": 3})
