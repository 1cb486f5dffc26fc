"""Has a teacher answer a data set once, into a file or from it.

The file is named by the hash of all that the answers come from: the teacher's weights, class and
config, the batches as it saw them, and the versions of what computed them. Anything else makes
another file, so that no answer is ever stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from nlpcompress.core.hashing import class_and_config, hash_tensors
from nlpcompress.core.method import Method
from nlpcompress.core.whole import whole_file
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.models.ensemble import Ensemble
from nlpcompress.models.feature_table import FeatureTable
from nlpcompress.models.inputs import accepts
from nlpcompress.models.stored_features import FeatureName, key
from nlpcompress.models.stored_teacher import STARTS, StoredTeacher, depth_of
from nlpcompress.training.companions import check_companions
from nlpcompress.training.feature_writer import FeatureWriter
from nlpcompress.training.numbered import Collate
from nlpcompress.training.teacher import teacher_runner

OF_TOKENS = ("start_logits", "end_logits")
FORMAT_VERSION = 2
TeacherData = tuple[Sequence[Any], Collate]
"""The training examples as a teacher reads them, and what makes batches of them."""


def require_answers(
    teacher: nn.Module | None, dataset: Any, methods: Sequence[Method], data: TeacherData | None
) -> None:
    """Raises `ConfigError` when answers would not do, or cannot be stored."""
    if teacher is None:
        raise ConfigError("teacher_cache stores a teacher's answers, but no teacher was given")
    inside = [method.name for method in methods if method.looks_inside]
    if data is not None and inside:
        raise ConfigError(
            f"'{inside[0]}' compares what teacher and student hold of each token, but their tokens "
            "are others; learn from answers alone with 'logits'"
        )
    if data is not None and len(data[0]) != len(dataset):
        raise ConfigError(
            f"teacher_data has {len(data[0])} examples, the training data {len(dataset)}; they "
            "must be the same ones, in one order"
        )
    if not isinstance(dataset, Sized):
        raise ConfigError(
            "teacher_cache needs a data set with a length and numbered examples, not a stream; "
            "leave it out"
        )


def refuse_other_tokens(
    teacher: nn.Module, batch: Mapping[str, Tensor], label_names: Sequence[str]
) -> None:
    """Raises `ConfigError` when a teacher answers for each of its tokens, as it reads a batch.

    For a student of other tokens: the answers are not those to its tokens.
    """
    device = next(teacher.parameters()).device
    here = {name: v.to(device) for name, v in batch.items() if isinstance(v, Tensor)}
    if _for_tokens(_logits(teacher_runner(teacher, label_names)(here))):
        raise ConfigError(
            "the teacher answers for each token, and the tokens of teacher_data are others than "
            "the student's: which answer is to which of its tokens, nobody knows; use a teacher "
            "with the student's tokenizer"
        )


def store_answers(  # noqa: PLR0913
    teacher: nn.Module,
    dataset: Sequence[Any],
    collate: Collate,
    folder: str | Path,
    *,
    features: Collection[FeatureName] = (),
    batch_size: int = 32,
    label_names: Sequence[str] = ("labels",),
) -> StoredTeacher:
    """The answers from `folder`, computed and written first if they are not there.

    `features` are stored beside them in float16: a training with those differs from one with the
    teacher itself by what that rounds away.

    The teacher is in eval mode, on its device. Rows of a `datasets.Dataset` with `input_ids` are
    seen by length, the longest first, so that little of a batch is padding; other examples in their
    order. What it says of an example must not depend on how far that is padded, as it does with
    padding on the left where positions count from there. Raises `ConfigError` when a batch is not
    the same twice (random augmentation), or an example not the same in another batch (random
    masking): it has no one answer.
    """

    def inputs(examples: list[Any]) -> dict[str, Tensor]:
        batch = collate(examples)
        return {k: v for k, v in batch.items() if k not in label_names and accepts(teacher, k)}

    order = _longest_first(dataset)

    def batches() -> Iterator[dict[str, Tensor]]:
        apart = torch.Generator()  # the trainer's own randomness does not move
        yield from DataLoader(
            dataset, batch_size=batch_size, sampler=order, collate_fn=inputs, generator=apart
        )

    _check_same(batches)
    check_companions(dataset, inputs)
    path = Path(folder) / f"{_key(teacher, batches(), features)}.safetensors"
    if not path.exists():
        count = -(-len(dataset) // batch_size)
        with _writer(teacher, features, path, order) as writer:
            answers = _answers(teacher, batches(), count, writer)
        _write(path, _in_order(answers, order))
    table = FeatureTable(_features_of(path)) if features else None
    return StoredTeacher(teacher.config, load_file(path), table=table, depth=_depth(teacher))


def _longest_first(dataset: Sequence[Any]) -> list[int]:
    """Numbers of the examples; of one length in their order, and in their order without lengths."""
    if "input_ids" not in getattr(dataset, "column_names", ()):
        return list(range(len(dataset)))
    lengths = [len(tokens) for tokens in dataset["input_ids"]]
    return sorted(range(len(lengths)), key=lambda number: -lengths[number])


def _in_order(answers: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
    """Answers to examples that were asked in `order`, as the data set has them.

    With answers of tokens comes, as `starts`, how many each example has.
    """
    counts = answers.get(STARTS)
    places = torch.tensor(order).argsort().tolist()
    if counts is None:
        return {name: values[places] for name, values in answers.items()}
    found = {}
    for name, values in answers.items():
        parts = values.split(1 if name == STARTS else counts.tolist())
        found[name] = torch.cat([parts[place] for place in places])
    return {**found, STARTS: torch.cat([torch.zeros(1).long(), found[STARTS].cumsum(0)])}


def _writer(
    teacher: nn.Module, features: Collection[FeatureName], path: Path, order: Sequence[int]
) -> AbstractContextManager[FeatureWriter | None]:
    if not features:
        return nullcontext()
    return FeatureWriter(teacher, features, _features_of(path), order)


def _features_of(path: Path) -> Path:
    return path.with_suffix(".features")


def _depth(teacher: nn.Module) -> int | None:
    """None for models that are not one stack of layers."""
    try:
        return depth_of(teacher)
    except PlanError:
        return None


@torch.no_grad()
def _answers(
    teacher: nn.Module,
    batches: Iterator[dict[str, Tensor]],
    count: int,
    writer: FeatureWriter | None,
) -> dict[str, Tensor]:
    device = next(teacher.parameters()).device
    found: dict[str, list[Tensor]] = {}
    for batch in tqdm(batches, total=count, desc="teacher's answers"):
        here = {name: value.to(device) for name, value in batch.items()}
        mask = here.get("attention_mask")
        for name, values in _unpadded(_logits(teacher(**here)), mask).items():
            found.setdefault(name, []).append(values.cpu())
        if writer is not None:
            writer.add(mask)
    return {name: torch.cat(parts) for name, parts in found.items()}


def _unpadded(answers: dict[str, Tensor], mask: Tensor | None) -> dict[str, Tensor]:
    """Without padding; with answers of tokens come, as `starts`, the lengths of the examples."""
    if not _for_tokens(answers):
        return answers
    if mask is None or any(values.shape[:2] != mask.shape for values in answers.values()):
        raise ConfigError(
            "the teacher answers for each token, but batches have no attention_mask that says "
            "which of them are padding; train with the teacher itself (leave teacher_cache out)"
        )
    return {**{n: v[mask.bool()] for n, v in answers.items()}, STARTS: mask.sum(1)}


def _for_tokens(answers: Mapping[str, Tensor]) -> bool:
    return any(values.dim() == 3 or name in OF_TOKENS for name, values in answers.items())


def _logits(outputs: Any) -> dict[str, Tensor]:
    return {name: outputs[name] for name in ("logits", *OF_TOKENS) if name in outputs}


def _check_same(batches: Callable[[], Iterator[dict[str, Tensor]]]) -> None:
    one, two = (hash_tensors(next(batches(), {})) for _ in range(2))
    if one != two:
        raise ConfigError(
            "the first batch of the data set is not the same twice, as examples are changed at "
            "random when they are read: there is no one answer to store; train with the teacher "
            "itself (leave teacher_cache out)"
        )


def _key(
    teacher: nn.Module, batches: Iterator[dict[str, Tensor]], features: Collection[FeatureName]
) -> str:
    versions = [FORMAT_VERSION, torch.__version__, transformers.__version__]
    parts = [*_description(teacher), versions, sorted(map(key, features))]
    what = json.dumps(parts, sort_keys=True, default=str)
    total = hashlib.sha256(what.encode())
    total.update(hash_tensors(teacher.state_dict()))
    for batch in batches:
        total.update(hash_tensors(batch))
    return total.hexdigest()[:32]


def _description(teacher: nn.Module) -> list[Any]:
    """What a teacher is beside its weights; of an ensemble, of all its teachers."""
    own = list(class_and_config(teacher))
    if not isinstance(teacher, Ensemble):
        return own
    members = [_description(member) for member in teacher.teachers]
    return [*own, teacher.combine, teacher.weights, members]


def _write(path: Path, answers: Mapping[str, Tensor]) -> None:
    """Jobs that share a folder may come to the same answers at once."""
    with whole_file(path, alone=False) as temporary:
        save_file({name: values.contiguous() for name, values in answers.items()}, temporary)
