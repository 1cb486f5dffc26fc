"""Writes a cut model's shapes into its config, so that plain `save_pretrained` keeps them."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.auto import AutoHfQuantizer

from nlpcompress.errors import PlanError
from nlpcompress.models.stock import stock_fields
from nlpcompress.models.structure import Structure, describe

METHOD = "nlpcompress"


def record_structure(model: PreTrainedModel) -> Structure:
    """Make `model.config` true: by stock fields where they can, else by the structure block.

    Returns the structure that is needed to reload, `{}` for a stock model. Raises `PlanError` for a
    model that another library has quantized.
    """
    _refuse_others(model)
    structure = describe(model)
    fields = stock_fields(model) if structure else {}
    if fields is None:
        _attach(model, structure)
        return structure
    for config in _configs(model):
        _change_fields(config, fields, of=model.config)
    for name, value in fields.items():
        setattr(model.config, name, value)
    _detach(model)
    return {}


def _refuse_others(model: PreTrainedModel) -> None:
    quantizer = getattr(model, "hf_quantizer", None)
    method = getattr(getattr(quantizer, "quantization_config", None), "quant_method", METHOD)
    if method != METHOD:
        raise PlanError(f"the model is quantized with '{method}'; cut it first, then quantize")


def _attach(model: PreTrainedModel, structure: Structure) -> None:
    block = {"quant_method": METHOD, "structure": structure}
    model.hf_quantizer = AutoHfQuantizer.from_config(block, pre_quantized=True)
    model.config.quantization_config = model.hf_quantizer.quantization_config
    model.is_quantized = False


def _detach(model: PreTrainedModel) -> None:
    for holder, name in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if name in vars(holder):
            delattr(holder, name)


def _configs(model: nn.Module) -> list[Any]:
    """Configs of the parts that have their own copy (T5's encoder and decoder)."""
    parts = [m.config for m in model.modules() if isinstance(m, PreTrainedModel)]
    return list({id(config): config for config in parts if config is not model.config}.values())


def _change_fields(config: Any, fields: dict[str, int], *, of: Any) -> None:
    for name, value in fields.items():
        if hasattr(config, name) and getattr(config, name) == getattr(of, name):
            setattr(config, name, value)
