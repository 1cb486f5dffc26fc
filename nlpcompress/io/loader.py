"""Teaches transformers to open compressed folders with plain `from_pretrained`.

`config.json` holds `"quantization_config": {"quant_method": "nlpcompress", "format_version": 1,
"structure": {…}}`: the quantizer hook is the one place where transformers lets others reshape a
skeleton before its weights are read.

A copy of this file lies beside saved models as `nlpcompress_loader.py`, named by `auto_map`, so
that `trust_remote_code=True` opens them where nlpcompress is not installed.
"""

from typing import Any

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
    from nlpcompress.models.structure import FormatError, Structure, build, describe
except ImportError:
    from .nlpcompress_structure import FormatError, Structure, build, describe

METHOD = "nlpcompress"
FORMAT_VERSION = 1
ALIGNMENT = 64  # bytes, as torch's CPU allocator has it
AUTO_MAP = {"AutoConfig": "nlpcompress_loader.ConfigShim"}


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
        self, format_version: int = FORMAT_VERSION, structure: Structure | None = None, **other: Any
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


class StructureQuantizer(HfQuantizer):
    """Shapes the skeleton before weights are loaded, and keeps the record true when saving."""

    requires_calibration = False

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        build(model, self.quantization_config.structure)
        return model

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        # Nothing is quantized: `.half()`, Trainer and further surgery must work as on any model.
        model.is_quantized = False
        _forget_auto_map(model.config)
        align_tensors(model)
        return model

    def get_state_dict_and_metadata(
        self, model: nn.Module, safe_serialization: bool = True
    ) -> tuple[None, dict[str, str]]:
        """Called first by `save_pretrained`: the record must fit the model as it is now."""
        self.quantization_config.structure = describe(model)
        return None, {}

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
