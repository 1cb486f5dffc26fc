"""Saliency: every family, masked weights, batches that do not weigh alike, and no trace left."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nlpcompress.errors import DataError
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import grasp_scores, snip_scores, synflow_scores
from tests.chain import Chain
from tests.families import FAMILIES, bert, image_inputs, resnet_basic

SCORED = ["bert", "gpt2", "mobilenet_v2", "resnet_basic"]
EVERY = [*SCORED, "albert", "deberta_v2", "distilbert", "llama", "modernbert"]
EVERY += ["t5", "vit"]
ASKING = ("q", "k", "q_proj", "k_proj", "query_proj", "key_proj")


def labelled(name):
    """A model, its body's weights, and one batch with labels."""
    model, inputs = FAMILIES[name]()
    labels = inputs["decoder_input_ids"] if name == "t5" else torch.tensor([0, 2])
    batch = {**inputs, "labels": labels}
    with torch.no_grad():
        model(**batch)  # transformers notes the type of the problem at the first loss
    return model, body_weights(model), batch


def all_scores(model, weights, batch):
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    return {
        "snip": snip_scores(model, weights, [batch]),
        "grasp": grasp_scores(model, weights, [batch]),
        "synflow": synflow_scores(model, weights, inputs),
    }


def without_a_score(scores):
    """Names of weights that score nothing beside the largest, up to the rounding of float64."""
    largest = {name: float(score.abs().max()) for name, score in scores.items()}
    return {name for name, value in largest.items() if value <= 1e-6 * max(largest.values())}


@pytest.mark.parametrize("name", EVERY)
def test_every_family_gets_a_score_for_each_weight_of_its_body(name):
    model, weights, batch = labelled(name)
    for criterion, scores in all_scores(model, weights, batch).items():
        assert list(scores) == list(weights)
        for key, score in scores.items():
            assert score.shape == weights[key].shape and not score.requires_grad
            assert score.isfinite().all(), (criterion, key)
            assert (score >= 0).all() or criterion == "grasp"
            assert score.dtype == (torch.float64 if criterion == "synflow" else torch.float32)
        silent = without_a_score(scores)
        if criterion == "synflow" and name == "modernbert":
            assert silent == set(weights), "layer norm makes zeros of ones"
        elif criterion == "synflow" and name in ("deberta_v2", "llama", "t5"):
            own = [key for key in weights if "EncDec" not in key]
            assert silent & set(own) == {key for key in own if key.split(".")[-2] in ASKING}
        else:
            assert not silent, criterion


