"""Every free axis of every family: masked by zeroing = cut for real. What is frozen, and why."""

import copy
from functools import cache

import pytest
import torch
from families import FAMILIES
from torch.func import functional_call

from nlpcompress.axes import Axes, find_axes
from nlpcompress.core.edits import Keep
from nlpcompress.surgery.keep import cut, kept_masks

TOLERANCE = 1e-5
CUTTABLE = ("heads", "kv_heads", "neurons", "channels", "groups")

# Names of all free axes, the same on both generations of transformers.
FREE = {
    "bert": "layers.{0,1}.heads layers.{0,1}.neurons pooler.neurons",
    "roberta": "layers.{0,1}.heads layers.{0,1}.neurons classifier.neurons",
    "distilbert": "layers.{0,1}.heads layers.{0,1}.neurons pre_classifier.neurons",
    "electra": "layers.{0,1}.heads layers.{0,1}.neurons classifier.neurons",
    "albert": "groups.0.layers.0.heads groups.0.layers.0.neurons pooler.neurons",
    "mpnet": "heads layers.{0,1}.neurons classifier.neurons",
    "deberta_v2": "layers.{0,1}.heads layers.{0,1}.neurons pooler.neurons",
    "modernbert": "layers.{0,1,2}.heads layers.{0,1,2}.neurons",
    "vit": "layers.{0,1}.heads layers.{0,1}.neurons",
    "llama": "layers.{0,1}.kv_heads layers.{0,1}.heads layers.{0,1}.neurons",
    "gpt2": "layers.{0,1}.heads layers.{0,1}.neurons",
    "t5": "encoder.heads decoder.heads decoder.cross_heads "
    "encoder.layers.{0,1}.neurons decoder.layers.{0,1}.neurons",
    "resnet_basic": "embedder.channels stages.{0,1}.channels stages.{0,1}.layers.{0,1}.channels "
    "stages.2.layers.0.channels{,_2}",
    "resnet_bottleneck": "embedder.channels stages.{0,1}.channels "
    "stages.{0,1}.layers.{0,1}.channels{,_2} stages.2.layers.0.channels{,_2,_3}",
    "mobilenet_v1": "conv_stem.channels layers.{1,3,5,7,9,11,13,15,17,19,21,23,25}.channels",
    "mobilenet_v2": "conv_stem.channels{,_2} conv_1x1.channels channels{,_2,_3,_4,_5} "
    "layers.{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}.channels layers.15.channels_2",
    "regnet": "embedder.channels stages.{0,1}.layers.0.groups stages.1.layers.1.groups "
    "stages.0.layers.0.channels{,_2,_3,_4} stages.1.channels "
    "stages.1.layers.{0,1}.channels{,_2,_3}",
    "convnext": "stages.{0,2}.layers.0.neurons stages.1.layers.{0,1}.neurons",
}

# No axis of a cuttable kind is frozen in any family. What is frozen of the other kinds:
LAYER_NORM, RMS_NORM = "normalised by layer norm", "averaged over"
SCALE = "the attention scale depends on the head size"
HEAD_SIZE = "the head size is a constant in the model's code"
ROTARY = "concatenated with something else"
IDS = "looked up by ids that come with the data"
PARTS = "equal parts of one projection, used differently"
OUTPUT = "a dimension of the model's output"
ENCODER = {("width", LAYER_NORM), ("head_dim", HEAD_SIZE), ("vocabulary", IDS), ("labels", OUTPUT)}
ENCODER |= {("positions", IDS)}
FUSED_ATTENTION = {("head_dim", SCALE)}
CNN = {("labels", OUTPUT)}
FROZEN = {
    "bert": ENCODER | FUSED_ATTENTION | {("token_types", IDS)},
    "roberta": ENCODER | FUSED_ATTENTION | {("token_types", IDS)},
    "distilbert": ENCODER | FUSED_ATTENTION,
    "electra": ENCODER | FUSED_ATTENTION | {("token_types", IDS)},
    "albert": ENCODER | FUSED_ATTENTION | {("token_types", IDS)},
    "mpnet": ENCODER,
    "deberta_v2": ENCODER - {("positions", IDS)},
    "modernbert": {("width", LAYER_NORM), ("head_dim", ROTARY), ("parts", PARTS)}
    | {("vocabulary", IDS), ("labels", OUTPUT)},
    "vit": {
        ("width", LAYER_NORM),
        ("head_dim", SCALE),
        ("head_dim", HEAD_SIZE),
        ("labels", OUTPUT),
    },
    "llama": {("width", RMS_NORM), ("head_dim", ROTARY), ("head_dim", HEAD_SIZE)}
    | {("vocabulary", IDS), ("labels", OUTPUT)},
    "gpt2": ENCODER - {("head_dim", HEAD_SIZE)} | FUSED_ATTENTION | {("parts", PARTS)},
    "t5": {("width", RMS_NORM), ("head_dim", HEAD_SIZE), ("positions", IDS), ("vocabulary", IDS)}
    | FUSED_ATTENTION,
    "resnet_basic": CNN,
    "resnet_bottleneck": CNN,
    "mobilenet_v1": CNN,
    "mobilenet_v2": CNN,
    "regnet": CNN,
    "convnext": CNN | {("width", LAYER_NORM)},
}
# Not by the fused operation, but by two products and a softmax, in transformers 4.57.
UNFUSED_ONCE = {"electra", "t5"}


