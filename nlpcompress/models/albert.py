"""A BERT as the stock ALBERT that computes the same: layers in groups, or each of its own."""

import re
from collections.abc import Sequence

import torch
import transformers
from torch import Tensor
from transformers import AlbertConfig, PretrainedConfig, PreTrainedModel

from nlpcompress.errors import PlanError
from nlpcompress.models.layers import layers_of
from nlpcompress.models.structure import describe

HEADS = (
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)
"""Ends of class names that both families have."""

IN_LAYER = {
    "attention.self.": "attention.",
    "attention.output.": "attention.",
    "intermediate.dense.": "ffn.",
    "output.dense.": "ffn_output.",
    "output.LayerNorm.": "full_layer_layer_norm.",
}
ELSEWHERE = {
    "pooler.dense.": "pooler.",
    "cls.predictions.transform.": "predictions.",
    "cls.predictions.": "predictions.",
}
LAYER = re.compile(r"^(?:bert\.)?encoder\.layer\.(\d+)\.")
GROUP = "encoder.albert_layer_groups.{}.albert_layers.0."
MAPPING = "encoder.embedding_hidden_mapping_in."


def as_albert(model: PreTrainedModel) -> PreTrainedModel:
    """A new `Albert…` model with the weights of this `Bert…`; the logits are equal to the last bit.

    Layers that share all their weights (`share_layers`) become ALBERT's groups. Its embeddings are
    as wide as its layers, and the mapping between them is the identity, which costs H² + H weights
    for a width H. Raises `PlanError` for other families and heads, and for what ALBERT's config
    cannot say: layers that were cut, that share a part alone, or that lie apart.
    """
    groups, head = check_said(model), _head(model)
    config = _config(model.config, groups=len(set(groups)))
    with torch.random.fork_rng(devices=[]):
        albert = getattr(transformers, f"Albert{head}")(config)
    albert.load_state_dict(_weights(model, groups, prefix=_prefix(head)))
    albert.to(device=model.device, dtype=model.dtype)
    albert.train(model.training)
    return albert


def check_said(model: PreTrainedModel) -> list[int]:
    """Of each layer the number of its group. Raises `PlanError` as `as_albert` does."""
    if model.config.model_type != "bert" or _head(model) not in HEADS:
        raise PlanError(
            f"stock ALBERT cannot say {type(model).__name__}, only Bert{', Bert'.join(HEADS)}"
        )
    if model.config.is_decoder:
        raise PlanError("stock ALBERT has no decoder; set is_decoder: false")
    return groups_of(model)


def _head(model: PreTrainedModel) -> str:
    return type(model).__name__.removeprefix("Bert")


def dealt(depth: int, groups: int) -> list[int]:
    """Of each of `depth` layers the number of its group, as ALBERT's config deals them out.

    >>> dealt(6, 2)
    [0, 0, 0, 1, 1, 1]
    """
    return [int(layer / (depth / groups)) for layer in range(depth)]


def groups_of(model: PreTrainedModel) -> list[int]:
    """Of each layer the number of its group. Raises `PlanError` for groups that ALBERT has not."""
    _, stack = layers_of(model)
    structure = describe(model)
    if structure.keys() - {"shared"}:
        raise PlanError("stock ALBERT cannot say layers that were cut; share before cutting")
    whole: dict[tuple[int, ...], int] = {}
    groups = [whole.setdefault(tuple(map(id, layer.parameters())), len(whole)) for layer in stack]
    kept = {id(p) for layer in stack for p in layer.parameters()}
    if len(kept) != len(whole) * len(list(stack[0].parameters())):
        raise PlanError("stock ALBERT shares whole layers; some share their attention or FFN alone")
    said = dealt(len(stack), len(whole))
    if groups != said:
        raise PlanError(
            f"stock ALBERT has groups of layers that follow each other, such as {said}, and not "
            f"{groups}"
        )
    return groups


def _config(config: PretrainedConfig, *, groups: int) -> AlbertConfig:
    known = AlbertConfig().to_dict().keys() - {"model_type", "transformers_version", "dtype"}
    same = {name: value for name, value in config.to_dict().items() if name in known}
    dropout = getattr(config, "classifier_dropout", None)
    own = {
        "embedding_size": config.hidden_size,
        "num_hidden_groups": groups,
        "inner_group_num": 1,
        "classifier_dropout_prob": config.hidden_dropout_prob if dropout is None else dropout,
        "architectures": None,
    }
    return AlbertConfig(**{**same, **own})


def _prefix(head: str) -> str:
    """The body's place in a model with a head."""
    return "" if head == "Model" else "albert."


def _weights(model: PreTrainedModel, groups: Sequence[int], *, prefix: str) -> dict[str, Tensor]:
    """By ALBERT's names; of layers in a group, the first's."""
    width, found = model.config.hidden_size, {}
    for name, value in model.state_dict().items():
        found.setdefault(_name(name, groups, prefix), value)
    found[f"{prefix}{MAPPING}weight"] = torch.eye(width)
    found[f"{prefix}{MAPPING}bias"] = torch.zeros(width)
    return found


def _name(name: str, groups: Sequence[int], prefix: str) -> str:
    if match := LAYER.match(name):
        inside = _renamed(name[match.end() :], IN_LAYER)
        return prefix + GROUP.format(groups[int(match[1])]) + inside
    in_body = prefix and name.startswith("bert.")
    return (prefix if in_body else "") + _renamed(name.removeprefix("bert."), ELSEWHERE)


def _renamed(name: str, beginnings: dict[str, str]) -> str:
    """With the first beginning that fits replaced."""
    for old, new in beginnings.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
