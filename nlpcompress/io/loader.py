"""Teaches transformers to open compressed folders with plain `from_pretrained`.

`config.json` holds `"quantization_config": {"quant_method": "nlpcompress", "format_version": 1,
"structure": {…}, "packing": {…}}`: the quantizer hook is the one place where transformers lets
others reshape a skeleton before its weights are read. `packing` names the weights whose file holds
a bit mask and the nonzeros, see `packing.py`; in memory they are dense:

    {"bert.encoder.layer.0.output.dense.weight":
        {"scheme": "bitmask-int8", "nonzeros": 354, "dtype": "float32"}, …}

A weight that lies in factors or as a chain of filters, and a shared tensor's other names, are in no
file; `save_model` writes an empty tensor there, so that a reader without this hook fails on a shape
where it would else draw random weights.

A copy of this file lies beside saved models as `nlpcompress_loader.py`, named by `auto_map`, so
that `trust_remote_code=True` opens them where nlpcompress is not installed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.quantizers.auto import (
    AUTO_QUANTIZATION_CONFIG_MAPPING,
    register_quantization_config,
    register_quantizer,
)
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

try:
    from nlpcompress.io.packing import SCHEMES, SUFFIXES, Packed, placeholders, unpack
    from nlpcompress.models.factors import ranks
    from nlpcompress.models.filters import chains
    from nlpcompress.models.structure import (
        DiskNames,
        FormatError,
        Structure,
        build,
        describe,
        named_tensors,
        recorded_ties,
    )
    from nlpcompress.models.ties import stand_in, tie, tied_once, untie
except ImportError:
    # transformers 4 copies only files that this one itself imports.
    from .nlpcompress_activations import RoundedInputs as _RoundedInputs  # noqa: F401
    from .nlpcompress_codes import unpack_codes as _unpack_codes  # noqa: F401
    from .nlpcompress_factors import ranks
    from .nlpcompress_filters import chains
    from .nlpcompress_grid import Scheme as _Scheme  # noqa: F401
    from .nlpcompress_heads import head_widths as _head_widths  # noqa: F401
    from .nlpcompress_packing import SCHEMES, SUFFIXES, Packed, placeholders, unpack
    from .nlpcompress_quantized import schemes as _schemes  # noqa: F401
    from .nlpcompress_structure import (
        DiskNames,
        FormatError,
        Structure,
        build,
        describe,
        named_tensors,
        recorded_ties,
    )
    from .nlpcompress_ties import stand_in, tie, tied_once, untie

METHOD = "nlpcompress"
FORMAT_VERSION = 1
ALIGNMENT = 64  # bytes, as torch's CPU allocator has it
ATTACHED = "compression_"  # what a training hangs on a model, by the start of its name
AUTO_MAP = {"AutoConfig": "nlpcompress_loader.ConfigShim"}

Recipe = dict[str, Any]
Packing = dict[str, Recipe]


def register(_module: Any = None) -> None:
    """Make config and quantizer known to transformers; a second call changes nothing.

    The argument is what import hooks pass: the module that was imported.
    """
    if METHOD not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        register_quantization_config(METHOD)(StructureConfig)
        register_quantizer(METHOD)(StructureQuantizer)


class StructureConfig(QuantizationConfigMixin):
    """The block in config.json. Raises `FormatError` for a newer format than this file knows."""

    def __init__(
        self,
        format_version: int = FORMAT_VERSION,
        structure: Structure | None = None,
        packing: Packing | None = None,
        **other: Any,
    ) -> None:
        other.pop("quant_method", None)
        if format_version > FORMAT_VERSION:
            raise FormatError(
                f"this model was written in format version {format_version}, and the nlpcompress "
                f"that opens it reads up to version {FORMAT_VERSION}; upgrade with "
                "`pip install --upgrade nlpcompress`"
            )
        if other:
            raise FormatError(
                f"unknown keys in quantization_config of config.json: {', '.join(sorted(other))}"
            )
        self.quant_method = METHOD
        self.format_version = format_version
        self.structure = structure or {}
        self.packing = packing or {}

    def to_dict(self) -> dict[str, Any]:
        """What config.json holds. Only a folder's files are packed, never a model."""
        values = super().to_dict()
        return values if self.packing else {k: v for k, v in values.items() if k != "packing"}


