"""What a masked language model says of words that are masked one at a time, many in a batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from tqdm.auto import tqdm

from nlpcompress.core.modes import eval_mode
from nlpcompress.data.augmentation.encoded_words import Encoded, Word
from nlpcompress.data.augmentation.vocabulary import Vocabulary
from nlpcompress.data.augmentation.word_model import WordModel, device_of
from nlpcompress.data.augmentation.words import Span

BATCH_SIZE = 64
TOKENS_AT_ONCE = 8192  # long texts go in smaller batches


@dataclass(frozen=True)
class _Gap:
    """One word of one token, to be masked."""

    encoded: Encoded
    word: Word

    @property
    def position(self) -> int:
        return self.word.positions[0]

    @property
    def length(self) -> int:
        return len(self.encoded.inputs["input_ids"])


def guess(
    encoded: Sequence[Encoded], model: WordModel, vocabulary: Vocabulary, count: int
) -> dict[str, dict[Span, tuple[str, ...]]]:
    """Text → its words of one token → the model's likeliest words there."""
    gaps = [_Gap(e, word) for e in encoded for word in e.words if len(word.ids) == 1]
    fitting = _Fitting(model, vocabulary)
    found: dict[str, dict[Span, tuple[str, ...]]] = {}
    with (
        eval_mode(model.masked_lm),
        torch.no_grad(),
        tqdm(total=len(gaps), desc="words guessed") as bar,
    ):
        for some in _batches(gaps):
            for gap, words in zip(some, _likeliest(some, model, fitting, count), strict=True):
                found.setdefault(gap.encoded.text, {})[gap.word.span] = words
            bar.update(len(some))
    return found


def _batches(gaps: Sequence[_Gap]) -> Iterator[list[_Gap]]:
    some: list[_Gap] = []
    for gap in gaps:
        longest = max(other.length for other in [gap, *some])
        if len(some) == BATCH_SIZE or (some and (len(some) + 1) * longest > TOKENS_AT_ONCE):
            yield some
            some = []
        some.append(gap)
    if some:
        yield some


class _Fitting:
    """Which tokens may stand in a gap."""

    def __init__(self, model: WordModel, vocabulary: Vocabulary):
        self.vocabulary, self.tokenizer = vocabulary, model.tokenizer
        kinds = (vocabulary.after_space, vocabulary.glued)
        allowed = torch.zeros(len(kinds), len(model.embeddings), dtype=torch.bool)
        self.same: dict[str, list[int]] = {}
        for row, words in enumerate(kinds):
            allowed[row, list(words)] = True
            for number, word in words.items():
                self.same.setdefault(word.casefold(), []).append(number)
        self.allowed = allowed.to(device_of(model.masked_lm))

    def kind(self, gap: _Gap) -> int:
        token = self.tokenizer.convert_ids_to_tokens(gap.word.ids[0])
        return 0 if token.startswith(self.vocabulary.mark) else 1

    def text(self, number: int) -> str:
        return self.vocabulary.after_space.get(number) or self.vocabulary.glued[number]

    def itself(self, gap: _Gap) -> list[int]:
        """The gap's own word, in any case."""
        return [*self.same.get(gap.word.text.casefold(), ()), *gap.word.ids]


def _likeliest(
    gaps: Sequence[_Gap], model: WordModel, fitting: _Fitting, count: int
) -> list[tuple[str, ...]]:
    scores = _logits(gaps, model)
    kinds = torch.tensor([fitting.kind(gap) for gap in gaps], device=scores.device)
    scores.masked_fill_(~fitting.allowed[kinds], -torch.inf)
    for row, gap in zip(scores, gaps, strict=True):
        row[fitting.itself(gap)] = -torch.inf
    top = scores.topk(min(count, scores.shape[1]))
    numbers = [n[s > -torch.inf].tolist() for n, s in zip(top.indices, top.values, strict=True)]
    return [tuple(fitting.text(number) for number in sorted(row)) for row in numbers]


def _logits(gaps: Sequence[_Gap], model: WordModel) -> torch.Tensor:
    """float32 `(B, V)` at the masked places."""
    device, tokenizer = device_of(model.masked_lm), model.tokenizer
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    width = max(gap.length for gap in gaps)
    batch = {
        name: torch.tensor(
            [_filled(gap.encoded.inputs[name], width, fill.get(name, 0)) for gap in gaps]
        ).to(device)
        for name in gaps[0].encoded.inputs
    }
    rows = torch.arange(len(gaps), device=device)
    places = torch.tensor([gap.position for gap in gaps], device=device)
    batch["input_ids"][rows, places] = tokenizer.mask_token_id
    with _only_at(model.masked_lm, rows, places, (len(gaps), width)):
        logits = model.masked_lm(**batch).logits
    return (logits[:, 0] if logits.shape[1] == 1 else logits[rows, places]).float()


@contextmanager
def _only_at(
    model: nn.Module, rows: torch.Tensor, places: torch.Tensor, shape: tuple[int, int]
) -> Iterator[None]:
    """Scores of the vocabulary are computed at the masked places alone, where the model has them
    from a layer of their own: for the other tokens that would cost as much as half the model.
    """

    def select(_: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        hidden, *others = args
        return (hidden[rows, places][:, None], *others) if hidden.shape[:-1] == shape else None

    layer = model.get_output_embeddings()
    handle = layer.register_forward_pre_hook(select) if layer is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _filled(values: list[int], width: int, value: int) -> list[int]:
    return [*values, *[value] * (width - len(values))]
