"""How many singular values of a matrix are more than noise: empirical variational Bayes."""

import math

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from torch import Tensor

Values = np.ndarray
GREATEST = 10.0
"""Above every border's τ, the greatest of which is 2.5129, that of a square matrix."""


def evidence_rank(energies: Tensor, rows: int, columns: int) -> int:
    """The rank that variational Bayes leaves of a matrix with noise of unknown strength.

    `energies` are the squared singular values, descending, `(min(rows, columns),)`. Exact for the
    model of a low-rank matrix plus Gaussian noise, with priors learned from the matrix: a singular
    value stays if it is above a threshold which follows from the strength of the noise, and that is
    the one for which the free energy is least. 0 when all is noise.

    Source: Nakajima et al. 2013 (JMLR 14), theorem 2 and corollary 1, for which filters of
    convolutions were first taken by Kim et al. 2016.
    Differs: the border is solved for; the paper approximates its τ by 2.5129 √α, up to 2 % off.
    """
    short, long = sorted((rows, columns))
    squares = energies.double().cpu().numpy()[:short]
    if not squares[0]:
        return 0
    alpha = short / long
    border = _border(alpha)
    variance = _noise(squares / long, alpha, border)
    return int((squares > long * variance * border).sum())


def _border(alpha: float) -> float:
    """The least square, in units of the noise, that stays: where staying gains nothing."""
    tau = brentq(_gain, math.sqrt(alpha), GREATEST, args=(alpha,))
    return (1 + tau) * (1 + alpha / tau)


def _gain(tau: Values, alpha: float) -> Values:
    """Of free energy, by keeping a direction; below 0 it stays."""
    return np.log(tau + 1) + alpha * np.log(tau / alpha + 1) - tau


def _noise(squares: Values, alpha: float, border: float) -> float:
    """The variance of the noise with the least free energy; `squares` are by the longer side."""
    most = min(math.ceil(len(squares) / (1 + alpha)) - 1, len(squares) - 1)
    below = max(squares[most] / border, squares[most:].mean())
    above = squares.mean()
    if not 0 < below < above:
        return float(above)
    found = minimize_scalar(
        lambda log: _free_energy(squares / math.exp(log), alpha, border),
        bounds=(math.log(below), math.log(above)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(found.x)


def _free_energy(x: Values, alpha: float, border: float) -> float:
    """Up to a constant, by the squares in units of the noise."""
    x = np.maximum(x, np.finfo(float).tiny)
    kept = x[x > border]
    spread = kept - (1 + alpha)
    tau = (spread + np.sqrt(np.maximum(spread**2 - 4 * alpha, 0))) / 2
    return float((x - np.log(x)).sum() + _gain(tau, alpha).sum())
