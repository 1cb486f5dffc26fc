import pytest

from nlpcompress.core.registry import Registry
from nlpcompress.errors import UnknownNameError


def table():
    return Registry(
        "thing", {"plan": "nlpcompress.core.plan:Plan", "lost": "nlpcompress.nowhere:Lost"}
    )


def test_a_lookup_imports_only_what_was_asked_for():
    from nlpcompress.core.plan import Plan

    assert table().load("plan") is Plan
    with pytest.raises(ModuleNotFoundError):
        table().load("lost")


def test_an_unknown_name_comes_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown thing 'paln'; did you mean 'plan'\?"):
        table().load("paln")


def test_entries_are_added_but_never_replaced():
    things = table()
    things.add("mine", "json:loads")
    assert things.load("mine")("[1]") == [1]
    assert list(things) == ["plan", "lost", "mine"]
    with pytest.raises(UnknownNameError, match="exists already"):
        things.add("plan", "json:loads")
    with pytest.raises(UnknownNameError, match=r"package\.module:attribute"):
        things.add("other", "json")
