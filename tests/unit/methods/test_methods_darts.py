"""DARTS: what is kept, what shares learn, and the network that is left."""

import pytest
import torch

from nlpcompress import apply_plan
from nlpcompress.core.method import Context, Progress
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import PlanError
from nlpcompress.io.load import load_model_folder
from nlpcompress.io.save import save_model
from nlpcompress.methods.architecture.darts import strongest
from nlpcompress.methods.table import make_method
from nlpcompress.models.cells import CellConfig, CellsForImageClassification, Edge, edges_of
from nlpcompress.surgery.verify import floating_outputs, relative_error
from tests.families import FAMILIES

SMALL = {"num_channels": 1, "channels": 4, "num_cells": 3, "nodes": 2, "num_labels": 3}
STEPS = 6


def example(**changes):
    torch.manual_seed(0)
    model = CellsForImageClassification(CellConfig(**SMALL | changes))
    inputs = {"pixel_values": torch.randn(6, 1, 8, 8)}
    return model, inputs, {**inputs, "labels": torch.arange(6) % 3}


def searched(steps=STEPS):
    """The model after a search, its plan, and what it answered with gates on."""
    model, inputs, batch = example()
    method, ctx = make_method("darts", {"choice_learning_rate": 0.05}), Context(inputs)
    gates = method.prepare(model, ctx)
    (group,) = gates.parameter_groups()
    own = {id(p) for p in gates.parameters()}
    weights = [p for p in model.parameters() if id(p) not in own]
    optimizer = torch.optim.AdamW([{"params": weights, "lr": 1e-3}, group])
    for step in range(steps):
        gates.advance(Progress(step, STEPS, 0))
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    gated = floating_outputs(model, inputs)
    gates.close()
    return model, inputs, method.plan(model, ctx), gated


def test_each_node_keeps_its_best_edges_and_each_edge_its_best_operation():
    names = [["none", "a", "b"]] * 9  # three nodes
    shares = [
        *([0.9, 0.06, 0.04], [0.1, 0.5, 0.4]),
        *([0.2, 0.1, 0.7], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]),
        *([0.4, 0.3, 0.3], [0.0, 0.1, 0.9], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]),
    ]
    expected = [["a"], ["a"], ["b"], ["a"], [], [], ["b"], ["b"], []]
    assert strongest(shares, names) == expected
    assert [len(own) for own in strongest(shares, names, keep=1)] == [0, 1, 1, 0, 0, 0, 1, 0, 0]


def test_shares_gather_on_the_operation_that_answers():
    """A toy: the target is what one operation of an edge gives."""
    torch.manual_seed(0)
    edge, maps = Edge(["none", "skip_connect", "avg_pool_3x3"], 4, 1), torch.randn(8, 4, 6, 6)
    logits = torch.zeros(3, requires_grad=True)
    edge.shares = lambda: logits.softmax(0)
    target = edge.operations["avg_pool_3x3"](maps).detach()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        (edge(maps) - target).square().mean().backward()
        optimizer.step()
    assert logits.softmax(0)[2] > 0.9


def test_what_is_left_is_what_was_chosen_and_reloads_exactly(tmp_path):
    model, inputs, plan, gated = searched()
    (edit,) = plan.edits
    nodes = model.config.nodes
    for own in (edit.normal, edit.reduction):
        assert all(len(names) <= 1 and names != ("none",) for names in own)
        for node in range(nodes):
            left = [n for (at, _), n in zip(edges_of(nodes), own, strict=True) if at == node and n]
            assert len(left) == 2
    before = sum(p.numel() for p in model.parameters())
    apply_plan(model, plan, inputs)
    assert relative_error(gated, floating_outputs(model, inputs)) < 1e-6
    assert sum(p.numel() for p in model.parameters()) < before / 2
    save_model(model, tmp_path / "out", plan=plan)
    loaded = load_model_folder(tmp_path / "out")
    assert relative_error(floating_outputs(model, inputs), floating_outputs(loaded, inputs)) == 0
    with pytest.raises(PlanError, match="as many operations on every edge, two at least"):
        make_method("darts", {}).prepare(model, Context(inputs))


def test_a_search_that_was_broken_off_drops_nothing():
    model, inputs, plan, _ = searched(steps=2)
    assert plan == Plan()
    assert not any(isinstance(m, Edge) and (m.shares or m.kept) for m in model.modules())
    assert not hasattr(model, "compression_gates") and model(**inputs).logits.shape == (6, 3)


def test_what_was_chosen_is_in_the_state():
    model, inputs, _ = example()
    gates = make_method("darts", {}).prepare(model, Context(inputs))
    gates.advance(Progress(STEPS, STEPS, 0))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    other, *_ = example()
    make_method("darts", {}).prepare(other, Context(inputs))
    other.load_state_dict(state)
    kept = [m.kept for m in model.modules() if isinstance(m, Edge)]
    assert [m.kept for m in other.modules() if isinstance(m, Edge)] == kept and None not in kept


def test_edits_that_do_not_fit_are_refused():
    model, inputs, _ = example()
    full = [["skip_connect"]] * 5
    edit = {"op": "keep_operations", "normal": full, "reduction": full}
    with pytest.raises(PlanError, match="normal has 5 edges, the edit 1"):
        apply_plan(model, [edit | {"normal": [["none"]]}], inputs)
    with pytest.raises(PlanError, match="edge 1 of reduction has no conv, but none, max_pool_3x3"):
        apply_plan(model, [edit | {"reduction": [["none"], ["conv"], *full[2:]]}], inputs)
    with pytest.raises(PlanError, match="nothing leads to node 1 of normal"):
        apply_plan(model, [edit | {"normal": [*full[:2], [], [], []]}], inputs)
    bert, texts = FAMILIES["bert"]()
    with pytest.raises(PlanError, match=r"is for networks of cells .* and this is a bert"):
        apply_plan(bert, plan_from_json([edit]), texts)
    with pytest.raises(PlanError, match="darts searches networks of cells"):
        make_method("darts", {}).prepare(bert, Context(texts))


def test_a_second_search_begins_anew():
    model, inputs, _ = example()
    method, ctx = make_method("darts", {}), Context(inputs)
    for _ in range(2):
        gates = method.prepare(model, ctx)
        gates.advance(Progress(0, STEPS, 0))
        model(**inputs).logits.square().sum().backward()
        assert all(logits.grad.abs().sum() > 0 for logits in gates.parameters())
        gates.advance(Progress(STEPS, STEPS, 0))
        gates.close()