class StructureQuantizer(HfQuantizer):
    """Shapes the skeleton before weights are loaded, and keeps the record true when saving."""

    requires_calibration = False
    writes_stand_ins = False

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        build(model, self.quantization_config.structure)
        _forget_ties_of_codes(model)
        shared = recorded_ties(model, self.quantization_config.structure)
        untie(model, shared)
        _expect_ties(model, shared)
        self.passed_over = model._keys_to_ignore_on_load_unexpected
        _pass_over(model, _dense_names(model))
        self.expected = _expect_packed(model, self.quantization_config.packing)
        return model

    def update_missing_keys(self, model: nn.Module, missing_keys: list[str], prefix: str) -> Any:
        """Asked by transformers 4, which finds the shared ones among parameters by itself."""
        shared = recorded_ties(model, self.quantization_config.structure)
        return [name for name in missing_keys if name not in shared]

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        vars(model).pop("tie_weights", None)
        model._keys_to_ignore_on_load_unexpected = self.passed_over
        _unpack(model, self.expected)
        self._forget_packing(model)
        # Nothing is quantized: `.half()`, Trainer and further surgery must work as on any model.
        model.is_quantized = False
        _forget_auto_map(model.config)
        align_tensors(model)
        return model

    def _forget_packing(self, model: nn.Module) -> None:
        """What plain `save_pretrained` writes is dense, and stock where the shapes are."""
        structure = self.quantization_config.structure
        if structure:
            self.quantization_config = StructureConfig(structure=structure)
            model.config.quantization_config = self.quantization_config
        else:
            self.remove_quantization_config(model)

    def get_state_dict_and_metadata(
        self, model: nn.Module, safe_serialization: bool = True
    ) -> tuple[dict[str, Tensor] | None, dict[str, str]]:
        """Called first by `save_pretrained`: the record must fit the model as it is now.

        With shared layers this gives the tensors, each once, which transformers would refuse.

        In a training, with modules attached that no config makes, the shapes are those of before.
        """
        if not any(name.startswith(ATTACHED) for name, _ in model.named_children()):
            self.quantization_config.structure = describe(model)
        shared = recorded_ties(model, self.quantization_config.structure)
        if not shared and not self.writes_stand_ins:
            return None, {}
        state = model.state_dict()
        if shared:
            kept = tied_once(named_tensors(model))
            state = {name: value for name, value in state.items() if name in kept}
        return state | (_stand_ins(model, shared) if self.writes_stand_ins else {}), {}

    def update_dtype(self, dtype: Any) -> Any:
        return dtype

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        return True

    @property
    def is_trainable(self) -> bool:
        return True

    @property
    def is_qat_trainable(self) -> bool:
        return True

    @property
    def is_compileable(self) -> bool:
        return True


@contextmanager
def stand_ins(model: nn.Module) -> Iterator[None]:
    """Inside, `save_pretrained` writes stand-ins too.

    A training's own checkpoints have none: who loads them into the live model would meet them.
    """
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is None:
        yield
        return
    quantizer.writes_stand_ins = True
    try:
        yield
    finally:
        quantizer.writes_stand_ins = False


class ConfigShim:
    """What `auto_map` names: importing it registers the hook; the stock config does the rest."""

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoConfig") -> None:
        """Called by transformers on what it finds by `auto_map`; the stock class stays stock."""

    @classmethod
    def from_pretrained(cls, folder: str, **kwargs: Any) -> Any:
        """The stock config of the folder."""
        register()
        values, _ = PretrainedConfig.get_config_dict(folder, **kwargs)
        return CONFIG_MAPPING[values["model_type"]].from_pretrained(folder, **kwargs)


def _forget_ties_of_codes(model: nn.Module) -> None:
    """transformers 5 looks for a parameter under each tied name; of codes the record says it."""
    keys = getattr(model, "all_tied_weights_keys", None)
    if keys:
        parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        model.all_tied_weights_keys = {n: first for n, first in keys.items() if n in parameters}


def _expect_ties(model: nn.Module, shared: Mapping[str, str]) -> None:
    """A shared tensor's other names are in no file: have them tied when the first has been read.

    Both generations call `tie_weights` then. Of the keys that transformers 5 ties itself it takes
    the biases to be as long as the weights' first dimension, which GPT-2's are not.
    """
    if shared:
        model.tie_weights = partial(_tie_all, model, shared)


def _tie_all(
    model: nn.Module, shared: Mapping[str, str], missing_keys: set[str] | None = None, **other: Any
) -> None:
    if missing_keys is not None:
        missing_keys.difference_update(shared)
        other["missing_keys"] = missing_keys
    type(model).tie_weights(model, **other)
    tie(model, shared)


def _dense_names(model: nn.Module) -> list[str]:
    """Weights of the stock skeleton that the model holds as the product of others."""
    return [f"{path}.weight" for path in (*ranks(model), *chains(model))]


