"""Zero-cost proxies against slow derivations of their definitions, on real architectures."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from nlpcompress.models.weights import body_layers, body_weights
from nlpcompress.scoring.proxies import PROXIES, votes, zero_cost_proxies
from tests.families import FAMILIES

SIZE = 4


def example(family):
    torch.manual_seed(0)
    model, inputs = FAMILIES[family]()
    tokens = {
        name: values[:1].repeat(SIZE, *[1] * (values.dim() - 1)) for name, values in inputs.items()
    }
    if "input_ids" in tokens:
        tokens["input_ids"] = torch.randint(5, 60, tokens["input_ids"].shape)
    else:
        tokens["pixel_values"] = torch.randn(tokens["pixel_values"].shape)
    return model.eval(), {**tokens, "labels": torch.arange(SIZE) % 2}


@pytest.fixture(params=["bert", "resnet_basic"])
def network(request):
    return example(request.param)


def test_the_norm_of_gradients_is_summed_over_layers(network):
    model, batch = network
    loss = model(**batch).loss
    loss.backward()
    norms = [w.grad.square().sum().sqrt().item() for w in body_weights(model).values()]
    model.zero_grad()
    assert PROXIES["grad_norm"](model, batch) == pytest.approx(sum(norms), rel=1e-4)


def test_snip_is_the_gradient_times_the_weight(network):
    model, batch = network
    model(**batch).loss.backward()
    total = sum((w.grad * w).abs().sum().item() for w in body_weights(model).values())
    model.zero_grad()
    assert PROXIES["snip"](model, batch) == pytest.approx(total, rel=1e-4)


def test_grasp_is_what_a_step_along_the_gradient_changes(network):
    """-w · H g by a difference of gradients, in float64."""
    model, batch = copy.deepcopy(network[0]).double(), dict(network[1])
    batch = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    weights = list(body_weights(model).values())

    def gradients():
        return torch.autograd.grad(model(**batch).loss, weights)

    base = gradients()
    step = 1e-6 / torch.cat([gradient.flatten() for gradient in base]).norm().item()
    for weight, gradient in zip(weights, base, strict=True):
        weight.data.add_(gradient, alpha=step)
    moved = gradients()
    products = [(b - a) / step for a, b in zip(base, moved, strict=True)]
    total = -sum((w * p).sum().item() for w, p in zip(weights, products, strict=True))
    assert PROXIES["grasp"](*network) == pytest.approx(total, rel=1e-2)


def test_fisher_is_of_each_channels_gate(network):
    """The derivative by a gate of 1 on a channel of one example is Σ ∂L/∂z · z over its places."""
    model, batch = network
    total = 0.0
    for layer in body_layers(model).values():
        channels = layer.weight.shape[0]
        gates = torch.ones(SIZE, channels, requires_grad=True)

        def gated(module, args, output, gates=gates, channels=channels):
            places = [1] * (output.dim() - 2)
            is_map = isinstance(module, nn.Conv2d)
            shape = (SIZE, channels, *places) if is_map else (SIZE, *places, channels)
            return output * gates.view(shape)

        handle = layer.register_forward_hook(gated)
        (found,) = torch.autograd.grad(model(**batch).loss, gates)
        handle.remove()
        total += 0.5 * found.square().mean(0).sum().item()
    assert PROXIES["fisher"](model, batch) == pytest.approx(total, rel=1e-4)


def test_codes_agree_where_activations_are_on_one_side_of_zero(network):
    model, batch = network
    codes = [[] for _ in range(SIZE)]

    def note(module, args, output):
        for number, values in enumerate(args[0]):
            codes[number].append((values > 0).flatten().numpy())

    kinds = ("ReLU", "GELUActivation", "Tanh")
    handles = [
        module.register_forward_hook(note)
        for module in model.modules()
        if type(module).__name__ in kinds
    ]
    with torch.no_grad():
        model(**batch)
    for handle in handles:
        handle.remove()
    rows = [np.concatenate(own) for own in codes]
    kernel = np.array([[float((a == b).sum()) for b in rows] for a in rows])
    assert len(rows[0]) > 50
    assert PROXIES["naswot"](model, batch) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-6)


def test_jacobians_are_of_each_example_and_compared_as_correlations(network):
    model, batch = network
    rows = []
    for number in range(SIZE):
        one = {name: values[number : number + 1] for name, values in batch.items()}
        one.pop("labels")
        if "pixel_values" in one:
            at = one["pixel_values"].clone().requires_grad_()
            logits = model(pixel_values=at).logits
        else:
            ids = one.pop("input_ids")
            at = model.get_input_embeddings()(ids).detach().requires_grad_()
            logits = model(inputs_embeds=at, **one).logits
        rows.append(torch.autograd.grad(logits.sum(), at)[0].flatten().double().numpy())
    values = np.linalg.eigvalsh(np.corrcoef(np.array(rows))) + 1e-5
    wanted = -(np.log(values) + 1 / values).sum()
    assert PROXIES["jacobian_covariance"](model, batch) == pytest.approx(wanted, rel=1e-3)


def test_all_are_told_beside_the_parameters_and_leave_no_trace(network):
    model, batch = network
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = zero_cost_proxies(model, batch)
    assert list(found) == ["parameters", *PROXIES]
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert all(np.isfinite(value) for value in found.values())
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert torch.random.get_rng_state().equal(state)


def test_a_vote_is_won_by_most():
    found = [
        {"a": 3, "b": 1, "c": 1},
        {"a": 2, "b": 2, "c": 2},
        {"a": 1, "b": 3, "c": 3},
    ]
    assert votes(found, ["a", "b", "c"]) == [0, 1, 2]
