"""A CompressionTrainer whose training batches, and no others, have noise."""

from typing import Any

from torch.utils.data import DataLoader

from nlpcompress.training.self_training.input_noise import Noise, NoisyCollate
from nlpcompress.training.trainer import CompressionTrainer


class NoisyTrainer(CompressionTrainer):
    """`input_noise` changes collated training batches; evaluation and prediction are clean."""

    def __init__(self, *args: Any, input_noise: Noise | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.input_noise = input_noise

    def get_train_dataloader(self) -> DataLoader:
        """As `Trainer`'s, with noise in its batches."""
        if self.input_noise is None:
            return super().get_train_dataloader()
        plain = self.data_collator
        self.data_collator = NoisyCollate(plain, self.input_noise, self.args.seed)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain
