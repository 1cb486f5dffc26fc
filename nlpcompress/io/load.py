"""Opens a folder, and says plainly why when it cannot be opened."""

from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from nlpcompress.errors import FormatError
from nlpcompress.io.format import read_json, read_manifest
from nlpcompress.io.loader import align_tensors
from nlpcompress.io.swap import readable
from nlpcompress.models import cells
from nlpcompress.models.tasks import task_named

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def load_model_folder(path: str | Path, task: str | None = None) -> PreTrainedModel:
    """The model in the folder, in eval mode, of the class it was saved as or with `task`'s head.

    Weights keep the type they were saved in. Raises `FormatError` for a missing, truncated or
    half-written folder and for a newer format version, `UnknownNameError` for an unknown task.
    """
    folder = readable(Path(path))
    if not folder.is_dir():
        raise FormatError(f"there is no folder {folder}; give the folder of a saved model")
    config = read_json(folder / "config.json")
    read_manifest(folder)
    _check_weights(folder)
    return open_model(_model_class(config, task, folder), folder, strict=task is None)


def open_model(model_class: Any, folder: Path, *, strict: bool, **options: Any) -> PreTrainedModel:
    """`from_pretrained`, with missing or misfitting weights as `FormatError` if `strict`.

    `options` are handed to `from_pretrained`.
    """
    options = {"dtype": "auto"} | options
    try:
        model, info = model_class.from_pretrained(folder, output_loading_info=True, **options)
    except RuntimeError as error:
        raise FormatError(f"the weights in {folder} do not fit its config.json: {error}") from error
    faults = [*info["missing_keys"], *info["mismatched_keys"], *info["unexpected_keys"]]
    if strict and faults:
        raise FormatError(
            f"the weights in {folder} do not fit its config.json; first misfit: "
            f"{sorted(map(str, faults))[0]}"
        )
    align_tensors(model)
    return model


def _model_class(config: dict[str, Any], task: str | None, folder: Path) -> Any:
    if task is not None:
        return getattr(transformers, task_named(task).auto_class)
    name = (config.get("architectures") or ["nothing"])[0]
    if hasattr(cells, name):
        return getattr(cells, name)
    if not hasattr(transformers, name):
        raise FormatError(
            f"{folder}/config.json names the class '{name}', which transformers "
            f"{transformers.__version__} does not have; give a task"
        )
    return getattr(transformers, name)


def _check_weights(folder: Path) -> None:
    """Every file of weights is there and as long as its header says."""
    if (folder / WEIGHTS).exists():
        names = {WEIGHTS}
    elif (folder / INDEX).exists():
        names = set(read_json(folder / INDEX).get("weight_map", {}).values())
    else:
        raise FormatError(f"{folder} has neither {WEIGHTS} nor {INDEX}: it is no finished model")
    for name in sorted(names):
        try:
            with safe_open(folder / name, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise FormatError(
                f"{folder / name} is missing or truncated ({error}); save or download it again"
            ) from error
