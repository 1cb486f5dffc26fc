"""Pure functions of tensors that training adds up: no model, no state, no configuration."""

from nlpcompress.losses.distillation import logits_mse, soft_target_loss

__all__ = ["logits_mse", "soft_target_loss"]
