"""The method albert: who shares with whom, from what, and what the table becomes."""

import copy

import pytest
import torch

from nlpcompress.core.edits import FactorEmbedding, ShareLayers
from nlpcompress.core.method import Context
from nlpcompress.errors import DataError, PlanError
from nlpcompress.methods.sharing.albert import Albert, AlbertConfig, groups_of
from nlpcompress.models.albert import as_albert
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import best_sources
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert


def plan_of(model, inputs, **config):
    return Albert(AlbertConfig(**config)).plan(model, Context(inputs, lambda: [inputs]))


def output(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


@pytest.mark.parametrize(
    ("depth", "groups", "expected"),
    [
        (4, 1, [(0, 1, 2, 3)]),
        (6, 2, [(0, 1, 2), (3, 4, 5)]),
        (5, 2, [(0, 1, 2), (3, 4)]),
        (3, 3, []),
        (6, ((0, 2, 4), (1, 3, 5)), [(0, 2, 4), (1, 3, 5)]),
        (4, ((1, 2),), [(1, 2)]),
    ],
)
def test_groups(depth, groups, expected):
    assert groups_of(depth, groups) == expected


@pytest.mark.parametrize("groups", [5, ((2, 4),)])
def test_groups_that_the_model_has_not(groups):
    with pytest.raises(PlanError, match=r"5 groups of 4 layers|no layer 4"):
        groups_of(4, groups)


def test_the_plan_has_the_table_first():
    model, inputs = deep_bert()
    plan = plan_of(model, inputs, share="ffn", groups=2, initial="first", embedding_size=8)
    assert plan.edits == (
        FactorEmbedding(size=8),
        ShareLayers(layers=(0, 1), part="ffn", source=0),
        ShareLayers(layers=(2, 3), part="ffn", source=2),
    )
    alone = plan_of(model, inputs, share="none", embedding_size=8)
    assert alone.edits == (FactorEmbedding(size=8),)


def states(model, inputs):
    """Of each layer the states after it, at tokens that count."""
    with torch.no_grad():
        found = model(**inputs, output_hidden_states=True).hidden_states
    return [values[inputs["attention_mask"].bool()].double() for values in found]


@pytest.mark.parametrize("part", ["attention", "ffn", "all"])
def test_the_best_source_is_the_one_that_changes_what_layers_put_out_least(part):
    """A layer with another's weights in an else whole model is given what it is always given."""
    model, inputs = deep_bert()
    inputs["attention_mask"][0, -2:] = 0
    layers, whole, changes = (0, 1, 3), states(model, inputs), {}
    for source in layers:
        changes[source] = 0.0
        for layer in set(layers) - {source}:
            pair = {"op": "share_layers", "layers": sorted((source, layer)), "source": source}
            changed = apply_plan(copy.deepcopy(model), [{**pair, "part": part}], inputs)
            off = (states(changed, inputs)[layer + 1] - whole[layer + 1]).square().sum()
            changes[source] += float(off / (whole[layer + 1] - whole[layer]).square().sum())
    best = min(changes, key=changes.get)
    assert best_sources(model, [layers], part, [inputs]) == [best]
    (edit,) = plan_of(model, inputs, share=part, groups=(layers,), initial="best")
    assert edit.source == best
    assert sorted(changes.values())[1] > 1.005 * changes[best], "the sources should differ"


def test_groups_are_decided_by_themselves_and_over_all_batches():
    model, inputs = deep_bert()
    both = best_sources(model, [(0, 1), (2, 3)], "all", [inputs, inputs])
    apart = [best_sources(model, [layers], "all", [inputs])[0] for layers in ((0, 1), (2, 3))]
    assert both == apart
    with pytest.raises(DataError, match="at least one"):
        best_sources(model, [(0, 1)], "all", [])


def test_frequent_tokens_keep_their_embeddings():
    model, inputs = deep_bert()
    table = model.get_input_embeddings().weight.detach().clone()
    used = inputs["input_ids"][inputs["attention_mask"].bool()].unique()
    off = {}
    for weighting in ("none", "frequency"):
        made = copy.deepcopy(model)
        plan = plan_of(made, inputs, share="none", embedding_size=6, embedding_weighting=weighting)
        apply_plan(made, plan, inputs)
        near = made.get_input_embeddings().weight.detach()
        off[weighting] = float((near - table)[used].square().sum())
    assert off["frequency"] < off["none"]


def test_whole_groups_become_a_stock_albert():
    model, inputs = deep_bert()
    apply_plan(model, plan_of(model, inputs, groups=2), inputs)
    albert = as_albert(model)
    assert albert.config.model_type == "albert" and albert.config.num_hidden_groups == 2
    assert torch.equal(output(albert, inputs), output(model, inputs))


def test_other_families_share_too():
    for family in ("distilbert", "electra", "vit"):
        model, inputs = FAMILIES[family]()
        apply_plan(model, plan_of(model, inputs, initial="best"), inputs)
        first, second = (list(layer.parameters()) for layer in layers_of(model)[1])
        assert all(a is b for a, b in zip(first, second, strict=True))


def test_pictures_have_no_table():
    model, inputs = FAMILIES["vit"]()
    with pytest.raises(PlanError, match="no dense table"):
        plan_of(model, inputs, embedding_size=4, embedding_weighting="frequency")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": "none"}, "nothing is left to do"),
        ({"groups": ((0, 1), (1, 2))}, "layer 1 is in two groups"),
        ({"groups": 0}, "groups"),
    ],
)
def test_configs_that_say_nothing_or_too_much(given, message):
    with pytest.raises(ValueError, match=message):
        AlbertConfig(**given)
