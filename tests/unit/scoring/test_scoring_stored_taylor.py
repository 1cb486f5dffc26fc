"""Taylor scores are found once, and never for another model, example or way."""

import pytest
import torch
from torch.utils.data import default_collate

from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context
from nlpcompress.methods import make_method
from nlpcompress.scoring import first_examples, stored_taylor_scores, taylor_scores
from tests.unit.training.training_tiny import Examples, tiny_bert

HOW = {"granularity": "example", "normalize": True, "dropped": {"layers.0.heads": [1]}}


@pytest.fixture
def given(tmp_path):
    batches = [default_collate([Examples()[4 * part + i] for i in range(4)]) for part in range(3)]
    inputs = {key: value for key, value in batches[0].items() if key != "labels"}
    model = tiny_bert()
    return {
        "model": model,
        "axes": [axis for axis in find_axes(model, inputs) if axis.name.endswith("heads")],
        "ctx": Context(inputs, lambda: iter(batches), cache=tmp_path),
        "num_samples": 8,
        **HOW,
    }


@pytest.fixture
def passes(monkeypatch):
    """Grows with each backward pass."""
    taken, plain = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: taken.append(1) or plain(*a, **k))
    return taken


def test_a_second_look_takes_no_backward_pass_and_finds_the_same(given, passes, tmp_path):
    first = stored_taylor_scores(**given)
    assert len(passes) == 2
    assert stored_taylor_scores(**given) == first
    assert len(passes) == 2
    examples = first_examples(given["ctx"].batches(), 8)
    direct = taylor_scores(given["model"], given["axes"], examples, **HOW)
    assert first == {name: scores.tolist() for name, scores in direct.items()}
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-9])
    passes.clear()
    assert stored_taylor_scores(**given) == first
    assert len(passes) == 2, "of a torn file"


def a_weight(given):
    with torch.no_grad():
        given["model"].bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-3


def an_axis(given):
    given["axes"] = given["axes"][:1]


def the_examples(given):
    given["num_samples"] = 7


def the_granularity(given):
    given["granularity"] = "token"


def what_is_dropped(given):
    given["dropped"] = {"layers.0.heads": [2]}


@pytest.mark.parametrize(
    "change", [a_weight, an_axis, the_examples, the_granularity, what_is_dropped]
)
def test_what_is_changed_is_looked_at_anew(given, passes, tmp_path, change):
    stored_taylor_scores(**given)
    passes.clear()
    change(given)
    stored_taylor_scores(**given)
    assert passes and len(list(tmp_path.iterdir())) == 2


def test_without_a_cache_nothing_is_kept(given, tmp_path):
    given["ctx"] = Context(given["ctx"].example_inputs, given["ctx"].batches)
    assert stored_taylor_scores(**given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["head_importance", "neuron_importance", "sort"])
def test_methods_take_stored_scores(given, passes, method):
    plan = make_method(method, {}).plan(given["model"], given["ctx"])
    assert passes and len(plan)
    passes.clear()
    assert make_method(method, {}).plan(given["model"], given["ctx"]) == plan
    assert not passes
