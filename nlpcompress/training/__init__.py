"""Teaches: a transformers Trainer with objectives, a teacher, safe checkpoints and `compress`."""

from nlpcompress.training.channel_pruning import ChannelPruningTrainer
from nlpcompress.training.checkpoints import last_checkpoint
from nlpcompress.training.distillation import DistillationTrainer
from nlpcompress.training.head_pruning import HeadPruningTrainer
from nlpcompress.training.layerwise import LayerwiseDistillationTrainer
from nlpcompress.training.mixed_precision import MixedPrecisionTrainer
from nlpcompress.training.movement_pruning import MovementPruningTrainer
from nlpcompress.training.parameter_sharing import ParameterSharingTrainer
from nlpcompress.training.trainer import CompressionTrainer
from nlpcompress.training.triple_loss import TripleLossTrainer

__all__ = [
    "ChannelPruningTrainer",
    "CompressionTrainer",
    "DistillationTrainer",
    "HeadPruningTrainer",
    "LayerwiseDistillationTrainer",
    "MixedPrecisionTrainer",
    "MovementPruningTrainer",
    "ParameterSharingTrainer",
    "TripleLossTrainer",
    "last_checkpoint",
]
