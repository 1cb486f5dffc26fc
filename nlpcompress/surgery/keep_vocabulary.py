"""The edit `keep_vocabulary`: some tokens stay, in their table and in a head that tells them.

Tokens are numbered anew, from 0 and without gaps, and so are the special ones in the config: a
stock config says it all. Which texts a tokenizer makes of the tokens that stay is its own matter,
see `nlpcompress/models/tokenizers.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlpcompress.axes import Slice, find_axes
from nlpcompress.core.edits import KeepVocabulary
from nlpcompress.errors import PlanError
from nlpcompress.models.structure import named_tensors
from nlpcompress.models.vocabulary import special_tokens, token_lists, tokens_up_to_padding
from nlpcompress.surgery.holders import table_of
from nlpcompress.surgery.keep import Masks, cut
from nlpcompress.surgery.verify import Forward, floating_outputs

IDS = ("input_ids", "decoder_input_ids")


def vocabulary_masks(model: nn.Module, edit: KeepVocabulary, inputs: Mapping[str, Tensor]) -> Masks:
    """(tensor, dim) → which of its rows stay. The model is not changed.

    Raises `PlanError` where there is no table of tokens to cut, a token that is not there, a
    special one, or the padding's place, would be lost, or generation has lists of tokens.
    """
    held, size = _tables(model), model.config.vocab_size
    if edit.tokens[-1] >= size:
        raise PlanError(
            f"keep_vocabulary: the model has tokens 0 to {size - 1}, got {edit.tokens[-1]}"
        )
    for name, ids in special_tokens(model.config, size):
        lost = {*ids} - {*edit.tokens}
        if lost:
            raise PlanError(
                f"keep_vocabulary: {name} {min(lost)} is to be dropped, and special tokens stay; "
                "keep it, too"
            )
    _check_padding(model, edit.tokens)
    _check_lists(model)
    keep = torch.zeros(size, dtype=torch.bool)
    keep[list(edit.tokens)] = True
    return {(part.tensor, part.dim): keep for part in _rows(model, held, inputs)}


def with_old_numbers(model: nn.Module, tokens: Sequence[int]) -> Forward:
    """A forward pass of the model as it is, given the new numbers, telling the kept tokens only."""
    old = torch.tensor(tokens)

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        ids = {name: old.to(inputs[name].device)[inputs[name]] for name in IDS if name in inputs}
        outputs = floating_outputs(model, {**inputs, **ids})
        if _head(model) is None:
            return outputs
        size = model.config.vocab_size
        return [t[..., old.to(t.device)] if t.shape[-1] == size else t for t in outputs]

    return forward


def numbered_anew(inputs: Mapping[str, Tensor], tokens: Sequence[int]) -> dict[str, Tensor]:
    """Example inputs in the new numbers: tokens that go are replaced by ones that stay."""
    ids = torch.tensor(tokens)
    new = {
        name: torch.searchsorted(ids, values.cpu()).clamp(max=len(ids) - 1).to(values.device)
        for name, values in inputs.items()
        if name in IDS
    }
    return {**inputs, **new}


def cut_vocabulary(model: nn.Module, masks: Masks, tokens: Sequence[int]) -> None:
    """Drop the rows, and write the new numbers into configs and tables."""
    new = {old: number for number, old in enumerate(tokens)}
    tables = {id(named_tensors(model)[name]) for name, _ in masks}
    for module in model.modules():
        if isinstance(module, nn.Embedding) and id(module.weight) in tables:
            module.padding_idx = new.get(module.padding_idx)
    cut(model, masks)
    size = model.config.vocab_size
    for config in _configs(model):
        if getattr(config, "vocab_size", size) != size:
            continue  # a part with a vocabulary of its own
        for name, ids in special_tokens(config, size):
            numbers = [new[token] for token in ids]
            setattr(
                config, name, numbers if isinstance(getattr(config, name), list) else numbers[0]
            )
        if hasattr(config, "vocab_size"):
            config.vocab_size = len(tokens)


def _tables(model: nn.Module) -> list[Tensor]:
    """The weights of the table of tokens, and of a head that tells tokens. Raises `PlanError`."""
    table = table_of(model)
    if not isinstance(getattr(table, "weight", None), nn.Parameter):
        raise PlanError(
            f"keep_vocabulary: {type(model).__name__} has no dense table of tokens "
            f"({type(table).__name__}); cut the vocabulary before it is factored or quantized"
        )
    head = _head(model)
    return [table.weight] if head is None else [table.weight, head.weight]


def _head(model: nn.Module) -> nn.Module | None:
    return model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None


def _rows(model: nn.Module, held: list[Tensor], inputs: Mapping[str, Tensor]) -> Iterator[Slice]:
    """The rows of these weights, and all that is tied to them."""
    ids = set(map(id, held))
    names = {name for name, tensor in named_tensors(model).items() if id(tensor) in ids}
    for axis in find_axes(model, inputs):
        if any(part.tensor in names and part.dim == 0 for part in axis.slices):
            yield from axis.slices


def _check_padding(model: nn.Module, tokens: Sequence[int]) -> None:
    """Where positions count from the padding's id, that id must stay what it is."""
    fixed = tokens_up_to_padding(model)
    if tuple(tokens[: len(fixed)]) != tuple(fixed):
        raise PlanError(
            f"keep_vocabulary: positions of {type(model).__name__} count from the padding's id "
            f"{fixed[-1]}, which must stay what it is: keep the tokens 0 to {fixed[-1]}"
        )


def _check_lists(model: nn.Module) -> None:
    for config in _configs(model):
        for name in token_lists(config):
            raise PlanError(
                f"keep_vocabulary: {name} of {type(config).__name__} names tokens by numbers that "
                "would be others then; set it to None, and write it anew after the cut"
            )


def _configs(model: nn.Module) -> Iterator[Any]:
    """The configs of the model and of its parts, and what it generates by, each once."""
    parts = [m for m in model.modules() if isinstance(m, PreTrainedModel)]
    found = [
        getattr(part, kind, None) for part in parts for kind in ("config", "generation_config")
    ]
    yield from {id(config): config for config in found if config is not None}.values()
