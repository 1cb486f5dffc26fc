"""ALBERT's savings for people who import: a CompressionTrainer that shares first, then recovers."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import preset_method
from nlpcompress.training.trainer import CompressionTrainer


class ParameterSharingTrainer(CompressionTrainer):
    """Give the model's layers one set of weights at once, and let `train()` make up for it.

        trainer = ParameterSharingTrainer(
            model, args, train_dataset=data, config={"share": "attention", "embedding_size": 128}
        )
        trainer.train()
        trainer.save_model("shared")

    `config` is that of the method `albert`, see `nlpcompress show albert`. The model is changed in
    place; it learns from a copy of itself as it was, or from `teacher`, by the method `recovery`
    (logits, layerwise or triple_loss) with its own config in `distillation`. Besides what
    `CompressionTrainer` raises, `PlanError` for layers that cannot share.
    """

    def __init__(
        self,
        model: nn.Module,
        *args: Any,
        config: Config | Mapping[str, Any] | None = None,
        teacher: nn.Module | None = None,
        recovery: str = "logits",
        distillation: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = [preset_method("albert", config), preset_method(recovery, distillation)]
        teacher = copy.deepcopy(model) if teacher is None else teacher
        super().__init__(model, *args, methods=methods, teacher=teacher, **kwargs)
        self.compress()
        self.methods = self.methods[1:]
