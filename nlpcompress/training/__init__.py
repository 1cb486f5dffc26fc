"""Teaches: a transformers Trainer with objectives, a teacher, safe checkpoints and `compress`."""

from nlpcompress.training.checkpoints import last_checkpoint
from nlpcompress.training.distillation import DistillationTrainer
from nlpcompress.training.head_pruning import HeadPruningTrainer
from nlpcompress.training.movement_pruning import MovementPruningTrainer
from nlpcompress.training.trainer import CompressionTrainer

__all__ = [
    "CompressionTrainer",
    "DistillationTrainer",
    "HeadPruningTrainer",
    "MovementPruningTrainer",
    "last_checkpoint",
]
