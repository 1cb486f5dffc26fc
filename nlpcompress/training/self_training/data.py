"""Labelled and pseudo-labelled examples as one training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from nlpcompress.errors import DataError
from nlpcompress.training.self_training.pseudo_labels import Collate
from nlpcompress.training.self_training.selection import Selection

NEVER = -1e4
"""A logit of a class that is not the label: e^-10000 is 0 in float32, and 0 · -10000 is 0."""


@dataclass(frozen=True)
class SelfTrainingData:
    """Rows with `labels`, rows whose labels nobody looks at, and how both become batches.

    The tokenizer tells, for texts, which tokens noise may not touch.
    """

    labelled: Sequence[Any]
    unlabelled: Sequence[Any]
    collate: Collate
    tokenizer: Any = None

    def __post_init__(self) -> None:
        """Raises `DataError` for nothing labelled."""
        if not len(self.labelled) or "labels" not in self.labelled[0]:
            seen = ", ".join(self.labelled[0]) if len(self.labelled) else "no rows at all"
            raise DataError(f"labelled rows need 'labels', but have {seen}")


class PseudoLabelled(Dataset):
    """The labelled rows `repeats` times, then the selected ones, with the teacher's `labels`."""

    def __init__(self, data: SelfTrainingData, selection: Selection, *, repeats: int = 1) -> None:
        self.labelled, self.unlabelled = data.labelled, data.unlabelled
        self.selection, self.repeats = selection, repeats
        self.kind = data.labelled[0]["labels"]

    def __len__(self) -> int:
        return len(self.labelled) * self.repeats + len(self.selection.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = index - len(self.labelled) * self.repeats
        if place < 0:
            return dict(self.labelled[index % len(self.labelled)])
        example = self.unlabelled[int(self.selection.rows[place])]
        return {**example, "labels": self._label(int(self.selection.labels[place]))}

    def targets(self, logits: Tensor) -> Tensor:
        """Log-probabilities `(len, C)` to learn: labels as they are, the teacher's `logits`."""
        labels = torch.tensor([int(self.labelled[i]["labels"]) for i in range(len(self.labelled))])
        true = (1 - F.one_hot(labels, logits.shape[1]).float()) * NEVER
        chosen = logits[torch.from_numpy(self.selection.rows)].log_softmax(-1)
        return torch.cat([true.repeat(self.repeats, 1), chosen])

    def _label(self, number: int) -> Any:
        """As the labels of labelled rows are, which batches are made of as well."""
        return torch.tensor(number).to(self.kind) if isinstance(self.kind, Tensor) else number


def repeats_for(labelled: int, selected: int, ratio: float | None) -> int:
    """How often labelled rows come in an epoch, for `ratio` selected ones to one of them."""
    return 1 if ratio is None else max(1, round(selected / (ratio * labelled)))
