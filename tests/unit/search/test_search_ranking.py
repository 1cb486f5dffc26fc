import math

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.search import by_ranking, reversed_ranks

SENSITIVITY = {"a": 4.0, "b": 1.0, "c": 3.0, "d": -2.0}


def test_the_less_sensitive_half_gets_fewer_bits_and_reversed_the_other_half():
    assert by_ranking(SENSITIVITY, 2, 3) == {"a": 3, "b": 2, "c": 3, "d": 2}
    assert by_ranking(SENSITIVITY, 2, 3, reverse=True) == {"a": 2, "b": 3, "c": 2, "d": 3}


def test_the_share_is_of_the_count_and_the_reverse_has_as_many_of_each_width():
    assert by_ranking(SENSITIVITY, 2, 4, share_low=0.25) == {"a": 4, "b": 4, "c": 4, "d": 2}
    assert by_ranking(SENSITIVITY, 2, 4, share_low=0.25, reverse=True) == {
        "a": 2,
        "b": 4,
        "c": 4,
        "d": 4,
    }


def test_half_an_item_is_rounded_up():
    assert by_ranking({"a": 1.0, "b": 2.0, "c": 3.0}, 2, 3) == {"a": 2, "b": 2, "c": 3}
    assert by_ranking(dict.fromkeys("abcde", 1.0), 2, 3) == {"a": 2, "b": 2, "c": 2, "d": 3, "e": 3}


def test_equal_sensitivities_rank_by_name_whatever_their_order():
    assert by_ranking({"b": 1.0, "a": 1.0}, 2, 3) == {"a": 2, "b": 3}
    assert by_ranking({"b": 1.0, "a": 1.0}, 2, 3, reverse=True) == {"a": 3, "b": 2}
    assert reversed_ranks({"b": 1.0, "c": 5.0, "a": 1.0}) == {"a": 5.0, "b": 1.0, "c": 1.0}


def test_reversed_ranks_give_the_greatest_item_the_least_value_and_back():
    reversed_once = reversed_ranks(SENSITIVITY)
    assert reversed_once == {"a": -2.0, "b": 3.0, "c": 1.0, "d": 4.0}
    assert list(reversed_once) == list(SENSITIVITY)
    assert reversed_ranks(reversed_once) == SENSITIVITY


@pytest.mark.parametrize("low, high", [(4, 4), (8, 4)])
def test_low_must_be_below_high(low, high):
    with pytest.raises(ConfigError, match=f"low is {low} bits and high is {high}"):
        by_ranking(SENSITIVITY, low, high)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, math.nan])
def test_a_share_outside_0_to_1_is_an_error(share):
    with pytest.raises(ConfigError, match=f"share_low is {share}; it must lie between"):
        by_ranking(SENSITIVITY, 2, 3, share_low=share)


@pytest.mark.parametrize("rank", [lambda s: by_ranking(s, 2, 3), reversed_ranks])
def test_nothing_to_rank_and_no_number_to_rank_by_are_errors(rank):
    with pytest.raises(ConfigError, match="there are no sensitivities"):
        rank({})
    with pytest.raises(ConfigError, match="sensitivity of 'b' is nan, not a number to rank by"):
        rank({"a": 1.0, "b": math.nan})
