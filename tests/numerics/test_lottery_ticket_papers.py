"""Lottery tickets against the papers' criteria by hand, and their rounds in a plain torch loop."""

import copy

import pytest
import torch

from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.lottery_ticket import CRITERIA, decide
from nlpcompress.models.weights import body_weights
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert, weights

STEPS, RATE, FINE_RATE = 8, 5e-3, 1e-3
EPSILON = 1e-4  # large, so that AdamW does not blow rounding up
INITIAL = torch.tensor([1.0, -2.0, 0.5, -4.0])
FINAL = torch.tensor([-3.0, -2.5, 0.25, 1.0])

# Zhou et al. 2019, figure 3, worked out by hand.
BY_HAND = {
    "large_final": [3.0, 2.5, 0.25, 1.0],
    "small_final": [-3.0, -2.5, -0.25, -1.0],
    "large_init": [1.0, 2.0, 0.5, 4.0],
    "large_init_large_final": [1.0, 2.0, 0.25, 1.0],
    "magnitude_increase": [2.0, 0.5, -0.25, -3.0],
    "movement": [4.0, 0.5, 0.25, 5.0],
}
BEST_TWO = {
    "large_final": [1, 1, 0, 0],
    "small_final": [0, 0, 1, 1],
    "large_init": [0, 1, 0, 1],
    "large_init_large_final": [1, 1, 0, 0],
    "magnitude_increase": [1, 1, 0, 0],
    "movement": [1, 0, 0, 1],
}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_criteria_are_the_papers_by_hand(criterion):
    assert CRITERIA[criterion](INITIAL, FINAL, 1.0).tolist() == BY_HAND[criterion]
    config = make_method("lottery_ticket", {"criterion": criterion, "prune": 0.5}).config
    masks = decide({"a": INITIAL}, {"a": FINAL}, {"a": torch.ones(4).bool()}, config)
    assert masks["a"].int().tolist() == BEST_TWO[criterion]


def test_alpha_weighs_the_final_weights():
    """α = 0.5: min(0.5·|w_f|, |w_i|) = 1.0 (of 1.5 and 1.0), 1.25, 0.125, 0.5."""
    scores = CRITERIA["large_init_large_final"](INITIAL, FINAL, 0.5)
    assert scores.tolist() == [1.0, 1.25, 0.125, 0.5]


def batch():
    """All examples at once: their order does not matter."""
    data = Examples()
    return {key: torch.stack([data[i][key] for i in range(len(data))]) for key in data[0]}


class Reference:
    """Iterative magnitude pruning as the papers tell it, on whole batches, with AdamW."""

    def __init__(self, model):
        self.model, self.data = model.train(), batch()
        self.masks = {n: torch.ones_like(w) for n, w in body_weights(model).items()}
        self.renew()

    def renew(self):
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=RATE, eps=EPSILON, weight_decay=0.0
        )

    @torch.no_grad()
    def mask(self):
        for name, weight in body_weights(self.model).items():
            weight.mul_(self.masks[name])

    def train(self, start, end, rate):
        for step in range(start, end):
            for group in self.optimizer.param_groups:
                group["lr"] = rate(step)
            self.optimizer.zero_grad()
            self.model(**self.data).loss.backward()
            for name, weight in body_weights(self.model).items():
                weight.grad.mul_(self.masks[name])
            self.optimizer.step()
            self.mask()

    def prune(self, share):
        """`share` of what is left goes, the smallest first, over all matrices."""
        ranked = sorted(
            (float(w.detach().abs().view(-1)[i]), name, i)
            for name, w in body_weights(self.model).items()
            for i in self.masks[name].view(-1).nonzero().flatten().tolist()
        )
        for _, name, i in ranked[: round(share * len(ranked))]:
            self.masks[name].view(-1)[i] = 0

    def snapshot(self):
        return copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))


def by_the_papers(model, rewind, step, rounds, share):
    def schedule(now):
        return RATE * (1 - now / STEPS)

    run = Reference(model)
    run.train(0, step, schedule)
    early, moments = run.snapshot()
    run.train(step, STEPS, schedule)
    for _ in range(rounds):
        run.prune(share)
        if rewind == "weights":
            run.model.load_state_dict(early)
        run.mask()
        if rewind == "none":
            run.renew()
            run.train(step, STEPS, lambda now: FINE_RATE)
        else:
            run.optimizer.load_state_dict(copy.deepcopy(moments))
            run.train(step, STEPS, schedule)
    return weights(run.model), run.masks


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("rewind", ["weights", "learning_rate", "none"])
def test_rounds_are_those_of_a_plain_loop(tmp_path, rewind, step):
    """Renda et al. 2020, algorithms 1 to 3; Frankle et al. 2020, figure 2, for the later step."""
    rate = {"finetune_learning_rate": FINE_RATE} if rewind == "none" else {}
    values = {"rounds": 2, "prune": 0.3, "rewind": rewind, "rewind_to": step, **rate}
    args = arguments(
        tmp_path,
        max_steps=STEPS,
        learning_rate=RATE,
        per_device_train_batch_size=32,
        max_grad_norm=0.0,
        optim="adamw_torch",
        adam_epsilon=EPSILON,
    )
    method = make_method("lottery_ticket", values)
    ours = CompressionTrainer(tiny_bert(), args, train_dataset=Examples(), methods=[method])
    ours.train()
    expected, masks = by_the_papers(tiny_bert(), rewind, step, 2, 0.3)
    actual = weights(ours.model)
    assert all(torch.equal(actual[name] != 0, mask.bool()) for name, mask in masks.items())
    assert max(float((expected[n] - actual[n]).abs().max()) for n in actual) < 1e-5
