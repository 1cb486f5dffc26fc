"""Which logits and labels a metric is about, where a model for pretraining has two of each.

All other models have one: their predictions and labels are arrays, and pass through as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nlpcompress.errors import DataError

TOKENS, ORDER = "tokens", "order"
Answers = np.ndarray | Mapping[str, np.ndarray]
"""One head's, or under `tokens` and `order` those of both."""

HEADS = {
    "masked_accuracy": TOKENS,
    "masked_loss": TOKENS,
    "perplexity": TOKENS,
    "order_accuracy": ORDER,
}


def of_head(metric: str, answers: Answers) -> np.ndarray:
    """What that metric is about. Raises `DataError` when it is of neither head.

    >>> of_head("order_accuracy", {"tokens": np.zeros((1, 8, 30)), "order": np.ones((1, 2))})
    array([[1., 1.]])
    """
    if not isinstance(answers, Mapping):
        return answers
    if metric not in HEADS:
        raise DataError(
            f"a model for pretraining has two heads, and the metric '{metric}' is of neither; "
            f"choose some of: {', '.join(HEADS)}"
        )
    return answers[HEADS[metric]]


def both(values: Any) -> dict[str, Any]:
    """Of a Trainer's tuple, with the heads in the order in which a forward has them."""
    tokens, order, *_ = values
    return {TOKENS: tokens, ORDER: order}
