"""Masked language modelling: which tokens of a batch are to be told, and what is shown instead.

Randomness is a function of a seed and the batch's own token ids, of nothing else: workers, skipped
batches and a training that was killed and goes on make no difference.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import datasets
import torch
from torch import Tensor
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from nlpcompress.core.counts import IGNORED
from nlpcompress.data.collate import Row
from nlpcompress.data.spans import choose_spans
from nlpcompress.errors import DataError

SHOWN_AS_MASK, SHOWN_AS_ANY = 0.8, 0.1


@dataclass(frozen=True, eq=False)
class Spans:
    """N-gram masking: what goes on with a word, bool `(V,)`, the share, the longest span."""

    continues: Tensor
    probability: float
    most: int

    def choose(self, ids: Tensor, ordinary: Tensor, generator: torch.Generator) -> Tensor:
        """Which of `ids` `(…, T)` are chosen, each row on its own: bool, as `ids`."""
        rows = [
            choose_spans(
                own,
                self.continues[row],
                probability=self.probability,
                most=self.most,
                generator=generator,
            )
            for row, own in zip(
                ids.view(-1, ids.shape[-1]), ordinary.view(-1, ids.shape[-1]), strict=True
            )
        ]
        return torch.stack(rows).view(ids.shape)


@dataclass(frozen=True, eq=False)
class MaskingCollate:
    """Pads rows of token ids and masks some of them.

    Makes `input_ids`, `attention_mask` and, where rows have them, `token_type_ids`, and `labels`,
    the ids of the chosen tokens and -100 elsewhere; all int64 `(B, T)`. Of the chosen tokens 80 %
    are shown as the mask, 10 % as any ordinary token, 10 % as themselves. `chances`, float `(V,)`,
    says how often a token is chosen, each on its own; see `choice_chances`. Where chance chooses
    none of a batch, the token that came nearest is: a mean over no token is no loss.

    The same rows in the same order always get the same mask; a text in another batch gets another.
    A batch of one row has therefore the same mask in every epoch: train with larger ones.

    Rows that have `labels` are masked already, see `mask_rows`; they are only padded.

    With `spans` whole words are chosen in spans of one to so many, see `choose_spans`; how a token
    is shown is still drawn for each on its own, as BERT's and ALBERT's code do.

    Raises `DataError` for a batch of nothing but special and unknown tokens.

    Source: Devlin et al. 2019 (BERT), section 3.1 and appendix A.1.
    Differs: special and unknown tokens are neither chosen nor shown in the place of another.
    """

    tokenizer: PreTrainedTokenizerBase
    chances: Tensor
    seed: int = 0
    spans: Spans | None = None

    def __call__(self, rows: list[Row]) -> dict[str, Tensor]:
        names = self.tokenizer.model_input_names
        texts = [{name: row[name] for name in names if name in row} for row in rows]
        batch = dict(DataCollatorWithPadding(self.tokenizer)(texts))
        if "labels" in rows[0]:
            return batch | {"labels": _padded_labels(rows, batch["attention_mask"])}
        return batch | self.mask(batch["input_ids"], at_least_one=True)

    def mask(self, ids: Tensor, *, at_least_one: bool = False) -> dict[str, Tensor]:
        """`input_ids` and `labels`, int64, of `ids` `(…)`."""
        generator = _generator(self.seed, ids)
        chances = self.chances[ids]
        draws = torch.rand(ids.shape, generator=generator)
        if self.spans is None:
            chosen = draws < chances
        else:
            chosen = self.spans.choose(ids, chances > 0, generator)
        if at_least_one and not chosen.any():
            chosen = _nearest(draws, chances)
        shown = self._shown(ids, generator)
        return {
            "input_ids": torch.where(chosen, shown, ids),
            "labels": torch.where(chosen, ids, IGNORED),
        }

    def _shown(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """What each token would be shown as, were it chosen."""
        ordinary = self.chances.nonzero()[:, 0]
        others = ordinary[torch.randint(len(ordinary), ids.shape, generator=generator)]
        draws = torch.rand(ids.shape, generator=generator)
        kept = torch.where(draws < SHOWN_AS_MASK + SHOWN_AS_ANY, others, ids)
        return torch.where(draws < SHOWN_AS_MASK, self.tokenizer.mask_token_id, kept)


def mask_rows(rows: datasets.Dataset, collate: MaskingCollate) -> datasets.Dataset:
    """Each row masked by itself, with `labels`: its mask is the same in whatever batch it comes."""

    def mask(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        masked = [collate.mask(torch.tensor(ids)) for ids in batch["input_ids"]]
        return {name: [row[name].tolist() for row in masked] for name in ("input_ids", "labels")}

    return rows.map(
        mask, batched=True, keep_in_memory=True, load_from_cache_file=False, desc="Masking"
    )


def choice_chances(
    counts: Tensor, ordinary: Tensor, *, probability: float, smoothing: float
) -> Tensor:
    """How often each token is chosen, float32 `(V,)`; 0 for what is not `ordinary` (bool `(V,)`).

    It is min(1, c · count^-smoothing) with the one c for which `probability` of all ordinary tokens
    of the corpus are chosen in expectation; `counts` (V,) are those of the corpus, and a token that
    does not occur there counts as one that occurs once.

    >>> counts, ordinary = torch.tensor([9, 1, 4, 16]), torch.tensor([False, True, True, True])
    >>> choice_chances(counts, ordinary, probability=1 / 3, smoothing=0.5)
    tensor([0.0000, 1.0000, 0.5000, 0.2500])

    Source: the code of Sanh et al. 2019 (DistilBERT), whose smoothing is 0.7.
    Differs: there, each batch draws a fixed number of tokens, 15 % of all with the special ones,
    without putting back, by weights that are normalised over that batch: a rare token's chance
    depends on its companions. Here it is the same in every batch, and the number varies.
    """
    known = torch.where(ordinary, counts, 0).double()
    weights = known.clamp(min=1) ** -smoothing
    sure = torch.zeros_like(ordinary)
    while True:
        rest = probability * known.sum() - known[sure].sum()
        scale = rest / (known * weights)[~sure].sum()
        over = ordinary & ~sure & (scale * weights > 1)
        if not over.any():
            break
        sure = sure | over
    return torch.where(sure, 1.0, scale * weights).where(ordinary, 0.0).float()


def ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Which ids are tokens of the vocabulary and not special (or unknown): bool `(V,)`.

    Raises `DataError` for a tokenizer without a mask token.
    """
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"{type(tokenizer).__name__} has no mask token, which masked-lm puts in the place of "
            "words; use the tokenizer of a model trained so, or set tokenizer.mask_token"
        )
    ids = torch.tensor(sorted(tokenizer.get_vocab().values()))
    ordinary = torch.zeros(int(ids.max()) + 1, dtype=torch.bool)
    ordinary[ids] = True
    ordinary[torch.tensor(tokenizer.all_special_ids)] = False
    return ordinary


def _generator(seed: int, ids: Tensor) -> torch.Generator:
    content = f"{seed} {tuple(ids.shape)} ".encode() + ids.contiguous().numpy().tobytes()
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def _nearest(draws: Tensor, chances: Tensor) -> Tensor:
    """The one token whose draw is the smallest part above its chance: bool, as `draws`."""
    if not chances.any():
        raise DataError(
            f"a batch of {len(draws)} rows has only special and unknown tokens: there is none to "
            "be told; drop such rows"
        )
    chosen = torch.zeros_like(draws, dtype=torch.bool)
    chosen.view(-1)[(draws / chances).argmin()] = True
    return chosen


def _padded_labels(rows: list[Row], mask: Tensor) -> Tensor:
    """The rows' labels where the mask says that they are, on whichever side the padding is."""
    labels = torch.full_like(mask, IGNORED)
    labels[mask.bool()] = torch.tensor([label for row in rows for label in row["labels"]])
    return labels
