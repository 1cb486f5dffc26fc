"""Plain training on the task's own loss; the first or the last stage of most recipes.

It brings no objective and cuts nothing: the stage's `train` block does all the work.

    - method: fine_tune
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Devlin et al. 2019, section 4 (2 to 4 epochs, learning rate 2e-5 to 5e-5).
Differs: the loss is divided by the gradient accumulation steps for every model, which transformers'
own Trainer leaves out for encoders from version 5 on.
Cost: labelled data; no teacher; one training; the memory of training the model.
"""

from typing import ClassVar

from nlpcompress.core.config import Config
from nlpcompress.core.method import Method


class FineTuneConfig(Config):
    """Nothing to set."""


class FineTune(Method):
    """Teaches the task, with the task's own loss."""

    name: ClassVar[str] = "fine_tune"
    Config: ClassVar[type[FineTuneConfig]] = FineTuneConfig
