"""What a recipe may say. Every key, its type, its bounds, its meaning."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from nlpcompress.core.config import Config
from nlpcompress.data.augmentation.config import AugmentConfig, ReplaceConfig
from nlpcompress.data.config import DataConfig
from nlpcompress.recipe.search.config import SearchConfig
from nlpcompress.search.compound import CompoundScaling

RANDOM = "random"
"""The model id that stands for a tiny random model, made from `model.config`."""

Sizes = Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
Name = Annotated[str, Field(min_length=1)]


def _weighed(teachers: object) -> object:
    """A name, or a list of them, as a mapping to equal weights."""
    names = [teachers] if isinstance(teachers, str) else teachers
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return names
    return dict.fromkeys(names, 1.0)


Teachers = Annotated[
    dict[Name, PositiveFloat], Field(min_length=1), pydantic.BeforeValidator(_weighed)
]


class ModelConfig(Config):
    """The model to start from: `{id: bert-base-uncased, task: text-classification}`."""

    id: str = Field(
        min_length=1,
        description="hub id, folder, installed model package, or `random`: made from `config`",
    )
    task: str = Field(description="what the model does, one of `nlpcompress ls tasks`")
    config: dict[str, Any] | None = Field(
        None, description="for `id: random` only: the model's own config, with its model_type"
    )
    scaling: CompoundScaling | None = Field(
        None,
        description="for `id: random` and pictures only: deeper, wider and on larger pictures than "
        "`config` and `data.image_size` say, in step, such as {phi: 1.0}",
    )
    processor: str | None = Field(
        None,
        min_length=1,
        description="whose tokenizer or image processor to use, such as the teacher's for a random "
        "student; by default the model's own",
    )


class MethodConfig(Config):
    """A method with its knobs."""

    method: str = Field(description="one of `nlpcompress ls methods`")
    config: dict[str, Any] = Field(default={}, description="the method's own knobs")


class StageConfig(MethodConfig):
    """One step: train (if `train` is given), then decide, then cut."""

    also: Annotated[tuple[MethodConfig, ...], Field(strict=False)] = Field(
        default=(),
        description="methods that teach in the same training, such as `logits` beside `movement`",
    )
    train: dict[str, Any] | None = Field(
        None, description="TrainingArguments of this stage; no training without it"
    )
    freeze: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(),
        description="weights that this training leaves as they are, by patterns of their names, "
        "such as ['*word_embeddings*']: they take no gradient and no room in the optimizer",
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="of all dropout layers while this trains; by default the model's own",
    )
    channels_last: bool = Field(
        False,
        description="for networks on pictures: weights and pictures lie with their channels last "
        "in memory while this trains, which is faster for depthwise layers on a CPU, as "
        "MobileNet's are, and may be slower for others",
    )
    augment: AugmentConfig | None = Field(
        None,
        description="also train on copies of the texts with other words, such as "
        "{masked_lm: bert-base-uncased, copies: 20}",
    )
    replace_tokens: ReplaceConfig | None = Field(
        None,
        description="also train on copies with words masked, replaced at random and cut out, such "
        "as {copies: 20}; they keep labels that may no longer hold, so learn from a teacher alone "
        "(logits: alpha_task: 0)",
    )
    unlabelled: DataConfig | None = Field(
        None,
        description="also train on these texts, such as {name: csv, files: {train: more.csv}}: a "
        "teacher answers them, and no label counts in this stage (logits: alpha_task: 0); what the "
        "test set has is left out",
    )
    teacher: Teachers | None = Field(
        None,
        description="model id or folder to learn from, or a list of them, or their weights, as in "
        "{large: 2.0, small: 1.0}; by default the model as it was before the first cut",
    )
    cache_teacher: bool | str = Field(
        False,
        description="store the teacher's answers to the training examples once, and the features "
        "that are compared (in float16); steps read them. A folder in place of `true` keeps them "
        "there, where other recipes find them",
    )
    cache_scores: str | None = Field(
        None,
        min_length=1,
        description="folder for costly scores (the Hessian's, and those of heads, neurons and "
        "channels), where other recipes find them; by default they lie in the result's own",
    )


class EvaluateConfig(Config):
    """How quality is measured, on the test set."""

    metrics: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="some of `nlpcompress ls metrics`; by default those of the task"
    )
    batch_size: PositiveInt = Field(32, description="examples a batch")
    before: Literal["timed"] | bool = Field(
        True,
        description="also measure, export and time the model before the first cut; `timed` leaves "
        "its quality out",
    )
    row: str | None = Field(
        None,
        min_length=1,
        description="the only row of the result to measure, such as compressed-int8, and of the "
        "model before its first; null: all of them",
    )


TIMED = "timed"
AUTO, ONNX_RUNTIME, OPENVINO = "auto", "onnxruntime", "openvino"
TORCH, COMPILED = "torch", "torch-compile"
DYNAMIC, STATIC, NNCF, CODES = "dynamic-int8", "static-int8", "nncf-int8", "codes"
Quantize = Literal["none", "dynamic-int8", "static-int8", "nncf-int8", "codes", "auto"]
Runtime = Literal["onnxruntime", "openvino", "torch", "torch-compile", "auto"]


def _listed(runtimes: object) -> object:
    """One name as a list of it."""
    return [runtimes] if isinstance(runtimes, str) else runtimes


Runtimes = Annotated[
    tuple[Runtime, ...], Field(strict=False, min_length=1), pydantic.BeforeValidator(_listed)
]


class ExportConfig(Config):
    """What is made for ONNX Runtime and OpenVINO, and how far its quality may fall."""

    onnx: bool = Field(False, description="write onnx/model.onnx, and compare it with torch")
    quantize: Quantize = Field(
        "none",
        description="also write a smaller file; needs `onnx: true`. dynamic-int8: of any model, "
        "best for texts; static-int8: best for pictures, ranges seen on training examples; "
        "nncf-int8: best for OpenVINO (nlpcompress[openvino]); codes: those of a model that a "
        "stage has quantized, as they are; auto: every one to 8 bits whose tools are installed",
    )
    fuse: bool = Field(
        True,
        description="attention as one operator of ONNX Runtime's, which OpenVINO reads, too; "
        "false: standard operators only",
    )
    runtimes: Runtimes = Field(
        ("onnxruntime",),
        description="what runs the model to compare, measure and time it, each with rows of its "
        "own: ONNX files in onnxruntime and openvino, or torch, as it is or compiled "
        "(torch-compile); auto: ONNX Runtime, and OpenVINO where it is installed. The report's "
        "first line names the fastest row that keeps `max_metric_drop`",
    )
    per_channel: bool = Field(
        True, description="of static-int8: a scale for each output; false: one a weight"
    )
    calibration_samples: int = Field(
        256, ge=1, description="of static-int8 and nncf-int8: training examples to see ranges on"
    )
    max_metric_drop: float | None = Field(
        None,
        ge=0,
        description="largest loss of the first metric that quantization may cost, absolute; "
        "a larger one fails the run, with `quantize: auto` only if no file keeps it",
    )


class BenchConfig(Config):
    """Which input shapes are timed: every batch size with every length."""

    batch_sizes: Sizes = Field((1, 8), description="examples a batch")
    sequence_lengths: Sizes = Field((64,), description="tokens; not used for images")
    rounds: int = Field(30, ge=1, description="timed rounds; each runs every model once")


class Recipe(Config):
    """The whole job. `load_recipe` gives one with every default filled in."""

    version: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="a folder's name")
    seed: int = Field(0, ge=0, description="seed of weights, shuffles and dropout")
    out: str | None = Field(None, min_length=1, description="result folder, default out/<name>")
    model: ModelConfig
    data: DataConfig
    stages: Annotated[tuple[StageConfig, ...], Field(strict=False)]
    storage: Literal["dense", "bitmask", "bitmask-int8"] = Field(
        "dense",
        description="how the result's weights with zeros lie on disk; bitmask-int8 rounds them",
    )
    save_as: Literal["same", "albert"] = Field(
        "same",
        description="albert: save the result as the stock ALBERT that computes the same, which "
        "opens with nothing installed; for a BERT whose layers share all their weights, in groups "
        "that follow each other",
    )
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    bench: BenchConfig = BenchConfig()
    search: SearchConfig | None = Field(
        None, description="many trials of this recipe, of which the best is then run"
    )
