"""TinyBERT's losses against the sums of the paper, from eager attention and plain hidden states."""

import math

import pytest
import torch

from nlpcompress.core.method import Context, Step
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import Examples, arguments, teacher_of, tiny_bert, weights

MASK = (torch.arange(7) < torch.tensor([[7], [4]])).long()
IDS = torch.randint(4, 50, (2, 7), generator=torch.Generator().manual_seed(0))
INPUTS = {"input_ids": IDS, "attention_mask": MASK}
PLACES = MASK.nonzero().tolist()


def models(**config):
    teacher = teacher_of(tiny_bert(num_hidden_layers=4, seed=1))
    return tiny_bert(**config).eval(), teacher.eval()


def prepared(student, teacher, **config):
    """The method's objectives with the gates' own, and the gates."""
    method, ctx = make_method("layerwise", config), Context(INPUTS, teacher=teacher)
    gates = method.prepare(student, ctx)
    return (*method.objectives(ctx), *(gates.objectives() if gates else ())), gates


def step_of(student, teacher, task_loss=0.0):
    return Step(INPUTS, student(**INPUTS), torch.tensor(task_loss), lambda _: teacher(**INPUTS))


def states(model):
    return model(**INPUTS, output_hidden_states=True).hidden_states


def scores(model, layer):
    """Q Kᵀ / √d of a layer from 1, out of its projections: `(B, H, T, T)`."""
    attention = model.bert.encoder.layer[layer - 1].attention.self
    state, heads = states(model)[layer - 1], model.config.num_attention_heads
    query, key = (
        projection(state).unflatten(-1, (heads, -1)).transpose(1, 2)
        for projection in (attention.query, attention.key)
    )
    return query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])


def state_mse(own, theirs):
    return sum((own[b, t] - theirs[b, t]).square().mean() for b, t in PLACES) / len(PLACES)


def score_mse(own, theirs):
    pairs = [(b, q, k) for b, q in PLACES for c, k in PLACES if b == c]
    return sum((own[b, :, q, k] - theirs[b, :, q, k]).square().mean() for b, q, k in pairs) / len(
        pairs
    )


def test_layers_are_summed_as_in_equation_11():
    student, teacher = models()
    found, gates = prepared(student, teacher)
    step = step_of(student, teacher)
    total = sum(o.weight * o.loss(step) for o in found)
    own, theirs = states(student), states(teacher)
    expected = state_mse(own[0], theirs[0])
    for layer, goal in ((1, 2), (2, 4)):
        expected += state_mse(own[layer], theirs[goal])
        expected += score_mse(scores(student, layer), scores(teacher, goal))
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)
    assert gates.parameter_groups() == []
    gates.close()


def test_parts_have_their_weights_and_may_be_left_out():
    student, teacher = models()
    found, gates = prepared(student, teacher, alpha_attention=0.5, alpha_hidden=0, alpha_task=3.0)
    assert [(o.name, o.weight) for o in found] == [
        ("task", 3.0), ("attention_mse", 1.0), ("hidden_mse", 1.0),
    ]  # fmt: skip
    assert found[2].loss(step_of(student, teacher)).item() == pytest.approx(
        state_mse(states(student)[0], states(teacher)[0]).item(), rel=1e-4
    )
    gates.close()
    _, gates = prepared(student, teacher, alpha_attention=0, alpha_hidden=0, alpha_embedding=0)
    assert gates is None


def test_a_narrower_student_with_fewer_heads_has_projections():
    student, teacher = models(hidden_size=16, num_attention_heads=2)
    found, gates = prepared(student, teacher)
    (group,) = gates.parameter_groups()
    shapes = sorted(tuple(p.shape) for p in group["params"])
    assert shapes == [(4, 2), (4, 2), (32,), (32,), (32, 16), (32, 16)]  # heads twice, W_h, W_e
    sum(o.weight * o.loss(step_of(student, teacher)) for o in found).backward()
    assert all(p.grad.abs().sum() > 0 for p in group["params"])
    gates.close()
    assert not hasattr(student, "compression_features")


def test_prediction_is_the_soft_cross_entropy_up_to_what_does_not_move():
    student, teacher = models()
    found, gates = prepared(student, teacher, phase="prediction")
    assert gates is None and [(o.name, o.weight) for o in found] == [
        ("soft_targets", 1.0), ("task", 0.0),
    ]  # fmt: skip
    step = step_of(student, teacher)
    own, theirs = step.outputs.logits, step.teacher_outputs.logits.detach()
    code = (-theirs.softmax(-1) * own.log_softmax(-1)).mean()  # task_distill.py: over classes, too
    (ours,) = torch.autograd.grad(found[0].loss(step), own, retain_graph=True)
    (its,) = torch.autograd.grad(code, own)
    assert torch.allclose(ours, 3 * its, atol=1e-7)


def test_the_teacher_has_no_dropout_although_the_student_trains(tmp_path):
    teacher = teacher_of(tiny_bert(num_hidden_layers=4, dropout=0.5))
    seen = []
    hook = teacher.register_forward_hook(
        lambda _, args, inputs, output: seen.append((inputs["input_ids"], output.logits)),
        with_kwargs=True,
    )
    trainer = CompressionTrainer(
        tiny_bert(dropout=0.5), arguments(tmp_path, max_steps=2), train_dataset=Examples(),
        teacher=teacher, methods=[make_method("layerwise", {})],
    )  # fmt: skip
    before = weights(teacher)
    trainer.train()
    hook.remove()
    assert len(seen) == 3  # once to measure sizes, then once a step
    for ids, logits in seen[1:]:
        again = teacher(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        assert torch.equal(logits, again)
    assert all(torch.equal(before[name], value) for name, value in weights(teacher).items())


def test_labels_teach_nothing_in_the_first_phase(tmp_path):
    def trained(shift):
        class Shifted(Examples):
            def __getitem__(self, index):
                example = super().__getitem__(index)
                return {**example, "labels": (example["labels"] + shift) % 3}

        student = tiny_bert()
        trainer = CompressionTrainer(
            student, arguments(tmp_path, max_steps=2), train_dataset=Shifted(),
            teacher=teacher_of(tiny_bert(num_hidden_layers=4)),
            methods=[make_method("layerwise", {})],
        )  # fmt: skip
        trainer.train()
        return weights(student)

    one, other = trained(0), trained(1)
    assert all(torch.equal(one[name], other[name]) for name in one)
