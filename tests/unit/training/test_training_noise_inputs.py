"""Noise of training batches: what it changes, what it leaves, and that a batch fixes it."""

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.training.self_training.config import SelfTrainingConfig
from nlpcompress.training.self_training.input_noise import (
    InputNoise,
    NoisyCollate,
    flipped,
    input_noise,
    shifted,
)
from tests.unit.training.self_training_tiny import MASK, SPECIAL, Words


def config(**values):
    return SelfTrainingConfig(**values)


def texts(count=400):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50, (count, 10), generator=generator)
    attention = torch.ones_like(ids)
    attention[:, 7:] = 0
    return {"input_ids": ids, "attention_mask": attention, "labels": ids[:, 0]}


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("replacement", ["mask", "random"])
def test_tokens_are_hidden_but_special_ones_and_padding_are_not(replacement):
    noise = input_noise(config(token_noise=0.3, token_replacement=replacement), Words())
    before = texts()
    after = noise(before, drawn())
    changed = before["input_ids"] != after["input_ids"]
    special = torch.isin(before["input_ids"], torch.tensor(SPECIAL))
    assert not bool(changed[special].any()) and not bool(changed[:, 7:].any())
    hit = changed[:, :7][~special[:, :7]].float().mean().item()
    assert hit == pytest.approx(0.3 if replacement == "mask" else 0.3 * 45 / 46, abs=0.03)
    instead = set(after["input_ids"][changed].tolist())
    assert instead == ({MASK} if replacement == "mask" else set(range(4, 50)))
    assert torch.equal(after["labels"], before["labels"])
    assert before["input_ids"] is not after["input_ids"]


def test_pictures_move_within_bounds_and_zeros_come_in():
    pictures = torch.arange(1.0, 26.0).view(1, 1, 5, 5).repeat(200, 2, 1, 1)
    moved = shifted(pictures, 1, drawn())
    assert moved.shape == pictures.shape
    seen = set()
    for row in moved:
        seen.add(int(row[0, 2, 2]))
        assert torch.equal(row[0], row[1])
    assert seen == {7, 8, 9, 12, 13, 14, 17, 18, 19}
    still = moved[moved[:, 0, 2, 2] == 13]
    assert torch.equal(still[0], pictures[0])
    down = moved[moved[:, 0, 2, 2] == 8][0, 0]
    assert torch.equal(down[0], torch.zeros(5)) and torch.equal(down[1:], pictures[0, 0, :4])


def test_half_of_the_pictures_are_mirrored():
    pictures = torch.rand(400, 1, 3, 4, generator=drawn())
    found = flipped(pictures, drawn(1))
    mirrored = (found == pictures.flip(-1)).flatten(1).all(1)
    same = (found == pictures).flatten(1).all(1)
    assert bool((mirrored ^ same).all()) and 150 < int(mirrored.sum()) < 250


def test_a_config_says_which_noise_pictures_have():
    batch = {"pixel_values": torch.rand(8, 1, 6, 6, generator=drawn())}
    for values, changes in (({"shift": 0}, False), ({"shift": 2}, True),
                            ({"shift": 0, "flip": True}, True)):  # fmt: skip
        after = InputNoise(config(**values))(batch, drawn())["pixel_values"]
        assert bool((after != batch["pixel_values"]).any()) is changes


def test_the_same_batch_and_seed_have_the_same_noise_whatever_the_random_state():
    noise = input_noise(config(token_noise=0.3), Words())

    def once(rows, seed=0):
        torch.rand(3)
        return NoisyCollate(dict, noise, seed)(rows)["input_ids"]

    batch, other = texts(16), texts(17)
    assert torch.equal(once(batch), once(batch))
    assert not torch.equal(once(batch), once(batch, seed=1))
    hidden = [once(b)[:16] == MASK for b in (batch, other)]
    assert not torch.equal(*hidden)
    state = torch.get_rng_state()
    NoisyCollate(dict, noise, 0)(batch)
    assert torch.equal(state, torch.get_rng_state())


def test_what_a_tokenizer_must_tell():
    class Plain(Words):
        mask_token_id = None

    with pytest.raises(ConfigError, match=r"Plain has no mask token .* token_replacement: random"):
        input_noise(config(), Plain())
    assert input_noise(config(token_replacement="random"), Plain()).mask is None
    assert input_noise(config(token_noise=0.0), Plain()).config.token_noise == 0
    with pytest.raises(ConfigError, match=r"token_noise: 0.1 hides tokens.* pass tokenizer="):
        input_noise(config())(texts(), drawn())
    assert input_noise(config(token_noise=0.0))(texts(4), drawn()).keys() == texts(4).keys()
