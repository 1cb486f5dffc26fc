"""Which stages cut, and which model a stage learns from."""

from collections.abc import Sequence

from nlpcompress.methods.table import METHODS


def cuts(method: object) -> bool:
    """Whether a method makes the model smaller."""
    return bool(METHODS.load(method).cuts)


def works_untrained(method: object) -> bool:
    """Whether a method does something to a model that nothing trains."""
    return bool(METHODS.load(method).adjusts) or cuts(method)


def quantizes(method: object) -> bool:
    """Whether a method leaves weights in codes."""
    return bool(METHODS.load(method).quantizes)


def renumbers(method: object) -> bool:
    """Whether tokens have other ids after a method."""
    return bool(METHODS.load(method).renumbers)


def first_cut(methods: Sequence[object], before: int) -> int | None:
    """The first stage in front of stage `before` that cuts; None when none does.

    >>> first_cut(["fine_tune", "head_importance", "logits"], 2)
    1
    """
    return next((i for i, name in enumerate(methods[:before]) if cuts(name)), None)
