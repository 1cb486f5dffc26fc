"""One self-training on tiny texts, as a program that can be killed in a round."""

import argparse
import os
import signal

import torch
from transformers import TrainerCallback

from nlpcompress.training.self_training.run import self_train
from tests.unit.training.self_training_tiny import arguments, config, data, student
from tests.unit.training.training_tiny import tiny_bert

NOISE = {"rounds": 2, "token_noise": 0.2, "survival": 0.7, "dropout": 0.2}
SAVING = {"save_strategy": "steps", "save_steps": 4, "max_steps": 10}


class KillInRound(TrainerCallback):
    """SIGKILL after a step of a round."""

    def __init__(self, folder, step):
        self.folder, self.step = folder, step

    def on_step_end(self, args, state, control, **kwargs):
        if args.output_dir.endswith(self.folder) and state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def drawn_student():
    """A student whose first weights depend on the random state."""
    return tiny_bert(num_labels=2, seed=int(torch.randint(1000, ())), dropout=0.1)


def run(folder, *, resume=False, callbacks=None, **values):
    """Train in `folder`."""
    return self_train(
        drawn_student, student().eval(), data(unlabelled=64),
        args=arguments(folder, **SAVING), config=config(**{"threshold": 0.0, **NOISE, **values}),
        resume=resume, callbacks=callbacks,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--round", required=True)
    parser.add_argument("--step", type=int, required=True)
    given = parser.parse_args()
    run(given.folder, callbacks=[KillInRound(given.round, given.step)])
