"""TinyBERT's training for people who import: a CompressionTrainer with `layerwise`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.training.presets import preset_method
from nlpcompress.training.tinybert_schedules import tinybert_arguments
from nlpcompress.training.trainer import CompressionTrainer


class LayerwiseDistillationTrainer(CompressionTrainer):
    """Train a student on what lies inside the teacher, and in a second training on its answers.

        for phase in ("layers", "prediction"):
            args = LayerwiseDistillationTrainer.arguments(
                "sst2", phase, rows=len(data), output_dir=phase
            )
            trainer = LayerwiseDistillationTrainer(
                student, args, train_dataset=data, teacher=teacher, config={"phase": phase}
            )
            trainer.train()

    `config` is the method's, see `nlpcompress show layerwise`; `arguments` gives the paper's
    schedule of a GLUE task, any other `TrainingArguments` will do.
    """

    arguments = staticmethod(tinybert_arguments)

    def __init__(
        self,
        *args: Any,
        teacher: nn.Module,
        config: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        methods = [preset_method("layerwise", config)]
        super().__init__(*args, methods=methods, teacher=teacher, **kwargs)
