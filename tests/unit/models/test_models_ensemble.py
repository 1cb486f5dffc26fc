"""Several teachers as one: the two means by closed forms, each member's inputs, and refusals."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig
from transformers import DistilBertForSequenceClassification as DistilBert
from transformers.utils import ModelOutput

from nlpcompress.errors import ConfigError
from nlpcompress.models.ensemble import Ensemble, members_of
from nlpcompress.models.inputs import accepts, input_names


class Says(nn.Module):
    """Answers what it was told to, and remembers what it was given."""

    def __init__(self, labels=None, problem_type=None, **answers):
        super().__init__()
        names = labels or {0: "a", 1: "b"}
        self.config = SimpleNamespace(id2label=names, problem_type=problem_type)
        self.answers, self.given = answers, None

    def forward(self, input_ids=None, attention_mask=None):
        self.given = {"input_ids": input_ids, "attention_mask": attention_mask}
        return ModelOutput(self.answers)


def rows(*values, **more):
    return torch.tensor(values, **more)


def tiny(config, model, **values):
    torch.manual_seed(0)
    return model(config(vocab_size=50, num_labels=3, **values)).eval()


BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16}  # fmt: skip


def bert(**values):
    return tiny(BertConfig, BertForSequenceClassification, **{**BERT, **values})


def test_the_mean_of_logits_is_the_geometric_mean_of_distributions_at_any_temperature():
    one, two = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    found = Ensemble([Says(logits=one), Says(logits=two)], weights=[3.0, 1.0])().logits
    assert torch.allclose(found, (3 * one + two) / 4)
    for temperature in (1.0, 2.5):
        product = (one / temperature).softmax(-1) ** 0.75 * (two / temperature).softmax(-1) ** 0.25
        expected = product / product.sum(-1, keepdim=True)
        assert torch.allclose((found / temperature).softmax(-1), expected)


def test_the_mean_of_probabilities_is_the_arithmetic_mean_at_temperature_1():
    one, two = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    teachers = [Says(logits=one), Says(logits=two)]
    found = Ensemble(teachers, weights=[1.0, 4.0], combine="probabilities")().logits
    expected = 0.2 * one.softmax(-1) + 0.8 * two.softmax(-1)
    assert torch.allclose(found.softmax(-1), expected)
    assert torch.allclose(found.exp(), expected)


def test_labels_that_do_not_exclude_each_other_have_a_mean_each():
    one, two = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    kind = "multi_label_classification"
    teachers = [Says(logits=v, problem_type=kind) for v in (one, two)]
    found = Ensemble(teachers, combine="probabilities")().logits
    assert torch.allclose(found.sigmoid(), (one.sigmoid() + two.sigmoid()) / 2)


@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_numbers_are_averaged(combine):
    one, two = rows([1.0], [4.0]), rows([3.0], [0.0])
    found = Ensemble([Says(logits=one), Says(logits=two)], combine=combine)().logits
    assert torch.equal(found, rows([2.0], [2.0]))
    two_numbers = [Says(logits=rows([v, 1.0]), problem_type="regression") for v in (1.0, 3.0)]
    assert torch.equal(Ensemble(two_numbers, combine=combine)().logits, rows([2.0, 1.0]))


@pytest.mark.parametrize("kind", [None, "multi_label_classification"])
def test_sure_teachers_overflow_nothing(kind):
    one, two = (rows([a, -a], dtype=torch.float16) for a in (1e4, -1e4))
    teachers = [Says(logits=v, problem_type=kind) for v in (one, two)]
    found = Ensemble(teachers, weights=[1, 3], combine="probabilities")().logits
    assert found.dtype == torch.float32 and bool(found.isfinite().all())
    assert float(found[0, 1] - found[0, 0]) == pytest.approx(
        math.log(3) * (1 if kind is None else 2), abs=1e-2
    )


def test_starts_and_ends_are_distributions_of_the_places_that_are_no_padding():
    one, two = torch.randn(2, 2, 5, dtype=torch.float64, generator=torch.manual_seed(0))
    attention = rows([1, 1, 1, 0, 0], [1, 1, 1, 1, 1])
    pair = [Says(start_logits=v, end_logits=-v) for v in (one, two)]
    found = Ensemble(pair, combine="probabilities")(attention_mask=attention)
    assert list(found) == ["start_logits", "end_logits"]
    short = (one[0, :3].softmax(-1) + two[0, :3].softmax(-1)) / 2
    assert torch.allclose(found.start_logits[0, :3].exp(), short)
    assert float(found.start_logits[0, 3:].exp().sum()) == 0
    whole = ((-one[1]).softmax(-1) + (-two[1]).softmax(-1)) / 2
    assert torch.allclose(found.end_logits[1].exp(), whole)


def test_each_teacher_gets_what_its_own_forward_takes():
    distil = tiny(DistilBertConfig, DistilBert, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    ensemble = Ensemble([bert(), distil]).eval()
    inputs = {"input_ids": rows([5, 6, 7]), "attention_mask": torch.ones(1, 3).long()}
    typed = {**inputs, "token_type_ids": torch.ones(1, 3).long()}
    with torch.no_grad():
        expected = (ensemble.teachers[0](**typed).logits + distil(**inputs).logits) / 2
        assert torch.allclose(ensemble(**typed).logits, expected)
        assert not torch.allclose(ensemble(**inputs).logits, expected)
    for model, types in ((ensemble, True), (distil, False), (bert(), True)):
        assert accepts(model, "token_type_ids") is types
        assert ("token_type_ids" in input_names(model)) is types
    assert not accepts(ensemble, "teacher_row") and accepts(ensemble, "input_ids")


def test_a_teacher_without_weight_does_not_run():
    silent, heard = Says(logits=rows([math.nan, 0.0])), Says(logits=rows([1.0, 2.0]))
    found = Ensemble([heard, silent], weights=[2.0, 0.0])(input_ids=rows([1]))
    assert torch.equal(found.logits, heard.answers["logits"])
    assert silent.given is None and heard.given is not None


def test_modes_devices_and_members_are_those_of_all():
    inner = Ensemble([bert(), bert()])
    outer = Ensemble([inner, bert()], weights=[2, 1])
    assert members_of(outer) == (*inner.teachers, outer.teachers[1])
    assert outer.eval().requires_grad_(False).to(torch.float64) is outer
    assert not any(m.training for member in members_of(outer) for m in member.modules())
    assert {p.dtype for p in outer.parameters()} == {torch.float64}
    inputs = {"input_ids": rows([5, 6, 7]), "token_type_ids": rows([1, 0, 1])}
    mean = sum(member(**inputs).logits for member in members_of(outer)) / 3
    assert torch.allclose(outer(**inputs).logits, mean)


def test_ensembles_that_cannot_be_are_refused():
    def refusal(pattern, *values, **more):
        with pytest.raises(ConfigError, match=pattern):
            Ensemble(*values, **more)

    pair = [Says(), Says()]
    refusal(r"an ensemble of 1 teacher\(s\); give two or more, or one as it is", pair[:1])
    refusal(r"2 teachers, but 3 weights", pair, [1, 2, 3])
    refusal(r"weights of teachers are \[1.0, -1.0\]; they must be at least 0", pair, [1, -1])
    refusal(r"not all 0", pair, [0, 0])
    refusal(r"finite", pair, [1, math.nan])
    refusal(r"combine is 'mean'; allowed: logits, probabilities", pair, combine="mean")
    other = Says(labels={0: "b", 1: "a"})
    refusal(r"teacher 2 of the ensemble has the labels b, a, the first a, b", [Says(), other])
    words = [bert(), bert(), tiny(BertConfig, BertForSequenceClassification)]
    words[2].config.vocab_size = 60
    refusal(r"teacher 3 .* vocabulary of 60 tokens, the first of 50", words)


def test_answers_that_do_not_fit_together_are_refused():
    with pytest.raises(ConfigError, match=r"answer in other shapes.*\(1, 2\).*\(1, 3\)"):
        Ensemble([Says(logits=rows([1.0, 2])), Says(logits=rows([1.0, 2, 3]))])()
    with pytest.raises(ConfigError, match=r"answer in other shapes.*start_logits"):
        spans = Says(start_logits=rows([1.0]), end_logits=rows([1.0]))
        Ensemble([Says(logits=rows([1.0])), spans])()
    with pytest.raises(ConfigError, match=r"Says has no logits .*returns last_hidden_state"):
        Ensemble([Says(last_hidden_state=rows([1.0])), Says()])()
