"""Penalties that make gates close."""

from torch import Tensor


def l1_penalty(scores: Tensor) -> Tensor:
    """Mean of σ(scores), a scalar in (0, 1): how far open soft gates are.

    Source: Sanh et al. 2020, section 4, ‖σ(S)‖₁, divided by the number of scores as in its code.
    """
    return scores.sigmoid().mean()


def l0_penalty(chance_open: Tensor) -> Tensor:
    """Mean of the chances that gates are not zero, a scalar in (0, 1): the expected density.

    Source: Louizos et al. 2018, equation 12, divided by the number of gates.
    """
    return chance_open.mean()
