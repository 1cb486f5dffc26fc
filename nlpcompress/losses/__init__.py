"""Pure functions of tensors that training adds up: no model, no state, no configuration."""

from nlpcompress.losses.attention import attention_kl, attention_mse, value_relation_kl
from nlpcompress.losses.detection import feature_map_nms, objectness_scaled_loss
from nlpcompress.losses.distillation import logits_mse, soft_label_loss, soft_target_loss
from nlpcompress.losses.features import attention_transfer, hidden_cosine, hidden_mse
from nlpcompress.losses.noise import noisy_logits
from nlpcompress.losses.relations import relation_angle, relation_distance
from nlpcompress.losses.sparsity import l0_penalty, l1_penalty

__all__ = [
    "attention_kl",
    "attention_mse",
    "attention_transfer",
    "feature_map_nms",
    "hidden_cosine",
    "hidden_mse",
    "l0_penalty",
    "l1_penalty",
    "logits_mse",
    "noisy_logits",
    "objectness_scaled_loss",
    "relation_angle",
    "relation_distance",
    "soft_label_loss",
    "soft_target_loss",
    "value_relation_kl",
]
