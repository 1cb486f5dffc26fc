"""The model card: README.md made of the report and the recipe, with the hub's metadata on top.

Every number of the report's rows stands in it twice: rounded in a table, and unrounded in a folded
block. What was not measured is called so.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from nlpcompress.core.secrets import for_readers
from nlpcompress.io.format import read_json
from nlpcompress.io.ledger import UNMEASURED, part_table, table
from nlpcompress.models.tasks import TASKS

FOLDER = "path/to/this/model"
"""Stands for the repo id in a card that was not pushed yet; `push` puts the id in its place."""

FILE_FORMATS = ("csv", "json", "parquet")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Usage:
    """How a model is called: the hub's tag, an example input, and the call on the `batch` of it."""

    tag: str
    example: str = '"An example."'
    call: str = "model(**batch).logits"


USAGES = {
    "text-classification": Usage("text-classification"),
    "text-regression": Usage("text-classification"),
    "sentence-order": Usage("text-classification"),
    "token-classification": Usage("token-classification"),
    "question-answering": Usage(
        "question-answering", '"What is it?", "An example."', "model(**batch).start_logits"
    ),
    "masked-lm": Usage("fill-mask"),
    "pretraining": Usage("fill-mask", call="model(**batch).prediction_logits"),
    "causal-lm": Usage("text-generation"),
    "text2text-generation": Usage("text2text-generation", call="model.generate(**batch)"),
    "feature-extraction": Usage("feature-extraction", call="model(**batch).last_hidden_state"),
    "image-classification": Usage("image-classification", 'Image.new("RGB", (64, 64))'),
}
PROCESSORS = {"text": "AutoTokenizer", "images": "AutoImageProcessor"}


def model_card(
    report: Values, recipe: Values, *, repo_id: str | None = None, folder: Path | None = None
) -> str:
    """Markdown with YAML metadata, for a `report` and a `recipe` as in report.json, recipe.yaml.

    Both may lack anything. `folder`, the model's, tells what they do not: whether transformers
    alone loads it, and which ONNX files there are.
    """
    model, data = recipe.get("model") or {}, recipe.get("data") or {}
    rows = [dict(row) for row in report.get("rows") or ()]
    task = model.get("task") or "feature-extraction"
    onnx = _onnx_files(folder)
    best = _best_files(report, onnx)
    body = _template().render(
        title=(repo_id or recipe.get("name") or "Compressed model").split("/")[-1],
        where=repo_id or FOLDER,
        base=_base_text(model.get("id")),
        data=_data_text(data.get("name")),
        methods=_methods(recipe),
        samples=report.get("samples"),
        verdict=report.get("verdict"),
        parts=part_table(rows),
        table=table(rows) if rows else None,
        ledger=_fenced("json", json.dumps(rows, indent=2)) if rows else "",
        recipe=_fenced("yaml", _yaml(for_readers(recipe))) if recipe else "",
        recipe_hash=report.get("recipe_hash"),
        environment=_flat(report.get("environment") or {}),
        named="task" in model,
        usage=USAGES[task],
        auto_class=TASKS[task].auto_class,
        processor=PROCESSORS[TASKS[task].inputs],
        stock=_is_stock(folder),
        packed=bool(_quantization(folder).get("packing")),
        bits=_bits(folder),
        onnx=onnx,
        best=best,
        opened=best.get("onnxruntime", onnx[-1]) if onnx else None,
    )
    metadata = _metadata(report, recipe, onnx=bool(onnx), repo_id=repo_id)
    return f"---\n{metadata.to_yaml()}\n---\n\n{body.strip()}\n"


def folder_card(folder: str | Path, *, repo_id: str | None = None) -> str:
    """The card of a model folder, from whatever of report.json and recipe.yaml lies in it."""
    folder = Path(folder)
    report, recipe = folder / "report.json", folder / "recipe.yaml"
    return model_card(
        read_json(report) if report.is_file() else {},
        (yaml.safe_load(recipe.read_text("utf-8")) or {}) if recipe.is_file() else {},
        repo_id=repo_id,
        folder=folder,
    )