@pytest.mark.parametrize("name", SCORED)
def test_scoring_leaves_no_trace(name):
    model, weights, batch = labelled(name)
    model.train()
    frozen = next(model.parameters()).requires_grad_(False)
    kept = [p.requires_grad for p in model.parameters()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    ceilings = [m for m in model.modules() if isinstance(m, nn.ReLU6)]
    assert bool(ceilings) == (name == "mobilenet_v2")
    config = model.config.to_json_string(use_diff=False)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    fused = torch.backends.cuda.flash_sdp_enabled()
    all_scores(model, weights, batch)
    assert all(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == kept and not frozen.requires_grad
    assert all(p.grad is None for p in model.parameters())
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(after[key].dtype == value.dtype for key, value in before.items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]
    assert model.config.to_json_string(use_diff=False) == config
    assert torch.backends.cuda.flash_sdp_enabled() == fused
    assert all(activation.max_val == 6 for activation in ceilings)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("name", SCORED)
def test_values_that_are_given_count_and_not_those_in_the_model(name):
    model, weights, batch = labelled(name)
    generator = torch.Generator().manual_seed(0)
    masks = {key: torch.rand(w.shape, generator=generator) > 0.5 for key, w in weights.items()}
    masked = {key: weight.detach() * masks[key] for key, weight in weights.items()}
    given = all_scores(model, masked, batch)
    with torch.no_grad():
        for key, weight in weights.items():
            weight.mul_(masks[key])
    held = all_scores(model, weights, batch)
    for criterion, found in given.items():
        for key, score in found.items():
            assert torch.equal(score, held[criterion][key]), (criterion, key)
            assert not score[~masks[key]].any()


def split(batch, *sizes):
    parts = zip(*(value.split(sizes) for value in batch.values()), strict=True)
    return [dict(zip(batch, values, strict=True)) for values in parts]


def assert_alike(a, b):
    for key, score in a.items():
        assert torch.allclose(score, b[key], rtol=1e-3, atol=float(score.abs().max()) * 1e-4), key


def triple(name):
    model, weights, batch = labelled(name)
    more = {key: torch.cat([value, value[:1].roll(1, -1)]) for key, value in batch.items()}
    return model, weights, more


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
@pytest.mark.parametrize("name", ["bert", "resnet_basic"])
def test_scores_do_not_depend_on_how_examples_are_batched(name, score):
    model, weights, batch = triple(name)
    together = score(model, weights, [batch])
    assert_alike(together, score(model, weights, split(batch, 2, 1)))
    assert_alike(together, score(model, weights, split(batch, 1, 1, 1)))


class Tagger(nn.Module):
    """A label a token."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.out = nn.Linear(4, 3)

    def forward(self, x, labels):
        logits = self.out(x)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return SimpleNamespace(loss=loss, logits=logits)


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
def test_each_label_counts_once_and_ignored_ones_never(score):
    model = Tagger()
    weights = {"out.weight": model.out.weight}
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[0, 1, 2, 0, 1], [2, -100, -100, -100, -100], [-100] * 5])
    batch = {"x": x, "labels": labels}
    assert_alike(score(model, weights, [batch]), score(model, weights, split(batch, 1, 1, 1)))


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
def test_causal_models_do_not_count_the_first_label(score):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=12)
    model = GPT2LMHeadModel(config).eval()
    ids = torch.randint(0, 20, (2, 8), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[1, 3:] = -100
    weights = body_weights(model)
    batch = {"input_ids": ids, "labels": labels}
    assert_alike(score(model, weights, [batch]), score(model, weights, split(batch, 1, 1)))
    own, ours = (grasp_scores(model, weights, [batch], temperature=t) for t in (1.0, 1.0 + 1e-6))
    assert_alike(own, ours)


def test_grasp_is_the_same_under_every_attention_implementation():
    model, weights, batch = labelled("bert")
    assert model.config._attn_implementation == "sdpa"
    fused = grasp_scores(model, weights, [batch])
    model.set_attn_implementation("eager")
    assert_alike(fused, grasp_scores(model, weights, [batch]))


def test_labels_that_are_no_classes_have_no_temperature():
    model, inputs = bert()
    model.config.problem_type = "multi_label_classification"
    batch = {**inputs, "labels": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])}
    weights = body_weights(model)
    warm, hot = (grasp_scores(model, weights, [batch], temperature=t) for t in (1.0, 200.0))
    assert all(torch.equal(warm[key], hot[key]) for key in warm)


@pytest.mark.parametrize("score", [snip_scores, grasp_scores])
def test_scores_of_a_loss_need_labels(score):
    model, inputs = bert()
    with pytest.raises(DataError, match="no loss for a batch of input_ids, attention_mask"):
        score(model, body_weights(model), [inputs])
    with pytest.raises(DataError, match="at least one labelled batch"):
        score(model, body_weights(model), [])


def test_synflow_reads_no_pictures():
    model, inputs = resnet_basic()
    weights = body_weights(model)
    one, other = (
        synflow_scores(model, weights, {"pixel_values": values})
        for values in (inputs["pixel_values"], image_inputs()["pixel_values"] * 7 - 3)
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_synflow_reads_no_tokens_but_embeddings_of_ones():
    """The same as handing the ones over, as `inputs_embeds`, to the absolute model."""
    model, inputs = bert()
    weights = body_weights(model)
    scores = synflow_scores(model, weights, inputs)
    padded = {key: value.flip(0) for key, value in inputs.items()}
    again = synflow_scores(model, weights, padded)
    assert all(torch.allclose(scores[key], again[key], rtol=1e-12) for key in scores)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    length = inputs["input_ids"].shape[1]
    ones = torch.ones(1, length, model.config.hidden_size, dtype=torch.float64)
    flow = model(inputs_embeds=ones).logits.sum()
    found = torch.autograd.grad(flow, list(weights.values()))
    for (key, score), gradient in zip(scores.items(), found, strict=True):
        assert torch.allclose(score, (gradient * weights[key]).abs().detach(), rtol=1e-9), key


def test_the_signs_of_weights_biases_and_norms_are_nothing_to_synflow():
    model, inputs = resnet_basic()
    weights = body_weights(model)
    scores = synflow_scores(model, weights, inputs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(torch.where(torch.rand(parameter.shape) > 0.5, 1.0, -1.0))
    again = synflow_scores(model, weights, inputs)
    assert all(torch.equal(scores[key], again[key]) for key in scores)


def test_paths_too_large_for_float32_are_no_trouble():
    torch.manual_seed(0)
    model = Chain(*(nn.Linear(64, 64, bias=False) for _ in range(12)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1000)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    scores = synflow_scores(model, weights, {"values": torch.ones(1, 64)})
    largest = max(float(score.max()) for score in scores.values())
    assert largest > torch.finfo(torch.float32).max and largest < float("inf")


def test_an_encoder_and_a_decoder_both_read_ones():
    model, inputs = FAMILIES["t5"]()
    weights = body_weights(model)
    scores = synflow_scores(model, weights, inputs)
    changed = {key: (v + 3) % 50 if "ids" in key else v for key, v in inputs.items()}
    again = synflow_scores(model, weights, changed)
    assert all(torch.equal(scores[key], again[key]) for key in scores)
