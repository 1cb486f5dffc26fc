"""A cheap trial goes on while it may become better than the best whole one."""

import pytest

from nlpcompress.core.budget import Budget
from nlpcompress.search.promise import Promise

FASTEST = Promise(Budget(metric_drop=0.01), "latency_ms")


def costs(drop, milliseconds):
    return {"metric_drop": drop, "latency_ms": milliseconds}


WHOLE = [[costs(0.05, 5.0), costs(0.02, 5.0), costs(0.008, 5.0)]]
"""It gained .042 from its first run on and kept .16 of it; .012 and .4 from its second."""


def test_the_first_goes_on():
    assert FASTEST([], [costs(0.9, 1.0)])


@pytest.mark.parametrize(
    ("way", "goes_on"),
    [
        ([costs(0.05, 4.0)], True),
        ([costs(0.05, 6.0)], False),  # slower than what holds
        ([costs(0.06, 4.0)], True),  # is further off, and has further to go
        ([costs(0.065, 4.0)], False),  # would break the bound
        ([costs(0.05, 4.0), costs(0.021, 4.0)], True),
        ([costs(0.05, 4.0), costs(0.026, 4.0)], False),  # has not gained as much
    ],
)
def test_a_forecast_must_be_faster_and_hold_what_the_best_holds(way, goes_on):
    assert FASTEST(WHOLE, way) is goes_on


def test_where_nothing_holds_what_breaks_less_goes_on_even_if_it_is_slower():
    broken = [[costs(0.08, 5.0), costs(0.05, 5.0)]]
    assert FASTEST(broken, [costs(0.07, 9.0)])
    assert not FASTEST(broken, [costs(0.09, 1.0)])


def test_a_forecast_is_by_the_largest_gain_or_by_the_share_that_is_left():
    whole = [*WHOLE, [costs(0.04, 5.0), costs(0.02, 5.0), costs(0.015, 5.5)]]
    assert FASTEST.forecast(whole, [costs(0.045, 3.0)]) == pytest.approx(costs(0.003, 3.0))
    assert FASTEST.forecast(whole, [costs(0.18, 3.0)]) == pytest.approx(costs(0.046, 3.0))


def test_what_is_better_than_before_in_the_end_leaves_no_share():
    whole = [[costs(0.05, 5.0), costs(-0.001, 5.0)]]
    assert FASTEST.forecast(whole, [costs(0.06, 5.0)]) == pytest.approx(costs(0.009, 5.0))
    assert FASTEST.forecast(WHOLE, [costs(-0.01, 5.0)]) == pytest.approx(costs(-0.052, 5.0))