@cache
def analysed(family: str) -> Axes:
    model, inputs = FAMILIES[family]()
    return find_axes(model, inputs)


def half(axis, seed=0):
    """A random half of the positions, never all and never none."""
    generator = torch.Generator().manual_seed(seed + axis.size)
    kept = torch.randperm(axis.size, generator=generator)[: max(1, axis.size // 2)]
    return tuple(sorted(kept.tolist()))


def masked_logits(model, axes, kept, inputs):
    """The full model with every slice of every dropped position set to zero."""
    tensors = {
        n: t.detach().clone() for n, t in (*model.named_parameters(), *model.named_buffers())
    }
    for axis in (axes[name] for name in kept):
        dropped = sorted(set(range(axis.size)) - set(kept[axis.name]))
        for name, dim, before, after in axis.slices:
            parts = tensors[name].unflatten(dim, (before, axis.size, after))
            parts.index_fill_(dim + 1, torch.tensor(dropped), 0)
    with torch.no_grad():
        return functional_call(model, tensors, (), inputs).logits


def cut_logits(model, axes, kept, inputs):
    smaller = copy.deepcopy(model)
    edits = [Keep(axis=name, indices=indices) for name, indices in kept.items()]
    cut(smaller, kept_masks(smaller, axes, edits))
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        return smaller(**inputs).logits


def error_of(model, axes, kept, inputs):
    expected = masked_logits(model, axes, kept, inputs)
    actual = cut_logits(model, axes, kept, inputs)
    return relative(expected, actual)


def relative(expected, actual):
    return float((expected - actual).abs().max() / expected.abs().max())


def spelled_out(names: str) -> set[str]:
    """`a.{0,1}.b{,_2}` → four names, as a shell would."""
    found = set()
    for name in names.split():
        head, brace, rest = name.partition("{")
        if not brace:
            found.add(name)
            continue
        choices, _, tail = rest.partition("}")
        for choice in choices.split(","):
            found |= spelled_out(head + choice + tail)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_each_free_axis_is_exact(family):
    model, inputs = FAMILIES[family]()
    axes = analysed(family)
    errors = {a.name: error_of(model, axes, {a.name: half(a)}, inputs) for a in axes.free()}
    wrong = {name: error for name, error in errors.items() if not error < TOLERANCE}
    assert errors
    assert wrong == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_free_axes_together_are_exact(family):
    model, inputs = FAMILIES[family]()
    axes = analysed(family)
    assert error_of(model, axes, {a.name: half(a, seed=1) for a in axes.free()}, inputs) < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_masking_a_whole_axis_changes_the_output(family):
    model, inputs = FAMILIES[family]()
    axes = analysed(family)
    with torch.no_grad():
        whole = model(**inputs).logits
    for axis in axes.free():
        masked = masked_logits(model, axes, {axis.name: ()}, inputs)
        assert relative(whole, masked) > 1e-4, axis.name


@pytest.mark.parametrize("family", FAMILIES)
def test_free_axes_are_the_expected_ones(family):
    axes = analysed(family)
    assert {axis.name for axis in axes.free()} == spelled_out(FREE[family])
    assert {axis.kind for axis in axes.free()} <= set(CUTTABLE)


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_axes_are_the_expected_ones(family):
    frozen = {(a.kind, a.frozen) for a in analysed(family) if a.frozen and a.kind != "other"}
    expected = FROZEN[family]
    if family in UNFUSED_ONCE and ("head_dim", SCALE) not in frozen:
        expected = expected - FUSED_ATTENTION
    assert frozen == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_no_operation_is_unknown(family):
    assert analysed(family).unknown_ops == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_gates_on_all_taps_equal_the_mask(family):
    model, inputs = FAMILIES[family]()
    axes = analysed(family)
    for axis in axes.free():
        expected = masked_logits(model, axes, {axis.name: half(axis)}, inputs)
        actual = gated_logits(model, axis, half(axis), inputs)
        assert relative(expected, actual) < TOLERANCE, axis.name


def gated_logits(model, axis, kept, inputs):
    gate = torch.zeros(axis.size)
    gate[list(kept)] = 1.0
    assert axis.taps
    handles = [
        model.get_submodule(tap.module).register_forward_pre_hook(gating(tap, gate))
        for tap in axis.taps
    ]
    try:
        with torch.no_grad():
            return model(**inputs).logits
    finally:
        for handle in handles:
            handle.remove()


def gating(tap, gate):
    def hook(module, args):
        x = args[0]
        wide = gate.repeat_interleave(tap.after).repeat(tap.before)
        return (x * wide.view(-1, *[1] * (x.ndim - tap.dim - 1)), *args[1:])

    return hook
