"""Widths that hardware likes."""


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple, at least one, and not below 90 % of what is asked for.

    >>> [divisible(channels) for channels in (3, 20, 35.2, 12)]
    [8, 24, 32, 16]
    """
    near = max(by, int(channels + by / 2) // by * by)
    return near + by if near < 0.9 * channels else near
