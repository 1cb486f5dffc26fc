"""Which files of a folder are the model, and whether that model is whole."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from nlpcompress.core.weight_file import read_weight_file
from nlpcompress.errors import FormatError
from nlpcompress.io.format import read_json, read_manifest

WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
STRUCTURE = ("config.json", "generation_config.json", "nlpcompress.json", "nlpcompress_*.py")
PROCESSOR = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
)
REPORT = ("README.md", "LICENSE*", "recipe.yaml", "report.json", "report.md", "report.html")
ONNX = ("*.onnx", "*.onnx.data", "*.onnx_data", "config.json", "ort_config.json", "parity.json")
ALLOWED = {".": WEIGHTS + STRUCTURE + PROCESSOR + REPORT, "onnx": ONNX + PROCESSOR}
"""What is pushed: patterns of file names by folder, and besides what nlpcompress.json lists as its
own (a processor may have files of other names) and the auto_map names. `PICKLES` never are.
"""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib")

INDEX = "model.safetensors.index.json"


def model_files(folder: Path) -> dict[str, Path]:
    """Name in the repository → file, for every file of the folder that is part of the model.

    Checkpoints, `.stages/`, temporary folders and whatever else lies there are left out. Raises
    `FormatError` when the folder is not a finished model.
    """
    shards = check_finished(folder)
    files = {file.relative_to(folder).as_posix(): file for file in _candidates(folder)}
    return {
        name: file
        for name, file in sorted(files.items())
        if file.suffix not in PICKLES and (file.suffix != ".safetensors" or name in shards)
    }


def check_finished(folder: Path) -> tuple[str, ...]:
    """Names of the weight files. Raises `FormatError` with every fault when it is not whole."""
    if not folder.is_dir():
        raise FormatError(f"{folder} is not a folder; give the folder of a saved model")
    faults = _config_faults(folder)
    shards: tuple[str, ...] = ()
    try:
        shards = _weight_files(folder)
    except FormatError as error:
        faults.append(str(error))
    faults += [fault for name in shards for fault in _weight_faults(folder / name)]
    if faults:
        raise FormatError(
            f"{folder} is not a finished model: {'; '.join(faults)}. {_advice(folder)}"
        )
    return shards


def _candidates(folder: Path) -> Iterator[Path]:
    for place, patterns in ALLOWED.items():
        for pattern in patterns:
            yield from (file for file in (folder / place).glob(pattern) if file.is_file())
    yield from (folder / name for name in _named(folder) if (folder / name).is_file())


def _named(folder: Path) -> set[str]:
    """Files in `folder` itself that nlpcompress.json lists or the auto_map of config.json names."""
    places = read_json(folder / "config.json").get("auto_map", {}).values()
    local = (place for place in places if isinstance(place, str) and "--" not in place)
    names = {*read_manifest(folder).files, *(place.partition(".")[0] + ".py" for place in local)}
    return {name for name in names if Path(name).name == name}


def _config_faults(folder: Path) -> list[str]:
    try:
        named = _named(folder)
    except FormatError as error:
        return [str(error)]
    needed = sorted(name for name in named if not _matches(name, WEIGHTS + REPORT))
    return [f"{name} is missing" for name in needed if not (folder / name).is_file()]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _weight_files(folder: Path) -> tuple[str, ...]:
    if (folder / WEIGHTS[0]).is_file():
        return (WEIGHTS[0],)
    if not (folder / INDEX).is_file():
        raise FormatError(f"there is no {WEIGHTS[0]}")
    names = read_json(folder / INDEX).get("weight_map", {}).values()
    return tuple(sorted({str(name) for name in names}))


def _weight_faults(file: Path) -> list[str]:
    """A whole safetensors file ends with its last tensor."""
    if not file.is_file():
        return [f"{file.name} is missing"]
    try:
        whole = read_weight_file(file).length
    except ValueError:
        return [f"{file.name} has no readable header"]
    size = file.stat().st_size
    return [] if size == whole else [f"{file.name} has {size} bytes of {whole}"]


def _advice(folder: Path) -> str:
    if (folder / ".stages").is_dir():
        return "Its run has not ended: run the recipe again, it goes on where it stopped"
    if any(folder.glob("checkpoint-*")):
        return "It holds a Trainer's checkpoints: save the trained model first"
    return "Give the folder that `nlpcompress run` or `save_model` has written"
