"""A tiny BERT, tiny data and arguments for training tests, in this process or in others."""

import copy

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

LENGTH, VOCABULARY = 8, 50


def tiny_bert(*, dropout=0.0, seed=0, **config):
    torch.manual_seed(seed)
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 32,
        "num_labels": 3,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }
    return BertForSequenceClassification(BertConfig(**{**shape, **config}))


class Examples(torch.utils.data.Dataset):
    """Random tokens whose label is the first token modulo 3."""

    def __init__(self, count=32, *, labelled=True):
        generator = torch.Generator().manual_seed(7)
        self.ids = torch.randint(4, VOCABULARY, (count, LENGTH), generator=generator)
        self.labelled = labelled

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        ids = self.ids[index]
        example = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return {**example, "labels": ids[0] % 3} if self.labelled else example


def arguments(folder, **values):
    """Portable on transformers 4.57 and 5; SGD-like sensitivity is kept by AdamW's defaults."""
    plain = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "max_steps": 4,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_steps": 2,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return TrainingArguments(**{**plain, **values})


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def distance(a, b):
    """Largest absolute difference of two state dicts."""
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def teacher_of(model):
    """A teacher that disagrees with the model."""
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    return teacher
