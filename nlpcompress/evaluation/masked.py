"""Metrics of masked tokens: logits `(…, V)` against token ids `(…)`, -100 where none was masked.

The mean is over the masked tokens of all batches, not over batches.
"""

import numpy as np
from scipy.special import logsumexp

from nlpcompress.core.counts import IGNORED
from nlpcompress.errors import DataError
from nlpcompress.evaluation.inputs import check_classes, predicted_classes
from nlpcompress.evaluation.tally import TokenMean


def _right(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the largest logit is the masked token's: bool `(n,)`."""
    logits, ids = _masked(predictions, labels)
    return predicted_classes(logits, ids) == ids if len(ids) else ids


def _cross_entropy(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log p(masked token) in nats: float64 `(n,)`."""
    logits, ids = _masked(predictions, labels)
    if len(ids) == 0:
        return ids
    check_classes(logits, ids)
    logits = logits.astype(np.float64)
    return logsumexp(logits, axis=1) - logits[np.arange(len(ids)), ids]


def _masked(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits `(n, V)` and ids `(n,)` of the masked tokens."""
    if len(predictions) != len(labels):
        raise DataError(
            f"{len(predictions)} predictions for {len(labels)} labels; they must match row by row"
        )
    if predictions.shape[:-1] != labels.shape:
        raise DataError(
            "a metric of masked tokens needs logits (B, T, V) and labels (B, T), got "
            f"{predictions.shape} and {labels.shape}; use it for the task masked-lm"
        )
    masked = labels != IGNORED
    return predictions[masked], labels[masked]


masked_accuracy = TokenMean(_right)
"""Share of the masked tokens whose largest logit is theirs."""

masked_loss = TokenMean(_cross_entropy)
"""Mean cross-entropy of the masked tokens, in nats."""

perplexity = TokenMean(_cross_entropy, lambda mean: float(np.exp(mean)))
"""exp of `masked_loss`: as unsure as between so many tokens. It is no perplexity of texts."""
