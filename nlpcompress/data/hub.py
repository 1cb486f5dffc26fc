"""A data set of the hub, by id, with its configuration after a further slash."""

import datasets
from datasets.exceptions import DatasetGenerationError

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

# Sets that everybody names without their owner.
OWNERS = {"glue": "nyu-mll", "super_glue": "aps", "tweet_eval": "cardiffnlp"}
TEST_SPLITS = ("test", "validation", "validation_matched", "dev")
UNLABELLED = -1


def hub_id(name: str) -> tuple[str, str | None]:
    """The hub's id and the configuration that a recipe's name means.

    >>> hub_id("glue/sst2"), hub_id("stanfordnlp/imdb"), hub_id("nyu-mll/glue/mrpc")
    (('nyu-mll/glue', 'sst2'), ('stanfordnlp/imdb', None), ('nyu-mll/glue', 'mrpc'))
    """
    parts = name.split("/")
    if parts[0] in OWNERS and len(parts) == 2:
        parts = [OWNERS[parts[0]], *parts]
    if len(parts) not in (2, 3) or not all(parts):
        raise DataError(
            f"data.name {name!r} is no hub id; write owner/name or owner/name/configuration"
        )
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


def read_hub(config: DataConfig) -> Source:
    """Split `train`, and as test the first of `TEST_SPLITS` that carries labels."""
    dataset_id, configuration = hub_id(config.name)
    splits = _load(dataset_id, configuration)
    if "train" not in splits:
        raise DataError(f"{config.name} has no split 'train'; it has: {', '.join(splits)}")
    return Source(splits["train"], _test_split(splits, config.label_column or "label"))


def _load(dataset_id: str, configuration: str | None) -> datasets.DatasetDict:
    try:
        return datasets.load_dataset(dataset_id, configuration)
    except (OSError, ValueError, RuntimeError, DatasetGenerationError) as error:
        raise DataError(
            f"the data set {dataset_id}{f' ({configuration})' if configuration else ''} could not "
            f"be loaded from the hub: {error}. Check the id and the connection (HF_HUB_OFFLINE "
            "unset, HF_ENDPOINT), or use data.name csv, tsv, json or parquet with data.files"
        ) from error


def _test_split(splits: datasets.DatasetDict, label: str) -> datasets.Dataset | None:
    labelled = (
        splits[name] for name in TEST_SPLITS if name in splits and _has_labels(splits[name], label)
    )
    return next(labelled, None)


def _has_labels(split: datasets.Dataset, label: str) -> bool:
    return label not in split.column_names or any(value != UNLABELLED for value in split[label])
