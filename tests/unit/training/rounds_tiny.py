"""A tiny BERT that trains in rounds, and may be killed in any of them."""

from pathlib import Path

import torch
from transformers import TrainerCallback

from nlpcompress.core.method import Method, Rounds
from nlpcompress.gates.plain import without_gates
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert, weights

STEPS, STEP = 10, 3
TICKET = {"rounds": 2, "prune": 0.4, "rewind_to": STEP}
FINE_RATE = 1e-4
REWINDS = {
    "weights": {},
    "learning_rate": {"rewind": "learning_rate"},
    "none": {"rewind": "none", "finetune_learning_rate": FINE_RATE},
    "reinit": {"control": "random_reinit"},
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Unchanged(Method):
    """Trains twice, and changes nothing in between."""

    name = "unchanged"

    def __init__(self, trainings, step, keep_weights=False):
        self.asked = Rounds(trainings, step, keep_weights)

    @property
    def rounds(self):
        return self.asked

    def prepare(self, model, ctx):
        return make_method("lottery_ticket", {}).prepare(model, ctx)


class Watch(TrainerCallback):
    """Notes of each round: weights, learning rates and the optimizer's moments at each step."""

    def __init__(self):
        self.notes, self.trainer, self.kill = [], None, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.notes.append({"weights": {}, "rates": {}, "moments": {}, "first": state.global_step})
        self.note(state)

    def on_step_end(self, args, state, control, **kwargs):
        self.note(state)
        if (Path(args.output_dir).name, state.global_step) == self.kill:
            raise Killed

    def note(self, state):
        now, step = self.notes[-1], state.global_step
        held = without_gates(self.trainer.model.state_dict())
        now["weights"][step] = {name: value.clone() for name, value in held.items()}
        now["rates"][step] = self.trainer.optimizer.param_groups[0]["lr"]
        states = self.trainer.optimizer.state_dict()["state"]
        now["moments"][step] = {i: values["exp_avg"].clone() for i, values in states.items()}


def trainer(folder, method=None, *, dropout=0.1, seed=0, kill=None, **values):
    watch = Watch()
    plain = {"max_steps": STEPS, "warmup_steps": 2, "save_strategy": "steps", "save_steps": 4}
    ours = CompressionTrainer(
        tiny_bert(dropout=dropout, seed=seed),
        arguments(folder, **{**plain, **values}),
        train_dataset=Examples(),
        eval_dataset=Examples(16),
        methods=[method or make_method("lottery_ticket", TICKET)],
        callbacks=[watch],
    )
    watch.trainer, watch.kill, ours.watch = ours, kill, watch
    return ours


def ticket(name):
    return make_method("lottery_ticket", {**TICKET, **REWINDS[name]})


def run(*args, **values):
    ours = trainer(*args, **values)
    ours.train()
    return ours


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def ended(trainer):
    return weights(trainer.model)
