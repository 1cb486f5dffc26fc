"""Which axes of a model are elastic: those whose first positions make a smaller network."""

from collections.abc import Sequence

from nlpcompress.axes import Axes, Axis
from nlpcompress.errors import PlanError
from nlpcompress.methods.pruning.layer_axes import channels_to_cut, heads_to_cut, neurons_to_cut

FINDERS = {"heads": heads_to_cut, "neurons": neurons_to_cut, "channels": channels_to_cut}
"""Kind → its axes. Channels are of models without heads: there neurons are not named twice."""


def elastic_axes(axes: Axes, kinds: Sequence[str]) -> dict[str, tuple[Axis, ...]]:
    """Kind → its axes, in graph order. Raises `PlanError` for a kind that the model has not."""
    own = kinds_of(axes)
    for kind in kinds:
        if kind not in own:
            raise PlanError(f"this model has no {kind} to take the first of, but {', '.join(own)}")
    return {kind: FINDERS[kind](axes) for kind in kinds}


def kinds_of(axes: Axes) -> tuple[str, ...]:
    """Heads and neurons of transformers, channels of others."""
    found = []
    for kind in ("heads", "neurons"):
        try:
            FINDERS[kind](axes)
        except PlanError:
            continue
        found.append(kind)
    return tuple(found) if "heads" in found else ("channels",)


def count_of(share: float, size: int, round_to: int = 1) -> int:
    """How many of `size` positions a share is: the nearest multiple of `round_to`, one at least.

    >>> [count_of(share, 12) for share in (0.01, 0.25, 0.5, 1.0)]
    [1, 3, 6, 12]
    >>> count_of(0.3, 1536, round_to=8)
    464
    """
    step = min(round_to, size)
    return min(size, max(step, int(share * size / step + 0.5) * step))
