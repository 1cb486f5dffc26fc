"""Models with two heads, for pretraining: masked tokens, and the order of two segments.

Source: Lan et al. 2020 (ALBERT), section 3.1; transformers' AutoModelForPreTraining.
Differs: a BERT's head of next sentences learns order as well: 0 is in order, 1 is swapped, where
Devlin et al. 2019 have a segment of another document.
"""

from typing import Any

from torch import Tensor

from nlpcompress.errors import ConfigError

PRETRAINING = "pretraining"
ORDER_LABELS = {"albert": "sentence_order_label", "bert": "next_sentence_label"}
"""By model type: what its `forward` calls the label of a pair."""


def order_label(model_type: str) -> str:
    """What a batch calls the label of a pair. Raises `ConfigError` for a model without that head.

    >>> order_label("albert")
    'sentence_order_label'
    """
    if model_type not in ORDER_LABELS:
        raise ConfigError(
            f"the task {PRETRAINING} needs heads for masked tokens and for the order of segments, "
            f"which {' and '.join(ORDER_LABELS)} have, not {model_type}; use the task masked-lm or "
            "sentence-order"
        )
    return ORDER_LABELS[model_type]


def token_logits(outputs: Any) -> Tensor:
    """Logits of tokens `(B, T, V)`, of a model with any heads."""
    logits = getattr(outputs, "logits", None)
    return outputs.prediction_logits if logits is None else logits


def order_logits(outputs: Any) -> Tensor | None:
    """Logits of pairs `(B, 2)`; None of a model without that head."""
    logits = getattr(outputs, "sop_logits", None)
    return getattr(outputs, "seq_relationship_logits", None) if logits is None else logits
