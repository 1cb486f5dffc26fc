"""Movement pruning for people who import: a CompressionTrainer with the method `movement`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import taught
from nlpcompress.training.trainer import CompressionTrainer


class MovementPruningTrainer(CompressionTrainer):
    """Prune while training with `train()`; `compress()` then cuts what is empty.

        trainer = MovementPruningTrainer(
            model, args, train_dataset=data, config={"final_threshold": 0.15}, teacher=teacher
        )
        trainer.train()
        model = trainer.compress()

    `config` is the method's, see `nlpcompress show movement`. With a `teacher` the model learns
    from its soft targets too, weighed by `distillation`, the config of `logits`.
    """

    def __init__(
        self,
        *args: Any,
        config: Config | Mapping[str, Any] | None = None,
        teacher: nn.Module | None = None,
        distillation: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = taught("movement", config, teacher, distillation)
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
