"""Hessians by products against the dense one: products, eigenvalues, traces, densities."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from nlpcompress.errors import DataError
from nlpcompress.scoring.hessian import (
    BlockHessians,
    Runs,
    Sensitivity,
    blocks_of,
    sensitivities,
    spectral_nodes,
    top_eigenvalues,
    traces,
)
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

BLOCKS = {"first": ["0.weight", "0.bias"], "second": ["2.weight", "2.bias"]}


class Small(nn.Sequential):
    """A classifier, 5 → 8 → 3. (With squared errors eigenvalues would come in threes.)"""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x, labels):
        out = super().forward(x)
        return SimpleNamespace(loss=nn.functional.cross_entropy(out, labels), logits=out)


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "x": torch.randn(n, 5, generator=generator),
            "labels": torch.randint(3, (n,), generator=generator),
        }
        for n in sizes
    ]


def trained(data):
    """Where the gradient is small, as Q-BERT asks."""
    model, rows = Small(), joined(data)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        model(**rows).loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def joined(data):
    return {key: torch.cat([batch[key] for batch in data]) for key in data[0]}


def dense(model, data, names):
    """The block of the Hessian of the mean loss over all rows, by torch.func."""
    whole = joined(data)
    shapes = {name: model.get_parameter(name).shape for name in names}

    def loss(flat):
        pieces = flat.split([shape.numel() for shape in shapes.values()])
        values = {n: p.view(s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}
        return functional_call(model, values, (), whole).loss

    flat = torch.cat([model.get_parameter(name).detach().flatten() for name in names])
    return torch.func.hessian(loss)(flat).detach()


@pytest.fixture(scope="module")
def small():
    data = batches(6, 3, 1)
    model = trained(data)
    return model, data, {block: dense(model, data, names) for block, names in BLOCKS.items()}


def test_products_are_those_of_the_dense_blocks(small):
    model, data, blocks = small
    hessians = BlockHessians(model, BLOCKS, data)
    vectors = hessians.random_vectors(torch.Generator().manual_seed(3))
    with hessians.opened():
        products = hessians.times(vectors)
        (alone,) = hessians.times({"second": vectors["second"]}).values()
    for block, matrix in blocks.items():
        assert torch.allclose(products[block], matrix @ vectors[block], atol=1e-5)
    assert torch.allclose(alone, products["second"])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("count", [1, 4])
def test_top_eigenvalues_with_their_signs(small, count):
    model, data, blocks = small
    hessians = BlockHessians(model, BLOCKS, data)
    with hessians.opened():
        found = top_eigenvalues(hessians, count=count, tolerance=1e-3)
    for block, matrix in blocks.items():
        exact = torch.linalg.eigvalsh(matrix.double())
        exact = exact[exact.abs().argsort(descending=True)][:count]
        assert torch.allclose(found[block], exact, rtol=0.01, atol=0.01 * float(exact[0].abs()))


def test_a_block_that_is_done_costs_no_more_products(small):
    model, data, _ = small
    hessians = BlockHessians(model, {"first": BLOCKS["first"], "bias": ["2.bias"]}, data)
    asked, plain = [], hessians.times
    hessians.times = lambda vectors: asked.append(set(vectors)) or plain(vectors)
    with hessians.opened():
        top_eigenvalues(hessians, tolerance=1e-3)
    assert asked[0] == {"first", "bias"} and asked[-1] == {"first"}
    assert len(asked) < 15


@pytest.fixture(scope="module")
def smallest():
    """One batch and one block: many cheap draws."""
    data = batches(10)
    model = trained(data)
    names = {"second": BLOCKS["second"]}
    return BlockHessians(model, names, data), dense(model, data, BLOCKS["second"]).double()


def test_traces_lie_within_their_error(smallest):
    hessians, matrix = smallest
    with hessians.opened():
        (found,) = traces(hessians, draws=4000).values()
    exact = float(matrix.trace())
    assert found.mean == pytest.approx(exact, abs=4 * found.error)
    assert found.mean == pytest.approx(exact, rel=0.01)


def test_densities_have_the_moments_of_the_spectrum(smallest):
    hessians, matrix = smallest
    with hessians.opened():
        ((values, shares),) = spectral_nodes(hessians, steps=27, draws=100).values()
    exact = torch.linalg.eigvalsh(matrix)
    assert float(shares.sum()) == pytest.approx(1)
    assert float((shares * values).sum()) == pytest.approx(float(exact.mean()), rel=0.1)
    assert float((shares * values**2).sum()) == pytest.approx(float(exact.square().mean()), rel=0.1)
    # Each point is an eigenvalue: this block has fewer than there are steps.
    heavy = values[shares > 1e-4]
    assert float((heavy[:, None] - exact).abs().min(dim=1).values.max()) < 1e-4


@pytest.mark.parametrize("family", ["bert", "modernbert", "vit", "resnet_basic"])
def test_a_transformer_is_differentiated_twice_and_put_back(family):
    model, inputs = FAMILIES[family]()
    names = [n for n, p in model.named_parameters() if p.dim() > 1][-3:-1]
    batch = {**inputs, "labels": torch.tensor([0, 1])}
    hessians = BlockHessians(model, {"block": names}, [batch])
    model.train()
    with hessians.opened():
        (vector,) = hessians.random_vectors(torch.Generator().manual_seed(0)).values()
        (product,) = hessians.times({"block": vector}).values()
    assert model.training and all(p.requires_grad for p in model.parameters())
    # The difference of two gradients, along the vector.
    model.eval().double()
    batch = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    step, ends = 1e-4, []
    own = [model.get_parameter(name) for name in names]
    pieces = vector.double().split([p.numel() for p in own])
    for side in (step, -2 * step):
        with torch.no_grad():
            for parameter, piece in zip(own, pieces, strict=True):
                parameter.add_(side * piece.view(parameter.shape))
        ends.append(torch.autograd.grad(model(**batch).loss, own))
    slope = torch.cat([(a - b).flatten() for a, b in zip(*ends, strict=True)]) / (2 * step)
    assert torch.allclose(product.double(), slope, rtol=1e-2, atol=1e-3 * float(slope.abs().max()))


def test_gradient_norms(small):
    model, data, _ = small
    hessians = BlockHessians(model, BLOCKS, data)
    with hessians.opened():
        norms = hessians.gradient_norms()
    whole = joined(data)
    for block, names in BLOCKS.items():
        own = torch.autograd.grad(model(**whole).loss, [model.get_parameter(n) for n in names])
        exact = float(torch.cat([g.flatten() for g in own]).norm())
        assert norms[block] == pytest.approx(exact, rel=1e-5)


def test_what_has_no_loss_or_no_batch_is_refused():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(DataError, match="at least one"):
        BlockHessians(model, {"b": ["classifier.weight"]}, [])
    hessians = BlockHessians(model, {"b": ["classifier.weight"]}, [inputs])
    with hessians.opened(), pytest.raises(DataError, match="labelled"):
        hessians.gradient_norms()


def test_omega_is_the_mean_and_the_spread_of_the_runs():
    assert Sensitivity((-3.0, -1.0)).omega == pytest.approx(2 + 1)
    assert Sensitivity((2.5,)).omega == 2.5
    assert Sensitivity((-3.0, 1.0), "trace").omega == 1.0


def test_sensitivities_are_the_top_eigenvalues_of_each_part(small):
    model, data, _ = small
    found = sensitivities(model, BLOCKS, lambda run: [data[run]], Runs(2, tolerance=1e-4))
    for block, names in BLOCKS.items():
        for run, value in enumerate(found[block].values):
            exact = torch.linalg.eigvalsh(dense(model, [data[run]], names).double())
            assert value == pytest.approx(float(exact[exact.abs().argmax()]), rel=0.01)


def test_sensitivities_by_traces_are_means_over_the_diagonal_of_each_part(small):
    model, data, _ = small
    runs = Runs(2, "trace", draws=1500)
    found = sensitivities(model, BLOCKS, lambda run: [data[run]], runs)
    for block, names in BLOCKS.items():
        exact = [float(dense(model, [data[run]], names).diagonal().mean()) for run in range(2)]
        assert found[block].values == pytest.approx(exact, rel=0.1)
        assert found[block].omega == pytest.approx(abs(sum(exact) / 2), rel=0.1)


@pytest.mark.parametrize("kind", ["eigenvalue", "trace"])
def test_a_model_that_has_not_converged_is_warned_of(small, recwarn, kind):
    model, data, _ = small
    sensitivities(model, BLOCKS, lambda _: data, Runs(1, kind))
    assert not [w for w in recwarn if "converged" in str(w.message)]
    with pytest.warns(UserWarning, match="has not converged") as warned:
        sensitivities(Small(), BLOCKS, lambda _: data, Runs(1, kind))
    assert [w.filename for w in warned] == [__file__]


def test_blocks_by_layer_module_and_matrix():
    model, _ = FAMILIES["bert"]()
    layers = blocks_of(model, "layers")
    assert list(layers) == ["layers.0", "layers.1"] and len(layers["layers.0"]) == 16
    modules, matrices = blocks_of(model, "modules"), blocks_of(model, "matrices")
    assert list(modules) == list(matrices) and len(modules) == 12
    query = "bert.encoder.layer.0.attention.self.query"
    assert modules[query] == (f"{query}.weight", f"{query}.bias")
    assert matrices[query] == (f"{query}.weight",)


def test_shared_weights_are_in_one_block():
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [{"op": "share_layers", "layers": [0, 1], "part": "ffn"}], inputs)
    layers = blocks_of(model, "layers")
    assert not set(layers["layers.0"]) & set(layers["layers.1"])
    assert not any("intermediate" in name for name in layers["layers.1"])
    assert len(blocks_of(model, "matrices")) == 10
