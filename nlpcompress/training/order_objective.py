"""The loss of a model for pretraining in its two parts, each a mean over its own count."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cross_entropy

from nlpcompress.core import counts
from nlpcompress.core.method import Objective, Step
from nlpcompress.models.pretraining import ORDER_LABELS, order_logits
from nlpcompress.training.objectives import TASK

ORDER = "order"


def split_order(
    objectives: Sequence[Objective], label_names: Sequence[str]
) -> tuple[Objective, ...]:
    """The same objectives, but the task's in two where the model also learns the order of pairs.

    Such a model's loss is the mean over masked tokens plus the mean over pairs. Micro-batches have
    as many pairs and other numbers of masked tokens, so that one weight for the sum is wrong for
    one of both. `task` is what is left for the tokens, `order` the pairs' part, with its weight.
    """
    label = next((name for name in label_names if name in ORDER_LABELS.values()), None)
    if label is None:
        return tuple(objectives)
    return tuple(
        part
        for objective in objectives
        for part in (_parts(objective, label) if objective.name == TASK else (objective,))
    )


def _parts(task: Objective, label: str) -> tuple[Objective, Objective]:
    def order(step: Step) -> Tensor:
        """Cross-entropy in nats, the mean over the batch's pairs."""
        logits = order_logits(step.outputs)
        assert logits is not None, "a model that takes the label of a pair has a head for it"
        return cross_entropy(logits.float(), step.inputs[label].view(-1))

    def tokens(step: Step) -> Tensor:
        return task.loss(step) - order(step)

    return (
        Objective(TASK, task.weight, tokens, count=counts.labels),
        Objective(ORDER, task.weight, order, count=counts.examples),
    )
