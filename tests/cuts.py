"""Plans that cut every free axis of a model unevenly: what no stock config can say."""

import random

from nlpcompress.axes import Axes
from nlpcompress.core.edits import Keep
from nlpcompress.core.plan import Plan

KINDS = ("heads", "kv_heads", "neurons", "channels")


def uneven_plan(axes: Axes) -> Plan:
    """A keep for each free axis of several positions; the first loses one, the next two…"""
    axes_to_cut = [a for a in axes.free() if a.kind in KINDS and a.size > 1]
    return Plan(tuple(_keep(axis.name, axis.size, i) for i, axis in enumerate(axes_to_cut)))


def _keep(name: str, size: int, number: int) -> Keep:
    kept = size - 1 - number % (size // 2)
    indices = random.Random(number).sample(range(size), kept)
    return Keep(axis=name, indices=tuple(sorted(indices)))
