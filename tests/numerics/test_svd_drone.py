"""Low ranks for given inputs: as DRONE finds them, by brute force, and by their real errors."""

import numpy as np
import pytest
import torch

from nlpcompress.core.method import Context
from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import DataError, PlanError
from nlpcompress.methods.lowrank.svd import Spectrum, Svd, SvdConfig, decide, ranks_of_budget
from nlpcompress.models.factors import ranks
from nlpcompress.models.filters import chains
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import energies, input_moments, nearest_of_rank, token_counts
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert


@pytest.fixture
def problem():
    """A matrix, and inputs that lie near a few directions, `(300, 12)`."""
    torch.manual_seed(0)
    inputs = torch.randn(300, 4) @ torch.randn(4, 12) + 0.1 * torch.randn(300, 12)
    return torch.randn(9, 12), inputs


def error(matrix, near, inputs):
    """Mean over inputs of |W x - W' x|²."""
    return float(((matrix - near) @ inputs.T).double().square().sum() / len(inputs))


def drone(matrix, inputs, rank):
    """The paper's closed form, by the singular values of both W and X."""
    w, x = matrix.double().numpy(), inputs.double().numpy().T
    uw, sw, vw = np.linalg.svd(w, full_matrices=False)
    ux, sx, _ = np.linalg.svd(x, full_matrices=False)
    z = np.diag(sw) @ vw @ ux @ np.diag(sx)
    uz, sz, vz = np.linalg.svd(z, full_matrices=False)
    cut = uz[:, :rank] * sz[:rank] @ vz[:rank]
    return torch.from_numpy(uw @ cut @ np.diag(1 / sx) @ ux.T)


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_matrix_is_drones(problem, rank):
    matrix, inputs = problem
    near = nearest_of_rank(matrix, rank, inputs=inputs.T @ inputs / len(inputs))
    assert torch.allclose(near.double(), drone(matrix, inputs, rank), atol=1e-4)
    assert torch.linalg.matrix_rank(near) == rank


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_energies_are_the_errors_that_follow(problem, rank):
    matrix, inputs = problem
    moment = inputs.T @ inputs / len(inputs)
    values = energies(matrix, inputs=moment)
    near = nearest_of_rank(matrix, rank, inputs=moment)
    assert float(values[rank:].sum()) == pytest.approx(error(matrix, near, inputs), rel=1e-4)
    assert float(values.sum()) == pytest.approx(error(matrix, 0 * matrix, inputs), rel=1e-4)
    plain = nearest_of_rank(matrix, rank)
    assert error(matrix, near, inputs) < error(matrix, plain, inputs)
    left, middle, right = torch.linalg.svd(matrix, full_matrices=False)
    expected = left[:, :rank] * middle[:rank] @ right[:rank]
    assert torch.allclose(plain, expected, atol=1e-5)


def test_no_matrix_of_that_rank_is_nearer(problem):
    """Alternating least squares from several starts ends at the same error, and never below."""
    matrix, inputs = problem
    moment = (inputs.T @ inputs / len(inputs)).double()
    best = error(matrix, nearest_of_rank(matrix, 2, inputs=moment), inputs)
    ends = []
    for seed in range(3):
        right = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed)).double()
        for _ in range(300):
            left = matrix.double() @ moment @ right.T @ torch.linalg.inv(right @ moment @ right.T)
            right = torch.linalg.pinv(left) @ matrix.double()
        ends.append(error(matrix.double(), left @ right, inputs.double()))
    assert min(ends) == pytest.approx(best, rel=1e-3) and min(ends) > best * (1 - 1e-5)


def test_tokens_that_are_used_come_out_nearer():
    torch.manual_seed(0)
    table, counts = torch.randn(20, 8), torch.tensor([1000] * 5 + [1] * 15)
    near, plain = nearest_of_rank(table, 4, counts=counts), nearest_of_rank(table, 4)
    off = [(table - made).square().sum(1) for made in (near, plain)]
    assert off[0][:5].sum() < 0.1 * off[1][:5].sum() and off[0].sum() > off[1].sum()
    weighed = (counts.unsqueeze(1) * (table - near).square()).sum()
    assert float(energies(table, counts=counts)[4:].sum()) == pytest.approx(
        float(weighed), rel=1e-5
    )


def test_moments_are_those_of_the_inputs_without_padding():
    model, inputs = deep_bert()
    path = "bert.encoder.layer.1.attention.self.query"
    seen = []
    handle = model.get_submodule(path).register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    with torch.no_grad():
        model(**inputs)
        rows = seen[0][inputs["attention_mask"].bool()].double()
        longer = {name: torch.nn.functional.pad(value, (0, 4)) for name, value in inputs.items()}
        handle.remove()
    (moment,) = input_moments(model, {"q": [path]}, [inputs]).values()
    assert torch.allclose(moment, rows.T @ rows / len(rows), rtol=1e-4, atol=1e-6)
    (padded,) = input_moments(model, {"q": [path]}, [longer, longer]).values()
    assert torch.allclose(moment, padded, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="at least one"):
        input_moments(model, {"q": [path]}, [])


def test_tokens_are_counted_without_padding():
    _, inputs = deep_bert()
    counts = token_counts([inputs, inputs], 60)
    assert counts.sum() == 2 * inputs["attention_mask"].sum() and counts[1] == 0
    with pytest.raises(DataError, match="no input_ids"):
        token_counts([{"pixel_values": torch.zeros(1, 3, 4, 4)}], 60)


