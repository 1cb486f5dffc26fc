"""How many answers a batch has: what the losses of answers are means over."""

from collections.abc import Mapping
from functools import cached_property

from torch import Tensor, nn

from nlpcompress.core import counts
from nlpcompress.models.stored_teacher import STARTS, StoredTeacher
from nlpcompress.scoring import example_outputs

LOGITS = "logits"


class AnswerCount:
    """Counts the answers to a batch that `answer_loss` takes, a scalar tensor.

    Labels tell whether there is one a token; where there are none the answers of `model` to
    `example` do, which is run when the first such batch comes.
    """

    def __init__(
        self,
        model: nn.Module | None,
        example: Mapping[str, Tensor],
        *,
        all_tokens: bool = False,
    ) -> None:
        self._model, self._example = model, example
        self._labelled = counts.answered_tokens if all_tokens else counts.labels

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """As `Objective.count`."""
        if "labels" in batch or not self._of_tokens:
            return self._labelled(batch)
        return counts.tokens(batch)

    @cached_property
    def _of_tokens(self) -> bool:
        assert self._model is not None, "answers are counted of a model that gives some"
        if isinstance(self._model, StoredTeacher):
            return hasattr(self._model, STARTS) and LOGITS in self._model.names
        outputs = example_outputs(self._model, self._example)
        return LOGITS in outputs and outputs[LOGITS].dim() > 2
