"""Trained models made really smaller and faster, still loaded with plain `from_pretrained`.

Importing this package does no work and loads no torch: each public name is imported when it is
first used, and transformers learns to read compressed folders when its own quantizers are imported,
and networks of cells when its auto classes are.
"""

import wrapt

from nlpcompress.core.lazy import attributes
from nlpcompress.core.registry import Registry

__version__ = "0.1.0"

PUBLIC = Registry(
    "public name",
    {
        "Plan": "nlpcompress.core.plan:Plan",
        "plan_from_json": "nlpcompress.core.plan:plan_from_json",
        "Budget": "nlpcompress.core.budget:Budget",
        "find_axes": "nlpcompress.axes:find_axes",
        "apply_plan": "nlpcompress.surgery:apply_plan",
        "fit_tokenizer": "nlpcompress.models.tokenizers:fit_tokenizer",
        "taylor_scores": "nlpcompress.scoring:taylor_scores",
        "magnitude_scores": "nlpcompress.scoring:magnitude_scores",
        "make_method": "nlpcompress.methods:make_method",
        "CompressionTrainer": "nlpcompress.training:CompressionTrainer",
        "ChannelPruningTrainer": "nlpcompress.training:ChannelPruningTrainer",
        "HeadPruningTrainer": "nlpcompress.training:HeadPruningTrainer",
        "MixedPrecisionTrainer": "nlpcompress.training:MixedPrecisionTrainer",
        "MovementPruningTrainer": "nlpcompress.training:MovementPruningTrainer",
        "DistillationTrainer": "nlpcompress.training:DistillationTrainer",
        "TripleLossTrainer": "nlpcompress.training:TripleLossTrainer",
        "LayerwiseDistillationTrainer": "nlpcompress.training:LayerwiseDistillationTrainer",
        "ParameterSharingTrainer": "nlpcompress.training:ParameterSharingTrainer",
        "as_albert": "nlpcompress.models.albert:as_albert",
        "Ensemble": "nlpcompress.models.ensemble:Ensemble",
        "self_train": "nlpcompress.training.self_training:self_train",
        "SelfTrainingConfig": "nlpcompress.training.self_training:SelfTrainingConfig",
        "SelfTrainingData": "nlpcompress.training.self_training:SelfTrainingData",
        "save_model": "nlpcompress.io:save_model",
        "round_to_int8": "nlpcompress.io:round_to_int8",
        "push": "nlpcompress.io.hub:push",
        "export_onnx": "nlpcompress.export:export_onnx",
        "measure": "nlpcompress.bench:measure",
        "load_recipe": "nlpcompress.recipe:load_recipe",
        "run_recipe": "nlpcompress.recipe:run_recipe",
    },
)
__all__ = list(PUBLIC)
__getattr__ = attributes(__name__, PUBLIC)
AUTO_MODELS = "transformers.models.auto.modeling_auto"


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])


wrapt.register_post_import_hook("nlpcompress.io.loader:register", "transformers.quantizers.auto")
wrapt.register_post_import_hook("nlpcompress.models.cells:register", AUTO_MODELS)
