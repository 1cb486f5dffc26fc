"""Distillation for people who import: a CompressionTrainer with the method `logits`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import preset_method
from nlpcompress.training.trainer import CompressionTrainer


class DistillationTrainer(CompressionTrainer):
    """Train a student on the teacher's soft targets and the labels.

        trainer = DistillationTrainer(
            student, args, train_dataset=data, teacher=teacher, config={"temperature": 4.0}
        )
        trainer.train()

    `config` is the method's, see `nlpcompress show logits`.
    """

    def __init__(
        self,
        *args: Any,
        teacher: nn.Module,
        config: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = [preset_method("logits", config)]
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