def _stand_ins(model: nn.Module, shared: Iterable[str]) -> dict[str, Tensor]:
    tensors = named_tensors(model)
    dense = {name: torch.empty(0, dtype=model.dtype) for name in _dense_names(model)}
    return dense | {name: stand_in(tensors[name].detach()) for name in shared}


def _pass_over(model: nn.Module, names: Iterable[str]) -> None:
    """Have transformers not speak of these names when it meets them in a file.

    There a name may have the base model's prefix where the model has it not, or the reverse.
    """
    known = model._keys_to_ignore_on_load_unexpected
    prefix, kind = f"{model.base_model_prefix}.", list if known is None else type(known)
    more = (rf"(^|\.){re.escape(name.removeprefix(prefix))}$" for name in names)
    model._keys_to_ignore_on_load_unexpected = kind([*(known or ()), *more])


def _expect_packed(model: nn.Module, packing: Packing) -> dict[str, tuple[Tensor, Recipe]]:
    """Put the parts on disk in place of each packed weight.

    Gives path → (the skeleton's weight, its recipe). Weights that this class does not have are
    passed over, as `build` does. Raises `FormatError` for a scheme that this file does not know.
    """
    find, expected = DiskNames(model), {}
    for name, recipe in packing.items():
        if recipe.get("scheme") not in SCHEMES:
            raise FormatError(
                f"'{name}' is stored as {recipe.get('scheme')!r}, known are {', '.join(SCHEMES)}; "
                "upgrade with `pip install --upgrade nlpcompress`"
            )
        path = find(name)
        if path is not None:
            weight = model.get_parameter(path)
            expected[path] = (weight, recipe)
            for suffix, part in placeholders(weight, recipe["scheme"], recipe["nonzeros"]).items():
                _set(model, path + suffix, nn.Parameter(part, requires_grad=False))
    return expected


def _unpack(model: nn.Module, expected: Mapping[str, tuple[Tensor, Recipe]]) -> None:
    """Put the dense weights in place of their parts, in the types that a dense file would give."""
    for path, (weight, recipe) in expected.items():
        packed = Packed.of_parts(_take_parts(model, path))
        if packed.values.is_meta:
            raise FormatError(
                f"'{path}' is stored packed and was offloaded before it could be unpacked; load "
                "the model without offloading, or save it with storage='dense'"
            )
        values = unpack(packed, weight.shape, getattr(torch, recipe["dtype"]))
        dtype = values.dtype if packed.scale is None else _loaded_dtype(model, path, weight.dtype)
        _set(model, path, nn.Parameter(values.to(dtype), requires_grad=weight.requires_grad))


def _take_parts(model: nn.Module, path: str) -> dict[str, Tensor]:
    place, _, name = path.rpartition(".")
    module = model.get_submodule(place)
    parts = {suffix: getattr(module, name + suffix, None) for suffix in SUFFIXES}
    for suffix, part in parts.items():
        if suffix and part is not None:
            delattr(module, name + suffix)
    return {suffix: part.data for suffix, part in parts.items() if part is not None}


def _set(model: nn.Module, path: str, parameter: nn.Parameter) -> None:
    place, _, name = path.rpartition(".")
    setattr(model.get_submodule(place), name, parameter)


def _loaded_dtype(model: nn.Module, path: str, dtype: torch.dtype) -> torch.dtype:
    """float32 for the few modules that transformers does not load in 16 bits (T5's `wo`)."""
    kept = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    if dtype is torch.float16:
        kept |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    sixteen = dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if sixteen and kept & set(path.split(".")) else dtype


def align_tensors(model: nn.Module) -> None:
    """Move tensors that start at odd addresses to where torch's own allocator would put them."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = aligned(tensor.data)


def aligned(tensor: Tensor) -> Tensor:
    """The tensor, or an equal one at an address that is a multiple of 64 bytes.

    transformers leaves weights where they lie in the mapped file. The CPU's kernels sum in another
    order there: the same bits gave logits that differed by 5e-7 (MobileNetV2 with odd widths).
    """
    odd = tensor.device.type == "cpu" and tensor.data_ptr() % ALIGNMENT
    return tensor.clone() if odd else tensor


def _forget_auto_map(config: Any) -> None:
    """Plain `save_pretrained` does not copy this file, so the config it writes must not name it.

    For a model from the hub transformers has put `repository--` before the name.
    """
    place = (getattr(config, "auto_map", None) or {}).get("AutoConfig", "")
    if place.endswith(AUTO_MAP["AutoConfig"]):
        del config.auto_map
