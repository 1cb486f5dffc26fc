"""What a clean teacher answers to examples that nobody labelled."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nlpcompress.errors import ConfigError, DataError
from nlpcompress.models.inputs import accepts
from nlpcompress.scoring import no_trace

Collate = Callable[[list[Any]], dict[str, Tensor]]


@torch.no_grad()
def pseudo_labels(
    teacher: nn.Module,
    dataset: Sequence[Any],
    collate: Collate,
    *,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The teacher's logits `(N, C)` of all examples in their order, float32 on the CPU.

    The teacher is in eval mode meanwhile, and stays on `device`; labels of the examples are not
    looked at. Raises `ConfigError` when it does not choose one of several classes an example,
    `DataError` when there are no examples.
    """
    if not len(dataset):
        raise DataError("the unlabelled data set is empty: there is nothing to label")
    _check_task(teacher)
    apart = torch.Generator()  # a data loader draws a seed even when it does not shuffle
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collate, generator=apart)
    teacher.to(device)
    with no_trace(teacher):
        found = [_logits(teacher, batch, device) for batch in loader]
    return torch.cat(found)


def _logits(teacher: nn.Module, batch: dict[str, Tensor], device: torch.device | str) -> Tensor:
    known = {k: v.to(device) for k, v in batch.items() if k != "labels" and accepts(teacher, k)}
    output = teacher(**known)
    if "logits" not in output or output["logits"].dim() != 2 or output["logits"].shape[1] < 2:
        seen = tuple(output["logits"].shape) if "logits" in output else "none"
        raise ConfigError(
            "pseudo-labels are one of several classes an example, logits (B, C) with C > 1; "
            f"{type(teacher).__name__} answers with {seen}: use a classifier"
        )
    return output["logits"].float().cpu()


def _check_task(teacher: nn.Module) -> None:
    problem = getattr(getattr(teacher, "config", None), "problem_type", None)
    if problem not in (None, "single_label_classification"):
        raise ConfigError(
            f"pseudo-labels are one of several classes an example, and the teacher is made for "
            f"{problem}; use a teacher of a single_label_classification"
        )
