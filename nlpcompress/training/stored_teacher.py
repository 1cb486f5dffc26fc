"""A teacher that is a table of its answers: training needs neither its weights nor its passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers.utils import ModelOutput

ROW = "teacher_row"
STARTS = "starts"
Collate = Callable[[list[Any]], dict[str, Tensor]]


class StoredTeacher(nn.Module):
    """Answers by row of the data set, as the teacher whose `config` it has gave them.

    `answers` have one entry an example; or, with `starts` `(N + 1,)`, those of tokens lie one after
    the other, without padding, those of example i from `starts[i]` on.
    """

    def __init__(self, config: Any, answers: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.config, self.names = config, [name for name in answers if name != STARTS]
        for name, values in answers.items():
            self.register_buffer(name, values, persistent=False)

    def forward(self, teacher_row: Tensor, attention_mask: Tensor | None = None) -> ModelOutput:
        """Of rows `(B,)`, padded as `attention_mask` `(B, T)` says."""
        of_tokens = hasattr(self, STARTS)
        index = self._tokens(teacher_row, attention_mask) if of_tokens else teacher_row
        return ModelOutput({name: getattr(self, name)[index] for name in self.names})

    def _tokens(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Where the answer of each token lies `(B, T)`; some other token's at padding."""
        assert mask is not None, "answers of tokens need the attention mask"
        return self.starts[rows][:, None] + (mask.cumsum(1) - 1).clamp(min=0)


class Numbered(Dataset):
    """The examples of a data set, each with its number."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.dataset[index], ROW: index}


@dataclass(frozen=True)
class CollateNumbered:
    """Batches as `collate` makes them, with the numbers of numbered examples."""

    collate: Collate

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        plain = [{k: v for k, v in example.items() if k != ROW} for example in examples]
        numbers = [example[ROW] for example in examples if ROW in example]
        return {**self.collate(plain), **({ROW: torch.tensor(numbers)} if numbers else {})}
