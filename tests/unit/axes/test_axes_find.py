"""`find_axes` as a whole: leaves no trace, meta tensors, ties, errors, the container."""

import pytest
import torch
import transformers
from families import FAMILIES
from torch import nn
from transformers import BartConfig, BartForSequenceClassification, BertConfig, BertForMaskedLM

from nlpcompress.axes import find_axes
from nlpcompress.errors import AxisError, UnknownNameError


class Two(nn.Module):
    """Two linear layers; `tie` makes their weights one parameter, `share` one memory."""

    def __init__(self, *, tie=False, share=False):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.spare = nn.Linear(6, 6)
        self.register_buffer("table", torch.arange(6))
        if tie:
            self.b.weight = self.a.weight
        if share:
            self.b.weight = nn.Parameter(self.a.weight.detach().view(6, 6))

    def forward(self, x):
        return self.out(self.b(self.a(x).relu()).relu())


def inputs():
    return {"x": torch.randn(2, 6)}


def everything(model):
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    attributes = {
        n: {k: v for k, v in vars(m).items() if k[0] != "_"} for n, m in model.named_modules()
    }
    return (
        {n: (id(t), t.clone(), t.requires_grad, t.grad) for n, t in tensors.items()},
        {n: repr(sorted(a.items(), key=str)) for n, a in attributes.items()},
    )


@pytest.mark.parametrize("family", ["bert", "t5", "mobilenet_v2"])
def test_the_model_is_left_as_it_was(family):
    model, example = FAMILIES[family]()
    model.train()
    next(m for m in model.modules() if isinstance(m, nn.Dropout)).eval()
    next(model.parameters()).requires_grad_(False)
    before, example_before = everything(model), {k: v.clone() for k, v in example.items()}
    state = torch.get_rng_state()
    find_axes(model, example)
    after = everything(model)
    assert before[1] == after[1]
    assert before[0].keys() == after[0].keys()
    for name, (identity, tensor, requires_grad, gradient) in before[0].items():
        assert after[0][name][0] == identity
        assert torch.equal(after[0][name][1], tensor)
        assert after[0][name][2:] == (requires_grad, gradient)
    assert all(torch.equal(example[k], v) for k, v in example_before.items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_mode_is_put_back_when_the_export_fails():
    model = Two().train()
    with pytest.raises(AxisError):
        find_axes(model, {"x": torch.randn(2, 7)})
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("family", ["bert", "llama", "t5", "resnet_basic"])
def test_shapes_are_enough(family):
    model, example = FAMILIES[family]()
    real = find_axes(model, example)
    with torch.device("meta"):
        hollow = type(model)(model.config)
    assert list(find_axes(hollow, {k: v.to("meta") for k, v in example.items()})) == list(real)
    assert list(find_axes(hollow, example)) == list(real)
    assert all(p.is_meta and type(p) is nn.Parameter for p in hollow.parameters())


def test_the_length_and_size_of_the_batch_do_not_matter():
    model, example = FAMILIES["bert"]()
    single = {name: tensor[:1, :1] for name, tensor in example.items()}
    longer = {name: tensor.repeat(2, 3) for name, tensor in example.items()}
    assert list(find_axes(model, single)) == list(find_axes(model, example))
    assert list(find_axes(model, longer)) == list(find_axes(model, example))


def test_tied_parameters_are_one_tensor_under_their_first_name():
    axes = find_axes(Two(tie=True), inputs())
    tensors = {cut.tensor for axis in axes for cut in axis.slices}
    assert "a.weight" in tensors
    assert "b.weight" not in tensors
    assert axes[0].frozen == "a dimension of the model's input"


def test_the_tied_vocabulary_of_a_language_model_is_one_axis():
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=60,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=24,
        )
    )
    axes = find_axes(model, {"input_ids": torch.ones(1, 4, dtype=torch.long)})
    (vocabulary,) = [axis for axis in axes if axis.kind == "vocabulary"]
    assert {cut.tensor for cut in vocabulary.slices} == {
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.bias",
    }
    names = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    assert {cut.tensor for axis in axes for cut in axis.slices} <= names


def test_tensors_in_one_memory_are_frozen():
    axes = find_axes(Two(share=True), inputs())
    reasons = {(s.tensor, s.dim): axis.frozen for axis in axes for s in axis.slices}
    assert reasons["a.weight", 0] == reasons["b.weight", 0] == "shares memory with another tensor"
    assert axes.free() == ()


def test_what_the_example_does_not_use_is_frozen():
    axes = find_axes(Two(), inputs())
    reasons = {a.frozen for a in axes for cut in a.slices if cut.tensor.startswith("spare")}
    assert reasons == {"not used with these example inputs"}


def test_axes_by_name_position_and_kind():
    model, example = FAMILIES["bert"]()
    axes = find_axes(model, example)
    heads = axes["layers.1.heads"]
    assert heads in axes
    assert "layers.1.heads" in axes
    assert "layers.7.heads" not in axes
    assert axes[0] is next(iter(axes))
    assert axes.free("heads") == (axes["layers.0.heads"], heads)
    assert len(axes.free()) < len(axes)
    with pytest.raises(UnknownNameError, match=r"unknown axis 'layers.1.head'.*'layers.1.heads'"):
        axes["layers.1.head"]


def test_slices_and_taps_of_a_bert_layer():
    model, example = FAMILIES["bert"]()
    heads = find_axes(model, example)["layers.0.heads"]
    layer = "bert.encoder.layer.0.attention"
    assert heads.size == 4
    assert {tuple(cut) for cut in heads.slices} == {
        *(
            (f"{layer}.self.{p}.{t}", 0, 1, 8)
            for p in ("query", "key", "value")
            for t in ("weight", "bias")
        ),
        (f"{layer}.output.dense.weight", 1, 1, 8),
    }
    assert [tuple(tap) for tap in heads.taps] == [(f"{layer}.output.dense", 2, 1, 8)]


def test_a_model_that_cannot_be_read_says_so():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(AxisError, match=r"graph of Branching on x \(2, 6\).*must not branch"):
        find_axes(Branching(), inputs())


def test_no_inputs_is_an_error():
    with pytest.raises(AxisError, match="needs example inputs, got none"):
        find_axes(Two(), {})


@pytest.mark.skipif(transformers.__version__[0] == "4", reason="torch cannot export it there")
def test_sizes_that_depend_on_the_data_are_walked_over():
    """BART's classifier finds the last token by how many ends of a sentence there are."""
    config = BartConfig(
        vocab_size=60,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
    )
    model = BartForSequenceClassification(config).eval()
    axes = find_axes(model, {"input_ids": torch.tensor([[0, 5, 6, 2], [0, 7, 8, 2]])})
    assert axes["encoder.layers.0.neurons"].frozen is None
    assert axes["decoder.layers.0.heads"].frozen is None
    assert all(name.startswith("aten.") for name in axes.unknown_ops)


def test_an_axis_of_a_buffer_that_is_not_stored_is_frozen():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.out = nn.Linear(6, 5), nn.Linear(5, 3)
            self.register_buffer("scale", torch.rand(5), persistent=False)

        def forward(self, x):
            return self.out(self.a(x) * self.scale)

    (axis,) = [axis for axis in find_axes(Scaled(), inputs()) if axis.size == 5]
    assert axis.frozen == "in a buffer that transformers does not store"
