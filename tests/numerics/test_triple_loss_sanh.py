"""DistilBERT's triple loss and its student, against loops over single tokens and tensors."""

import math

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from nlpcompress.core.method import Context, Step
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.keep_layers import KeepLayersConfig, decide
from nlpcompress.surgery import apply_plan
from tests.unit.training.training_tiny import teacher_of, tiny_bert

MASK = (torch.arange(7) < torch.tensor([[7], [4]])).long()
IDS = torch.randint(4, 50, (2, 7), generator=torch.Generator().manual_seed(0))
LABELS = torch.full((2, 7), -100)
LABELS[0, 2], LABELS[0, 5], LABELS[1, 1] = 7, 9, 11


def language_model(layers, seed, **config):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, **config}
    return BertForMaskedLM(BertConfig(vocab_size=50, num_hidden_layers=layers, **sizes)).eval()


def losses(student, teacher, inputs, task_loss, **config):
    """Name → weight and loss of one step."""
    ctx = Context({"input_ids": IDS, "attention_mask": MASK}, teacher=teacher)
    method = make_method("triple_loss", config)
    matching = method.prepare(student, ctx)
    known = {k: v for k, v in inputs.items() if k != "labels"}
    step = Step(inputs, student(**known), task_loss, lambda _: teacher(**known))
    parts = (*method.objectives(ctx), *(matching.objectives() if matching else ()))
    found = {part.name: (part.weight, part.loss(step)) for part in parts}
    if matching:
        matching.close()
    return found


def divergence(own, theirs, temperature):
    """KL(teacher ‖ student) of two rows of logits, class by class."""
    own, theirs = ([math.exp(v / temperature) for v in row.tolist()] for row in (own, theirs))
    p, q = ([v / sum(row) for v in row] for row in (theirs, own))
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("soft_targets", ["all", "labelled"])
def test_masked_language_modelling(soft_targets):
    student, teacher = language_model(2, 0), language_model(4, 1)
    inputs = {"input_ids": IDS, "attention_mask": MASK, "labels": LABELS}
    task = student(**inputs).loss
    found = losses(student, teacher, inputs, task, temperature=3.0, soft_targets=soft_targets)
    own = student(IDS, attention_mask=MASK, output_hidden_states=True)
    theirs = teacher(IDS, attention_mask=MASK, output_hidden_states=True)
    seen = MASK.nonzero().tolist()
    counted = seen if soft_targets == "all" else (LABELS != -100).nonzero().tolist()
    soft = [divergence(own.logits[b, t], theirs.logits[b, t], 3.0) for b, t in counted]
    cosines = [
        torch.cosine_similarity(own.hidden_states[-1][b, t], theirs.hidden_states[-1][b, t], dim=0)
        for b, t in seen
    ]
    assert found["soft_targets"][1].item() == pytest.approx(9 * sum(soft) / len(soft), rel=1e-4)
    expected = 1 - sum(cosines).item() / len(cosines)
    assert found["hidden_cosine"][1].item() == pytest.approx(expected, rel=1e-4)
    assert found["task"][1] is task
    assert [found[n][0] for n in ("soft_targets", "task", "hidden_cosine")] == [5.0, 2.0, 1.0]


def test_a_task_with_one_answer_an_example():
    student, teacher = tiny_bert(), teacher_of(tiny_bert(seed=1)).eval()
    student.eval()
    inputs = {"input_ids": IDS, "attention_mask": MASK, "labels": torch.tensor([0, 2])}
    found = losses(student, teacher, inputs, torch.tensor(0.7), alpha_cos=0.0)
    own, theirs = (m(input_ids=IDS, attention_mask=MASK).logits for m in (student, teacher))
    soft = [divergence(a, b, 2.0) for a, b in zip(own, theirs, strict=True)]
    assert found["soft_targets"][1].item() == pytest.approx(4 * sum(soft) / 2, rel=1e-4)
    assert set(found) == {"soft_targets", "task"}


def test_other_widths_need_a_projection():
    student, teacher = language_model(2, 0, hidden_size=8), language_model(4, 1)
    inputs = {"input_ids": IDS, "attention_mask": MASK}
    with pytest.raises(ConfigError, match="have 8 features, the teacher's 16; set proj"):
        losses(student, teacher, inputs, torch.tensor(0.0))
    found = losses(student, teacher, inputs, torch.tensor(0.0), proj="auto")
    assert 0 < found["hidden_cosine"][1].item() < 2


@pytest.mark.parametrize(
    ("depth", "layers", "count", "kept"),
    [
        (12, "spread", 6, (0, 2, 4, 7, 9, 11)),  # extract_distilbert.py
        (12, "every_other", None, (0, 2, 4, 6, 8, 10)),
        (6, "every_other", 3, (0, 2, 4)),
        (7, "every_other", None, (0, 1, 3, 5)),
        (6, "spread", 1, (0,)),
        (6, "first", 2, (0, 1)),
        (6, "last", 2, (4, 5)),
        (6, [5, 1], None, (1, 5)),
    ],
)
def test_layers_of_the_student(depth, layers, count, kept):
    (edit,) = decide(depth, KeepLayersConfig.parse({"layers": layers, "count": count}))
    assert edit.layers == kept


def test_layers_that_are_not_there():
    with pytest.raises(PlanError, match="count 7 of 6 layers"):
        decide(6, KeepLayersConfig(count=7))
    with pytest.raises(PlanError, match=r"layers \[1, 6\], but the model has 0 to 5"):
        decide(6, KeepLayersConfig(layers=(1, 6)))
    with pytest.raises(ConfigError, match="count: 2 beside layers by number"):
        KeepLayersConfig.parse({"layers": [0, 1], "count": 2})


def test_every_tensor_of_the_student_is_the_teachers():
    teacher, student = language_model(5, 0), language_model(5, 0)
    plan = make_method("keep_layers", {"layers": "spread", "count": 3}).plan(student, None)
    apply_plan(student, plan)
    before, after = teacher.state_dict(), student.state_dict()
    came_from = {".layer.0.": ".layer.0.", ".layer.1.": ".layer.2.", ".layer.2.": ".layer.4."}
    for name, tensor in after.items():
        part = next((part for part in came_from if part in name), ".")
        assert torch.equal(tensor, before[name.replace(part, came_from.get(part, "."))])
    gone = [n for n in before if ".layer.1." in n or ".layer.3." in n]
    assert len(after) == len(before) - len(gone) and student.config.num_hidden_layers == 3
