"""The table of methods: one line a name, imported when it is asked for."""

from collections.abc import Mapping
from typing import Any

from nlpcompress.core.method import Method
from nlpcompress.core.registry import Registry

METHODS = Registry(
    "method",
    {
        "albert": "nlpcompress.methods.sharing.albert:Albert",
        "at_init": "nlpcompress.methods.pruning.at_init:AtInit",
        "channels": "nlpcompress.methods.pruning.channels:Channels",
        "cp": "nlpcompress.methods.lowrank.cp:Cp",
        "darts": "nlpcompress.methods.architecture.darts:Darts",
        "features": "nlpcompress.methods.distillation.features:FeatureDistillation",
        "fine_tune": "nlpcompress.methods.fine_tune:FineTune",
        "head_gates": "nlpcompress.methods.pruning.head_gates:HeadGates",
        "head_importance": "nlpcompress.methods.pruning.head_importance:HeadImportance",
        "hessian_mixed": "nlpcompress.methods.quantization.hessian_mixed:HessianMixed",
        "keep_layers": "nlpcompress.methods.pruning.keep_layers:DropLayers",
        "keep_vocabulary": "nlpcompress.methods.pruning.keep_vocabulary:DropTokens",
        "layerwise": "nlpcompress.methods.distillation.layerwise:LayerwiseDistillation",
        "learned_bits": "nlpcompress.methods.quantization.learned_bits:LearnedBits",
        "learned_widths": "nlpcompress.methods.architecture.learned_widths:LearnedWidths",
        "logits": "nlpcompress.methods.distillation.logits:LogitsDistillation",
        "lottery_ticket": "nlpcompress.methods.pruning.lottery_ticket:LotteryTicket",
        "magnitude": "nlpcompress.methods.pruning.magnitude:Magnitude",
        "movement": "nlpcompress.methods.pruning.movement:Movement",
        "neuron_importance": "nlpcompress.methods.pruning.neuron_importance:NeuronImportance",
        "recalibrate_norms": "nlpcompress.methods.architecture.recalibrate_norms:RecalibrateNorms",
        "slice": "nlpcompress.methods.architecture.slice:Slice",
        "sort": "nlpcompress.methods.architecture.sort:Sort",
        "supernet": "nlpcompress.methods.architecture.supernet:Supernet",
        "svd": "nlpcompress.methods.lowrank.svd:Svd",
        "triple_loss": "nlpcompress.methods.distillation.triple_loss:TripleLoss",
        "tucker": "nlpcompress.methods.lowrank.tucker:Tucker",
    },
)


def make_method(name: str, config: Mapping[str, Any], *, where: str = "config") -> Method:
    """The method `name` with its validated config; `where` is the block's path in the recipe.

    Raises `UnknownNameError` for the name, `ConfigError` with every problem of the config.
    """
    method = METHODS.load(name)
    return method(method.Config.parse(config, where=where))