def spectrum(rows, columns, values):
    return Spectrum(rows, columns, torch.tensor(values, dtype=torch.float64))


def test_ranks_by_energy_are_the_least_that_hold_it():
    spectra = {"a": spectrum(40, 40, [8.0, 1.0, 0.5, 0.5] + [0.0] * 36)}
    for energy, rank in ((0.79, 1), (0.8, 1), (0.85, 2), (0.9, 2), (0.96, 4)):
        assert decide(spectra, SvdConfig(energy=energy)) == {"a": rank}


def test_a_budget_buys_ranks_where_they_hold_most():
    flat, steep = [1.0] * 10, [10.0] + [0.01] * 9
    spectra = {"flat": spectrum(10, 10, flat), "steep": spectrum(10, 10, steep)}
    found = ranks_of_budget(spectra, 0.5)
    assert found == {"flat": 4, "steep": 1}
    assert 20 * sum(found.values()) <= 100
    # The cheaper of two matrices with one spectrum gets more.
    spectra = {"wide": spectrum(10, 90, flat), "square": spectrum(10, 10, flat)}
    found = ranks_of_budget(spectra, 0.3)
    assert found == {"wide": 2, "square": 10}, "200 numbers, and 100 of the whole square"


def test_what_saves_nothing_stays_whole():
    spectra = {"whole": spectrum(10, 10, [1.0] * 10), "low": spectrum(60, 60, [1.0] + [0.0] * 59)}
    assert decide(spectra, SvdConfig(rank=5)) == {"low": 5}
    assert ranks_of_budget(spectra, 0.5)["whole"] == 10
    nothing = {"zero": spectrum(10, 10, [0.0] * 10), **spectra}
    assert ranks_of_budget(nothing, 0.5)["zero"] == 1
    with pytest.raises(PlanError, match="rank 30"):
        decide(spectra, SvdConfig(rank=30))


def test_the_plan_shrinks_the_body_by_what_was_asked():
    model, inputs = deep_bert()
    layers = layers_of(model)[1]
    before = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    method = Svd(SvdConfig(keep=0.4, weighting="activations"))
    plan = method.plan(model, Context(inputs, lambda: [inputs]))
    assert plan == plan_from_json(plan.to_json())
    with torch.no_grad():
        expected = model(**inputs).logits
        apply_plan(model, plan, inputs)
        assert torch.allclose(model(**inputs).logits, expected, atol=1e-5)
    after = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    assert 0.3 * before < after <= 0.4 * before


def test_shared_matrices_are_looked_at_together():
    model, inputs = deep_bert()
    apply_plan(model, [{"op": "share_layers", "layers": [0, 1, 2, 3], "part": "ffn"}], inputs)
    method = Svd(SvdConfig(rank=4, part="ffn", weighting="activations"))
    plan = method.plan(model, Context(inputs, lambda: [inputs]))
    assert len(plan) == 2
    apply_plan(model, plan, inputs)
    assert len(ranks(model)) == 8


@pytest.mark.parametrize("family", ["resnet_bottleneck", "mobilenet_v2", "regnet"])
def test_filters_are_matrices_of_all_that_they_see(family):
    model, inputs = FAMILIES[family]()
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    plan = Svd(SvdConfig(keep=0.5)).plan(model, Context(inputs))
    assert any(weights[edit.weight].shape[-1] == 1 for edit in plan), "1 × 1 ones, too"
    apply_plan(model, plan, inputs)
    assert len(chains(model)) == len(plan) > 1
    for edit in plan:
        near = chains(model)[edit.weight.removesuffix(".weight")].weight.detach().flatten(1)
        whole = weights[edit.weight].flatten(1)
        left = torch.linalg.svdvals(whole.double())[edit.rank :].norm()
        assert float((whole - near).norm()) == pytest.approx(float(left), rel=1e-3, abs=1e-5)


def test_a_model_without_matrices():
    model, inputs = FAMILIES["resnet_basic"]()
    model.resnet = torch.nn.Flatten()
    with pytest.raises(PlanError, match="no dense matrices"):
        Svd(SvdConfig(keep=0.5)).plan(model, Context(inputs))


@pytest.mark.parametrize("family", ["gpt2", "vit"])
def test_other_families(family):
    model, inputs = FAMILIES[family]()
    method = Svd(SvdConfig(keep=0.5, weighting="activations"))
    plan = method.plan(model, Context(inputs, lambda: [inputs]))
    with torch.no_grad():
        expected = model(**inputs)[0]
        assert torch.allclose(apply_plan(model, plan, inputs)(**inputs)[0], expected, atol=1e-4)


@pytest.mark.parametrize("given", [{"keep": 0.5, "rank": 3}, {"energy": 1.5}, {"rank": 0}])
def test_a_config_says_one_thing(given):
    with pytest.raises(ValueError, match=r"give one of them|less than 1|greater than or equal"):
        SvdConfig(**given)


def test_a_budget_that_nobody_meets_is_told():
    spectra = {"a": spectrum(64, 64, [1.0] * 64), "thin": spectrum(1, 64, [1.0])}
    with pytest.raises(PlanError, match=r"keep is 0\.01, but with rank 1 .* possible is 0\.0462"):
        decide(spectra, SvdConfig(keep=0.01))
