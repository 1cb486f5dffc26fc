"""Taylor scores that are found once, however many recipes and trials of a search ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nlpcompress.core.method import Context
from nlpcompress.scoring.examples import first_examples
from nlpcompress.scoring.stored import Numbers, numbers_key, stored_numbers
from nlpcompress.scoring.taylor import taylor_scores

if TYPE_CHECKING:
    from nlpcompress.axes import Axis


def stored_taylor_scores(
    model: nn.Module, axes: Sequence[Axis], ctx: Context, *, num_samples: int | None, **how: Any
) -> Numbers:
    """As `taylor_scores` has them of the context's first examples; found once where it has a cache.

    Axis name → a number a position. `how` are the options of `taylor_scores`; raises as that does.
    """
    sizes = {axis.name: axis.size for axis in axes}

    def examples() -> Iterator[Mapping[str, Tensor]]:
        return first_examples(ctx.batches(), num_samples)

    def compute() -> Numbers:
        scores = taylor_scores(model, axes, examples(), **how)
        return {name: score.tolist() for name, score in scores.items()}

    def key() -> str:
        return numbers_key(model, examples(), ["taylor", sizes, how])

    return stored_numbers(ctx.cache, key, sizes, compute)
