"""Channel pruning for people who import: a CompressionTrainer with the method `channels`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import taught
from nlpcompress.training.trainer import CompressionTrainer


class ChannelPruningTrainer(CompressionTrainer):
    """Train with `train()`, under a penalty where the criterion has one; cut with `compress()`.

        trainer = ChannelPruningTrainer(
            model, args, train_dataset=data, config={"criterion": "batch_norm", "keep_macs": 0.5}
        )
        trainer.train()
        model = trainer.compress()

    A plain `Trainer`, or another of these, makes up for the cut. `config` is the method's, see
    `nlpcompress show channels`. With a `teacher` the model learns from its soft targets too,
    weighed by `distillation`, the config of `logits`.
    """

    def __init__(
        self,
        *args: Any,
        config: Config | Mapping[str, Any] | None = None,
        teacher: nn.Module | None = None,
        distillation: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = taught("channels", config, teacher, distillation)
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
