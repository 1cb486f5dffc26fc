"""DistilBERT's training for people who import: a CompressionTrainer with `triple_loss`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import preset_method
from nlpcompress.training.trainer import CompressionTrainer


class TripleLossTrainer(CompressionTrainer):
    """Train a student on soft targets, its task, and the teacher's last hidden states.

        student = nlpcompress.apply_plan(
            copy.deepcopy(teacher), [{"op": "keep_layers", "layers": [0, 2, 4]}]
        )
        trainer = TripleLossTrainer(student, args, train_dataset=data, teacher=teacher)
        trainer.train()

    `config` is the method's, see `nlpcompress show triple_loss`. The task is whatever the models'
    head is for: masked language modelling, with a collator that masks, or classes.
    """

    def __init__(
        self,
        *args: Any,
        teacher: nn.Module,
        config: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = [preset_method("triple_loss", config)]
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
