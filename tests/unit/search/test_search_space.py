"""Knobs, conditions between them, and what they set."""

import pytest
from pydantic import TypeAdapter

from nlpcompress.core.config import Config
from nlpcompress.errors import ConfigError
from nlpcompress.search.space import (
    Categorical,
    Integer,
    Real,
    Space,
    check_space,
    point_of,
    settings,
    suggest,
)


def space(**knobs):
    return TypeAdapter(Space).validate_python(knobs)


class Said:
    """A trial that takes the first choice and the upper end, and notes what it was asked."""

    def __init__(self, **values):
        self.values, self.asked = values, []

    def suggest_categorical(self, name, choices):
        self.asked.append((name, choices))
        return self.values.get(name, choices[0])

    def suggest_int(self, name, low, high, *, step, log):
        self.asked.append((name, low, high, step, log))
        return high

    def suggest_float(self, name, low, high, *, step, log):
        self.asked.append((name, low, high, step, log))
        return high


def test_a_knob_is_of_the_kind_that_its_numbers_say():
    kinds = space(
        a={"choices": [1, "x", None]},
        b={"low": 1, "high": 4},
        c={"low": 0.1, "high": 1},
        d={"low": 1, "high": 4, "step": 0.5},
    )
    assert [type(knob) for knob in kinds.values()] == [Categorical, Integer, Real, Real]


def test_a_knob_counts_where_those_before_it_have_the_values_it_names():
    found = space(
        method={"choices": ["heads", "gates"]},
        rounds={"low": 1, "high": 4, "when": {"method": ["heads"]}},
        rate={"low": 0.001, "high": 0.1, "log": True, "when": {"rounds": [4]}},
    )
    assert suggest(found, Said()) == {"method": "heads", "rounds": 4, "rate": 0.1}
    other = Said(method="gates")
    assert suggest(found, other) == {"method": "gates"}
    assert other.asked == [("method", ("heads", "gates"))]


def test_a_knob_sets_its_paths():
    found = space(keep={"low": 0.1, "high": 1.0, "paths": ["a.keep", "b.keep"]}, c={"choices": [1]})
    assert settings(found, {"keep": 0.5, "c": 1}) == {"a.keep": 0.5, "b.keep": 0.5, "c": 1}


@pytest.mark.parametrize(
    ("knobs", "text"),
    [
        ({"a": {"low": 1, "high": 2, "when": {"b": [1]}}, "b": {"choices": [1]}}, "a.when: no kno"),
        (
            {"b": {"choices": [1, 2]}, "a": {"choices": [1], "when": {"b": [3]}}},
            r"a.when.b: 3 is none of its choices \(1, 2\)",
        ),
        ({"a": {"choices": [1]}, "b": {"choices": [1], "paths": ["a"]}}, "b sets a, which a sets"),
    ],
)
def test_knobs_that_do_not_fit_each_other_are_refused(knobs, text):
    with pytest.raises(ConfigError, match=text):
        check_space(space(**knobs))


class Holder(Config):
    space: Space


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ({"low": 2, "high": 2}, "low is 2 and high is 2; high must be greater"),
        ({"low": 0.0, "high": 1.0, "log": True}, "with log it must be greater than 0"),
        ({"low": 1, "high": 9, "step": 2, "log": True}, "log and step are given"),
        ({"choices": []}, "should have at least 1 item"),
        ({"low": 1}, "space.a.*high"),
        ({"low": 1, "high": 2, "stp": 1}, "stp"),
    ],
)
def test_a_knob_that_is_no_range_is_refused(knob, text):
    with pytest.raises(ConfigError, match=text):
        Holder.parse({"space": {"a": knob}})


@pytest.mark.parametrize(
    ("knob", "inside", "outside"),
    [
        ({"choices": [1, "a", None]}, [1, "a", None], [True, 1.0, "b"]),
        ({"choices": [True]}, [True], [1]),
        ({"low": 2, "high": 9, "step": 3}, [2, 5, 8], [1, 3, 9, 11, 5.0, True, "5", None]),
        ({"low": 0.1, "high": 1.0}, [0.1, 0.55, 1], [0.0, 1.1, True, "0.5", [0.5]]),
        ({"low": 0.1, "high": 1.0, "step": 0.3}, [0.1, 0.4, 0.7, 1.0], [0.2, 0.5]),
    ],
)
def test_a_knob_knows_its_values(knob, inside, outside):
    (own,) = space(x=knob).values()
    assert all(map(own.has, inside))
    assert not any(map(own.has, outside))


def test_values_are_a_point_where_each_knob_that_counts_has_one():
    knobs = space(
        method={"choices": ["a", "b"], "paths": ["stages.0.method"]},
        rate={"low": 0.1, "high": 0.9, "paths": ["one", "two"]},
        alpha={"low": 0.1, "high": 0.9, "when": {"method": ["b"]}},
    )
    values = {"stages.0.method": "a", "one": 0.5, "two": 0.5}
    assert point_of(knobs, values) == {"method": "a", "rate": 0.5}
    assert point_of(knobs, values | {"stages.0.method": "b"}) is None, "alpha has no value"
    whole = values | {"stages.0.method": "b", "alpha": 0.2}
    assert point_of(knobs, whole) == {"method": "b", "rate": 0.5, "alpha": 0.2}
    assert point_of(knobs, values | {"two": 0.6}) is None, "they are not set alike"
    assert point_of(knobs, values | {"one": 0.95, "two": 0.95}) is None
