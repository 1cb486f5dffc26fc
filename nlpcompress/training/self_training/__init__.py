"""A student learns what its teacher makes of unlabelled examples, under noise, round by round."""

from nlpcompress.training.self_training.config import SelfTrainingConfig
from nlpcompress.training.self_training.data import SelfTrainingData
from nlpcompress.training.self_training.run import SelfTrained, self_train

__all__ = ["SelfTrained", "SelfTrainingConfig", "SelfTrainingData", "self_train"]
