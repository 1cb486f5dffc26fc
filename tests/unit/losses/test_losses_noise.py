"""The noise of a teacher: its moments, whom it hits, and that nothing is drawn without it."""

import pytest
import torch

from nlpcompress.losses import noisy_logits


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_is_relative_normal_and_of_each_logit():
    logits = torch.tensor([4.0, -2.0, 0.0]).repeat(40_000, 1)
    noisy = noisy_logits(logits, sigma=0.3, generator=drawn())
    relative = noisy[:, :2] / logits[:, :2] - 1
    assert relative.mean().item() == pytest.approx(0, abs=0.005)
    assert relative.std().item() == pytest.approx(0.3, abs=0.005)
    assert relative.pow(4).mean().item() == pytest.approx(3 * 0.3**4, rel=0.05)
    assert abs(torch.corrcoef(relative.T)[0, 1].item()) < 0.02
    assert torch.equal(noisy[:, 2], logits[:, 2])


@pytest.mark.parametrize("shape", [(8000, 3), (8000, 2, 3)])
def test_a_fraction_of_the_examples_is_hit_each_as_a_whole(shape):
    logits = torch.randn(shape, generator=drawn(1)) + 5
    changed = noisy_logits(logits, sigma=0.5, fraction=0.25, generator=drawn()) != logits
    by_example = changed.flatten(1)
    assert torch.equal(by_example.any(1), by_example.all(1))
    assert by_example.any(1).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_generator_or_the_global_state_fixes_the_noise():
    logits = torch.ones(5, 3)
    same = [noisy_logits(logits, sigma=1.0, fraction=0.5, generator=drawn(3)) for _ in range(2)]
    assert torch.equal(*same)
    by_state = []
    for _ in range(2):
        torch.manual_seed(3)
        by_state.append(noisy_logits(logits, sigma=1.0, fraction=0.5))
    assert torch.equal(*by_state) and torch.equal(by_state[0], same[0])
    assert not torch.equal(noisy_logits(logits, sigma=1.0, generator=drawn(4)), same[0])
    hit = [noisy_logits(logits, sigma=1.0, fraction=0.5)[:, 0] != 1 for _ in range(20)]
    assert len({tuple(one.tolist()) for one in hit}) > 10


def test_no_noise_draws_nothing_and_changes_nothing():
    logits, state = torch.randn(4, 3), torch.get_rng_state()
    for values in ({"sigma": 0.0}, {"sigma": 1.0, "fraction": 0.0}):
        assert noisy_logits(logits, **values) is logits
    assert torch.equal(state, torch.get_rng_state())


def test_half_precision_becomes_float32():
    noisy = noisy_logits(torch.full((2, 3), 6e4, dtype=torch.float16), sigma=1.0, generator=drawn())
    assert noisy.dtype == torch.float32 and bool(noisy.isfinite().all())
