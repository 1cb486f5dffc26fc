"""What hooks read in a pass is what the model itself would hand out."""

import pytest
import torch

from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.models.features import Features
from tests.families import FAMILIES

LAYERED = ["bert", "roberta", "distilbert", "electra", "deberta_v2", "modernbert", "gpt2", "llama"]
ATTENTIVE = ["bert", "distilbert", "modernbert", "vit", "gpt2", "llama"]


def run(family, features=None, **flags):
    model, inputs = FAMILIES[family]()
    model.eval()
    with torch.no_grad():
        return model, model(**inputs, **flags), inputs


@pytest.mark.parametrize("family", LAYERED)
def test_states_are_the_models_own_hidden_states(family):
    model, inputs = FAMILIES[family]()
    model.eval()
    features = Features(model, states=[0, 1])
    with torch.no_grad():
        expected = model(**inputs, output_hidden_states=True)["hidden_states"]
    assert torch.equal(features.state(0), expected[0])
    assert torch.equal(features.state(1), expected[1])


@pytest.mark.parametrize("family", ATTENTIVE)
def test_scores_become_the_probabilities_of_eager_attention(family):
    model, inputs = FAMILIES[family]()
    model.eval()
    features = Features(model, attentions=[1, 2])
    with torch.no_grad():
        model(**inputs)
        read = [features.attention(layer) for layer in (1, 2)]
        features.close()
        model.set_attn_implementation("eager")
        expected = model(**inputs, output_attentions=True)["attentions"]
    for attention, probabilities in zip(read, expected, strict=False):
        scores = attention.biased_scores
        if family in ("gpt2", "llama") and attention.bias is None:  # causal by a flag
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        assert torch.allclose(scores.softmax(-1), probabilities, atol=1e-6)
        assert attention.values.shape == attention.keys.shape


def test_a_module_may_be_named_and_gradients_pass():
    model, inputs = FAMILIES["resnet_basic"]()
    features = Features(model, states=["resnet.encoder.stages.0"])
    model(**inputs)
    features.state("resnet.encoder.stages.0").sum().backward()
    assert model.resnet.embedder.embedder.convolution.weight.grad.abs().sum() > 0


def test_a_pass_forgets_the_one_before_and_close_leaves_nothing():
    model, inputs = FAMILIES["bert"]()
    features = Features(model, states=[1], attentions=[2])
    model(**inputs)
    before = features.state(1)
    model(**{name: value[:1] for name, value in inputs.items()})
    assert len(features.state(1)) == 1 < len(before)
    features.close()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for ask in (lambda: features.state(1), lambda: features.attention(2)):
        with pytest.raises(ConfigError):
            ask()


def test_a_layer_that_fails_does_not_read_on():
    model, inputs = FAMILIES["bert"]()
    Features(model, attentions=[1])
    broken = model.bert.encoder.layer[0].output.dense.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(**inputs)
    broken.remove()
    assert torch.overrides._get_current_function_mode() is None


def test_attention_that_is_not_torchs_is_named():
    model, inputs = FAMILIES["deberta_v2"]()
    features = Features(model, attentions=[1])
    model(**inputs)
    with pytest.raises(ConfigError, match=r"layer 1 of Deberta.* no attention that can be read"):
        features.attention(1)


@pytest.mark.parametrize(
    ("family", "places", "error", "words"),
    [
        ("bert", {"states": [3]}, ConfigError, "layer 3 is not one of the layers 1 to 2"),
        ("bert", {"attentions": [0]}, ConfigError, "layer 0 is not one of the layers 1 to 2"),
        ("bert", {"states": ["bert.nowhere"]}, ConfigError, "has no module 'bert.nowhere'"),
        ("resnet_basic", {"states": [1]}, PlanError, "needs exactly one stack of layers"),
    ],
)
def test_places_that_are_not_there_are_refused(family, places, error, words):
    model, _ = FAMILIES[family]()
    with pytest.raises(error, match=words):
        Features(model, **places)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
