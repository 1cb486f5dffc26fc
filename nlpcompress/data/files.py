"""A user's own files: csv, tsv, json (or JSON lines) and parquet, one file a split."""

from pathlib import Path

import datasets
from datasets.exceptions import DatasetGenerationError

from nlpcompress.core.nearest import nearest
from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

SPLITS = ("train", "test")


def check_files(config: DataConfig) -> None:
    """Raises `DataError`: a misnamed split, no `train`, a file that is absent or empty."""
    for split, name in config.files.items():
        if split not in SPLITS:
            raise DataError(f"data.files.{split}: unknown split{nearest(split, SPLITS)}")
        path = Path(name).expanduser()
        if not path.is_file():
            raise DataError(f"data.files.{split}: there is no file {path} (seen from {Path.cwd()})")
        if path.stat().st_size == 0:
            raise DataError(f"data.files.{split}: {path} is empty; it must hold at least one row")
    if "train" not in config.files:
        raise DataError(
            f"data.name {config.name} needs data.files.train, the file with the training rows"
        )


def read_files(config: DataConfig) -> Source:
    """The rows. In csv and tsv only an empty cell is a missing value: `NA` is text."""
    check_files(config)
    splits = {
        split: _read(config.name, Path(name).expanduser()) for split, name in config.files.items()
    }
    return Source(splits["train"], splits.get("test"))


def _read(form: str, path: Path) -> datasets.Dataset:
    format_name = "csv" if form == "tsv" else form
    try:
        builder = datasets.load_dataset_builder(format_name, data_files=str(path), **_options(form))
        builder.download_and_prepare()
        if builder.info.splits["train"].num_examples == 0:
            raise DataError(
                f"{path}, read as {form}, has no rows; at least one is needed, or another data.name"
            )
        return builder.as_dataset(split="train")
    except (DatasetGenerationError, ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as {form}: {error.__cause__ or error}") from error


def _options(form: str) -> dict[str, object]:
    if form not in ("csv", "tsv"):
        return {}
    return {"sep": "\t" if form == "tsv" else ",", "keep_default_na": False, "na_values": [""]}
