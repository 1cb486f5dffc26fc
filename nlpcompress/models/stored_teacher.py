"""A teacher that is a table of its answers: training needs neither its weights nor its passes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers.utils import ModelOutput

from nlpcompress.models.feature_table import FeatureTable
from nlpcompress.models.layers import layers_of
from nlpcompress.models.stored_features import StoredFeatures

ROW = "teacher_row"
FEATURES = "teacher_features"
STARTS = "starts"


class StoredTeacher(nn.Module):
    """Answers by row of the data set, as the teacher whose `config` it has gave them.

    `answers` have one entry an example; or, with `starts` `(N + 1,)`, those of tokens lie one after
    the other, without padding, those of example i from `starts[i]` on. Features come with the
    batches, from `table`; `depth` is the number of the teacher's layers, if it is one stack.
    """

    def __init__(
        self,
        config: Any,
        answers: Mapping[str, Tensor],
        *,
        table: FeatureTable | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        self.config, self.names = config, [name for name in answers if name != STARTS]
        self.table, self.depth = table, depth
        self.features = StoredFeatures({}, {}) if table is None else table.sample()
        for name, values in answers.items():
            self.register_buffer(name, values, persistent=False)

    def forward(
        self,
        teacher_row: Tensor,
        attention_mask: Tensor | None = None,
        teacher_features: Mapping[str, Tensor] | None = None,
    ) -> ModelOutput:
        """Of rows `(B,)`, padded as `attention_mask` `(B, T)` says."""
        self.features.last = teacher_features or {}
        of_tokens = hasattr(self, STARTS)
        index = self._tokens(teacher_row, attention_mask) if of_tokens else teacher_row
        return ModelOutput({name: getattr(self, name)[index] for name in self.names})

    def _tokens(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Where the answer of each token lies `(B, T)`; some other token's at padding."""
        assert mask is not None, "answers of tokens need the attention mask"
        return self.starts[rows][:, None] + (mask.cumsum(1) - 1).clamp(min=0)


def depth_of(model: nn.Module) -> int:
    """How many layers a model has, or the one whose answers were stored. Raises `PlanError`."""
    if isinstance(model, StoredTeacher) and model.depth is not None:
        return model.depth
    return len(layers_of(model)[1])
