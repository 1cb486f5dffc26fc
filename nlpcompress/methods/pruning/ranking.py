"""Which positions to keep, from the scores of several axes: one global ranking with floors."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from nlpcompress.core.edits import Keep
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError

Scores = Mapping[str, Sequence[float]]
Kept = dict[str, tuple[int, ...]]


class Block(NamedTuple):
    """Positions of one axis that stay or go together; the smallest block stays first."""

    loss: float
    rank: int
    order: int
    axis: str
    positions: tuple[int, ...]


def keep_best(
    scores: Scores, *, keep: float, min_keep: int | Mapping[str, int] = 1, round_to: int = 1
) -> Kept:
    """Axis name → ascending positions to keep, `keep` of all positions of all axes together.

    Each axis first keeps its best `min_keep` positions (its own number, if it is a mapping; rounded
    up to `round_to`), then the best
    blocks of `round_to` positions of any axis follow, while they fit into the share. The count
    is rounded to the nearest, half up; floors win over the share. An axis that is kept whole keeps
    its size, even if it is no multiple of `round_to`. Equal scores: the better placed in its own
    axis first, then the earlier axis; within an axis the lower index. Raises `PlanError` for scores
    that are no numbers.

    >>> keep_best({"a": [3.0, 1.0, 2.0], "b": [0.3, 0.1, 0.2]}, keep=0.5)
    {'a': (0, 2), 'b': (0,)}
    """
    _check(scores)
    blocks = [b for i, name in enumerate(scores) for b in _blocks(scores, name, i, round_to)]
    counts = dict.fromkeys(scores, min_keep) if isinstance(min_keep, int) else min_keep
    floors = {name: math.ceil(counts[name] / round_to) for name in scores}
    chosen = [block for block in blocks if block.rank < floors[block.axis]]
    room = _count(scores, keep) - sum(len(block.positions) for block in chosen)
    for block in sorted(b for b in blocks if b.rank >= floors[b.axis]):
        room -= len(block.positions)
        if room < 0:
            break
        chosen.append(block)
    return {
        name: tuple(sorted(p for block in chosen if block.axis == name for p in block.positions))
        for name in scores
    }


def keep_plan(scores: Scores, kept: Kept) -> Plan:
    """One `keep` edit for each axis that loses positions."""
    return Plan(
        tuple(
            Keep(axis=name, indices=positions)
            for name, positions in kept.items()
            if len(positions) < len(scores[name])
        )
    )


def _count(scores: Scores, keep: float) -> int:
    return math.floor(keep * sum(len(values) for values in scores.values()) + 0.5)


def _blocks(scores: Scores, name: str, order: int, round_to: int) -> list[Block]:
    """The axis in blocks of `round_to`, best first; only the last may be smaller."""
    values = [float(value) for value in scores[name]]
    ranked = sorted(range(len(values)), key=lambda position: (-values[position], position))
    starts = range(0, len(ranked), round_to)
    groups = [tuple(ranked[start : start + round_to]) for start in starts]
    losses = (-math.fsum(values[p] for p in group) / len(group) for group in groups)
    # `accumulate`: rounding of a mean must never put a block before a better one of its axis.
    ordered = zip(accumulate(losses, max), groups, strict=True)
    return [Block(loss, rank, order, name, group) for rank, (loss, group) in enumerate(ordered)]


def _check(scores: Scores) -> None:
    for name, values in scores.items():
        wrong = [position for position, value in enumerate(values) if not math.isfinite(value)]
        if wrong:
            raise PlanError(
                f"the score of position {wrong[0]} of axis '{name}' is {float(values[wrong[0]])}, "
                "not a number to rank by; does the model's loss overflow on these batches?"
            )
