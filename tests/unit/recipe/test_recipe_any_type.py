"""A recipe may hold anything anywhere: it is refused in words, or is a recipe."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from nlpcompress.errors import NlpCompressError
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe

STATES = {"intermediate_matches": [{"feature": "hidden", "layers": "uniform"}]}
STAGES = [
    {"method": "head_importance", "config": {"keep": 0.5}, "cache_scores": True},
    {
        "method": "logits",
        "config": {"alpha_ce": 0.5},
        "also": [{"method": "features", "config": STATES}],
        "teacher": {"one": 1.0},
        "cache_teacher": True,
        "replace_tokens": {"copies": 2},
        "augment": {"masked_lm": "some", "copies": 2},
        "unlabelled": {"name": "csv", "files": {"train": "more.csv"}},
        "freeze": ["*embeddings*"],
        "dropout": 0.0,
        "channels_last": False,
        "train": {"num_train_epochs": 1},
    },
    {"method": "keep_vocabulary"},
]
EVERYTHING = {
    "version": 1,
    "name": "anything",
    "seed": 0,
    "out": "somewhere",
    "save_as": "same",
    "storage": "dense",
    "model": {
        "id": "random",
        "task": "text-classification",
        "config": {"model_type": "bert"},
        "scaling": {"phi": 1.0},
    },
    "data": {
        "name": "synthetic-text",
        "max_length": 64,
        "randaugment": {"num_ops": 1},
        "masking": {},
    },
    "stages": STAGES,
    "evaluate": {"metrics": ["accuracy"], "before": True},
    "export": {"onnx": True, "quantize": "auto", "runtimes": ["torch"], "max_metric_drop": 0.1},
    "bench": {"batch_sizes": [1], "sequence_lengths": [64]},
    "search": {
        "space": {"stages.0.config.keep": {"low": 0.2, "high": 1.0, "when": {"a": [1]}}},
        "budget": {"size_bytes": 10},
        "fidelity": {"path": "stages.1.train.num_train_epochs", "values": [1, 2]},
        "row": "compressed",
    },
}
PLAIN = {
    "version": 1,
    "name": "plain",
    "model": {"id": "random", "task": "text-classification", "config": {"model_type": "bert"}},
    "data": {"name": "synthetic-text"},
    "stages": [
        {"method": "head_importance", "config": {"keep": 0.5}},
        {"method": "logits", "also": [{"method": "features", "config": STATES}], "train": {}},
    ],
    "evaluate": {"metrics": ["accuracy"]},
    "export": {"onnx": True, "quantize": "auto", "runtimes": ["onnxruntime"]},
    "bench": {"batch_sizes": [1]},
}
"""It is one; the other has every block, and much that does not go together."""
ODD = (None, True, -3, 2.5, "odd", [], ["odd"], [[1]], {}, {"odd": 1}, {1: {"odd": None}})


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything that lies in it."""
    inside = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in inside if isinstance(values, (dict, list)) else ():
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def with_value(recipe: Any, path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    recipe = holder = copy.deepcopy(recipe)
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return recipe


@pytest.mark.parametrize(
    ("recipe", "path"),
    [(recipe, path) for recipe in (EVERYTHING, PLAIN) for path in places(recipe)],
    ids=lambda given: given["name"] if isinstance(given, dict) else ".".join(map(str, given)),
)
def test_any_value_anywhere_is_a_recipe_or_told(recipe, path):
    for value in ODD:
        try:
            read = parse_recipe(with_value(recipe, path, value))
        except NlpCompressError as error:
            assert str(error).strip(), value
        else:
            assert isinstance(read, Recipe)


def test_every_block_of_a_recipe_is_tried():
    assert set(EVERYTHING) == set(Recipe.model_fields)


def test_the_plain_one_is_a_recipe():
    assert isinstance(parse_recipe(PLAIN), Recipe)
