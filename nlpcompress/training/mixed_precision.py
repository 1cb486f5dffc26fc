"""Q-BERT for people who import: a CompressionTrainer with the method `hessian_mixed`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import taught
from nlpcompress.training.trainer import CompressionTrainer


class MixedPrecisionTrainer(CompressionTrainer):
    """Let weights learn to be coarse with `train()`; `compress()` then stores them in few bits.

        trainer = MixedPrecisionTrainer(
            model, args, train_dataset=data, config={"bits": [2, 3]}, teacher=teacher
        )
        trainer.train()
        model = trainer.compress()

    `config` is the method's, see `nlpcompress show hessian_mixed`. Without `train()` the weights
    are rounded as they are. With a `teacher` the model learns from its soft targets too, weighed by
    `distillation`, the config of `logits`.
    """

    def __init__(
        self,
        *args: Any,
        config: Config | Mapping[str, Any] | None = None,
        teacher: nn.Module | None = None,
        distillation: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = taught("hessian_mixed", config, teacher, distillation)
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
