"""How two features become one number, by the words of a match."""

from torch import Tensor, nn

from nlpcompress.losses import (
    attention_kl,
    attention_mse,
    attention_transfer,
    hidden_cosine,
    hidden_mse,
    relation_angle,
    relation_distance,
    value_relation_kl,
)
from nlpcompress.losses.reduction import at_least_float32
from nlpcompress.methods.distillation.match import Match
from nlpcompress.models.features import Attention

OF_ROWS = {"mse": hidden_mse, "cosine": hidden_cosine}
OF_EXAMPLES = {"relation_distance": relation_distance, "relation_angle": relation_angle}


def compare_states(own: Tensor, target: Tensor, loss: str, mask: Tensor | None) -> Tensor:
    """Token states `(B, T, D)`, feature maps `(B, C, H, W)`, or one row an example `(B, D)`."""
    if loss == "attention_transfer":
        return attention_transfer(own, target)
    if own.dim() == 4:
        own, target, mask = own.movedim(1, -1), target.movedim(1, -1), None
    counts = mask if mask is not None and mask.shape == own.shape[:-1] else None
    if loss in OF_ROWS:
        return OF_ROWS[loss](own, target, mask=counts)
    return OF_EXAMPLES[loss](_one_each(own, counts), _one_each(target, counts))


def compare_attentions(
    own: Attention,
    goal: Attention,
    match: Match,
    mask: Tensor | None,
    projection: nn.Module | None = None,
) -> Tensor:
    """Attentions of one layer each, their queries, keys or values.

    `projection` makes the student's heads as many as the teacher's.
    """
    seen = mask if mask is not None and mask.shape[-1] == own.queries.shape[-2] else None
    if match.feature != "attention":
        values = (getattr(a, match.feature).transpose(1, 2).flatten(2) for a in (own, goal))
        return value_relation_kl(*values, mask=seen, heads=own.queries.shape[1])
    if match.loss == "mse":
        scores = own.scores
        if projection is not None:
            scores = projected(scores.movedim(1, -1), projection).movedim(-1, 1)
        return attention_mse(scores, goal.scores, mask=seen)
    return attention_kl(own.biased_scores, goal.biased_scores, mask=seen)


def projected(values: Tensor, projection: nn.Module) -> Tensor:
    """By a projection, which is in float32 where the model may be in half precision."""
    return projection(at_least_float32(values))


def _one_each(rows: Tensor, mask: Tensor | None) -> Tensor:
    """Of `(B, …, D)` one row an example: the mean over the places that count."""
    rows = rows.flatten(1, -2) if rows.dim() > 2 else rows[:, None]
    if mask is None:
        return rows.mean(1)
    counts = mask.flatten(1).to(rows.dtype)[..., None]
    return (rows * counts).sum(1) / counts.sum(1).clamp(min=1)
