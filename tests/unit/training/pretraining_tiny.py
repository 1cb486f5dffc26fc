"""Pairs of segments of made documents, and tiny models with the two heads for pretraining."""

import torch
from transformers import (
    AlbertConfig,
    AlbertForPreTraining,
    BertConfig,
    BertForPreTraining,
)

from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.data.load import load_data
from nlpcompress.models.pretraining import order_label
from nlpcompress.models.random import word_tokenizer

WORDS = [f"w{i}" for i in range(40)]
SHAPE = {
    "vocab_size": 5 + len(WORDS) + 1,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.2,  # with 0.02 so small a model needs thousands of steps for order
}
MODELS = ("albert", "bert")


def document(number):
    """Two segments of two sentences: words of the first half of the list, then of the other."""
    random = torch.Generator().manual_seed(number)
    half = len(WORDS) // 2
    sentences = []
    for start in (0, 0, half, half):
        words = int(torch.randint(3, 5, (), generator=random))
        chosen = torch.randint(start, start + half, (words,), generator=random).tolist()
        sentences.append(" ".join(WORDS[i] for i in chosen) + ".")
    return " ".join(sentences)


def corpus(folder, documents=240, **options):
    path = folder / "corpus.csv"
    path.write_text("text\n" + "\n".join(f'"{document(n)}"' for n in range(documents)))
    return DataConfig(
        name="csv",
        files={"train": str(path)},
        max_length=24,
        masking=MaskingConfig(probability=0.3),
        **options,
    )


def tokenizer():
    return word_tokenizer([*WORDS, "."])


def data_for(kind, folder, *, seed=0, **options):
    return load_data(
        corpus(folder, **options),
        task="pretraining",
        processor=tokenizer(),
        seed=seed,
        order_label=order_label(kind),
    )


def model_of(kind, seed=0):
    torch.manual_seed(seed)
    if kind == "bert":
        return BertForPreTraining(BertConfig(**SHAPE))
    return AlbertForPreTraining(
        AlbertConfig(**SHAPE, embedding_size=16, classifier_dropout_prob=0.0)
    )
