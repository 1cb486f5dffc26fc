"""Pure functions of tensors that training adds up: no model, no state, no configuration."""

from nlpcompress.losses.distillation import logits_mse, soft_target_loss
from nlpcompress.losses.sparsity import l0_penalty, l1_penalty

__all__ = ["l0_penalty", "l1_penalty", "logits_mse", "soft_target_loss"]
