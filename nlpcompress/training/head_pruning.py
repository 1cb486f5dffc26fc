"""Head pruning for people who import: a CompressionTrainer with the method `head_importance`."""

from collections.abc import Mapping
from typing import Any

from nlpcompress.core.config import Config
from nlpcompress.training.presets import preset_method
from nlpcompress.training.trainer import CompressionTrainer


class HeadPruningTrainer(CompressionTrainer):
    """Fine-tune with `train()`, cut heads with `compress()`, train again to recover.

        trainer = HeadPruningTrainer(model, args, train_dataset=data, config={"keep": 0.5})
        trainer.train()
        model = trainer.compress()
        trainer.train()

    `config` is the method's, see `nlpcompress show head_importance`.
    """

    def __init__(
        self, *args: Any, config: Config | Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, methods=[preset_method("head_importance", config)], **kwargs)
