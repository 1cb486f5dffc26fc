"""Names by role."""

import pytest

from nlpcompress.axes.names import Scopes, common, numbered, role_name

BERT = ["bert.encoder.layer.0.attention.self.query", "bert.pooler.dense", "classifier"]


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("bert.encoder.layer.3.attention.self.query", ("layers.3",)),
        ("bert.pooler.dense", ("pooler",)),
        ("classifier", ("classifier",)),
        ("bert.embeddings.word_embeddings", ("embeddings",)),
        ("bert.encoder.relative_attention_bias", ()),
    ],
)
def test_prefix_and_shared_containers_are_left_out(path, scope):
    assert Scopes(BERT, "bert").of(path) == scope


def test_containers_that_differ_between_stacks_stay():
    paths = ["encoder.block.0.layer.0.SelfAttention.q", "decoder.block.1.layer.2.DenseReluDense.wi"]
    scopes = Scopes(paths, "transformer")
    assert [scopes.of(path) for path in paths] == [
        ("encoder", "layers.0"),
        ("decoder", "layers.1"),
    ]


def test_layers_within_stages_count_and_parts_of_a_layer_do_not():
    path = "resnet.encoder.stages.2.layers.1.layer.0.convolution"
    assert Scopes([path], "resnet").of(path) == ("stages.2", "layers.1")


def test_a_numbered_leaf_is_not_a_stack():
    paths = ["resnet.encoder.stages.0.layers.0.layer.0.convolution", "classifier.1"]
    scopes = Scopes(paths, "resnet")
    assert scopes.of("classifier.1") == ("classifier",)
    assert scopes.of(paths[0]) == ("stages.0", "layers.0")


def test_common_is_the_longest_shared_beginning():
    assert common([("encoder", "layers.0"), ("encoder", "layers.1")]) == ("encoder",)
    assert common([("layers.0",), ("embeddings",)]) == ()
    assert common([]) == ()


def test_only_heads_that_always_look_elsewhere_are_cross_heads():
    assert role_name("heads", ["decoder.block.0.layer.1.EncDecAttention.q"]) == "cross_heads"
    assert role_name("heads", ["a.crossattention.q", "a.attention.q"]) == "heads"
    assert role_name("neurons", ["a.crossattention.q"]) == "neurons"


def test_later_bearers_of_a_name_are_numbered():
    assert numbered(["a", "b", "a", "a"]) == ["a", "b", "a_2", "a_3"]
