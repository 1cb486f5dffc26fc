"""Numbers that are found once: in a folder, under a hash of all that they come from.

The hash is of the model's weights, class and config, the batches, what else its maker says, and the
versions of what computed them. Anything else makes another file, so that none is ever stale.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from nlpcompress.core.hashing import class_and_config, hash_tensors
from nlpcompress.core.whole import whole_file
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

FORMAT_VERSION = 1
Numbers = dict[str, list[float]]
Batches = Iterable[Mapping[str, Tensor]]


def stored_numbers(
    folder: Path | None,
    key: Callable[[], str],
    sizes: Mapping[str, int],
    compute: Callable[[], Numbers],
) -> Numbers:
    """What `compute` gives, name → as many numbers as `sizes` says, from `folder` or written there.

    Without a folder it is computed, and `key` is not asked for.
    """
    if folder is None:
        return compute()
    path = numbers_file(folder, key())
    found = read_numbers(path, sizes)
    if found is None:
        found = compute()
        write_numbers(path, found)
    return found


def numbers_file(folder: Path, key: str) -> Path:
    """Where numbers of that key lie."""
    return folder / f"{key}.json"


def read_numbers(path: Path, sizes: Mapping[str, int]) -> Numbers | None:
    """None where there is no such file, or one that is torn or not ours."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        return None
    values = record.get("values")
    return {name: values[name] for name in sizes} if _fits(values, sizes) else None


def _fits(values: Any, sizes: Mapping[str, int]) -> bool:
    return (
        isinstance(values, dict)
        and set(values) == set(sizes)
        and all(isinstance(own, list) and len(own) == sizes[name] for name, own in values.items())
        and all(isinstance(value, float) for own in values.values() for value in own)
    )


def write_numbers(path: Path, found: Mapping[str, list[float]]) -> None:
    """Jobs that share a folder may come to the same values at once."""
    text = json.dumps({"format_version": FORMAT_VERSION, "values": found}, indent=1)
    with whole_file(path, alone=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


def numbers_key(model: nn.Module, batches: Batches, said: Any) -> str:
    """Of a model, what it reads, and all else that counts, which `json` must be able to write."""
    examples = hashlib.sha256()
    for number, batch in enumerate(batches):
        if number == 0:
            _settle(model, batch)
        examples.update(hash_tensors(batch))
    versions = [FORMAT_VERSION, torch.__version__, transformers.__version__]
    parts = [*class_and_config(model), said, versions]
    total = hashlib.sha256(json.dumps(parts, default=str).encode())
    total.update(hash_tensors(model.state_dict()))
    total.update(examples.digest())
    return total.hexdigest()[:32]


@torch.no_grad()
def _settle(model: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """The first loss of a classifier writes its kind (`problem_type`) into the config."""
    with no_trace(model):
        model(**on_device_of(model, batch))