# Metadata


def _metadata(report: Values, recipe: Values, *, onnx: bool, repo_id: str | None) -> ModelCardData:
    model, data = recipe.get("model") or {}, recipe.get("data") or {}
    usage, name = USAGES.get(model.get("task", "")), data.get("name")
    results = _results(report.get("rows") or (), usage, name)
    return ModelCardData(
        base_model=model.get("id") if _is_hub_id(model.get("id")) else None,
        library_name="transformers",
        pipeline_tag=usage.tag if usage else None,
        tags=["nlpcompress", *_methods(recipe), *(["onnx"] if onnx else [])],
        datasets=[name] if name and name not in FILE_FORMATS else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=(repo_id or recipe.get("name") or "model") if results else None,
        eval_results=results or None,
    )


def _results(rows: Sequence[Values], usage: Usage | None, data: str | None) -> list[EvalResult]:
    """The metrics of the model's own rows."""
    return [
        EvalResult(
            task_type=usage.tag if usage else "other",
            dataset_type=data or "unknown",
            dataset_name=data or "unknown",
            dataset_split="test",
            metric_type=metric,
            metric_value=value,
            metric_name=f"{metric} ({row['name']})",
        )
        for row in _own_rows(rows)
        for metric, value in (row.get("metrics") or {}).items()
        if value is not None
    ]


def _own_rows(rows: Sequence[Values]) -> Sequence[Values]:
    """All but the first row and its variants (`teacher`, `teacher-int8`): the model is compared
    with it. A single row is the model's own.
    """
    first = f"{rows[0].get('name')}-" if rows else ""
    own = [row for row in rows if not f"{row.get('name')}-".startswith(first)]
    return own or rows


def _is_hub_id(model: str | None) -> bool:
    return bool(
        model and re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model) and not Path(model).exists()
    )


def _data_text(name: str | None) -> str | None:
    return f"{name} files" if name in FILE_FORMATS else name


def _base_text(model: str | None) -> str | None:
    return model if model is None or _is_hub_id(model) else Path(model).name


def _methods(recipe: Values) -> list[str]:
    names = [stage.get("method") for stage in recipe.get("stages") or ()]
    return list(dict.fromkeys(name for name in names if name))


# Text


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("nlpcompress.io", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template("card.md.j2")


def _fenced(language: str, text: str) -> str:
    """A code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _yaml(recipe: Any) -> str:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100)


def _flat(values: Values, path: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{key} ")
        else:
            flat[f"{path}{key}"] = UNMEASURED if value is None else str(value)
    return flat


# Facts of the folder


def _is_stock(folder: Path | None) -> bool | None:
    """Whether transformers alone loads the folder; None when there is no folder to look at."""
    if folder is None or not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json")
    return "quantization_config" not in config and "auto_map" not in config


def _quantization(folder: Path | None) -> Values:
    """What config.json says of weights that lie packed: as bit masks and nonzeros, as codes."""
    if folder is None or not (folder / "config.json").is_file():
        return {}
    return read_json(folder / "config.json").get("quantization_config") or {}


def _bits(folder: Path | None) -> list[int]:
    """Bits of the codes that any weight lies in, lowest first."""
    quantized = _quantization(folder).get("structure", {}).get("quantized", {})
    return sorted({scheme["bits"] for scheme in quantized.values()})


def _best_files(report: Values, files: Sequence[str]) -> dict[str, str]:
    """Runtime → the file of its best row, where that still lies there."""
    by_row = {row.get("name"): f"onnx/{row.get('onnx_file')}" for row in report.get("rows") or ()}
    best = {runtime: by_row.get(row) for runtime, row in (report.get("best") or {}).items()}
    return {runtime: file for runtime, file in best.items() if file in files}


def _onnx_files(folder: Path | None) -> list[str]:
    return [] if folder is None else sorted(f"onnx/{f.name}" for f in folder.glob("onnx/*.onnx"))
