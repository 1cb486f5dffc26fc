"""Which layer of the teacher each layer of the student learns from."""

from collections.abc import Callable

from nlpcompress.errors import ConfigError

Pairs = list[tuple[int, int]]


def uniform(student: int, teacher: int, *, first: int) -> Pairs:
    """Layer i of `student` layers with layer i · teacher / student, rounded, of the teacher's.

    `first` is 0 where what goes into the first layer counts too, else 1.

    Source: Jiao et al. 2020 (TinyBERT), section 3, g(m) = 3m for 12 and 4 layers.

    >>> uniform(3, 6, first=0)
    [(0, 0), (1, 2), (2, 4), (3, 6)]
    """
    return [(i, round(i * teacher / student)) for i in range(first, student + 1)]


def last(student: int, teacher: int, *, first: int) -> Pairs:
    """All layers of the student with the last ones of the teacher.

    Raises `ConfigError` when the student has more.

    Source: Sun et al. 2019 (PKD), section 3.2, "PKD-Last".

    >>> last(2, 6, first=0)
    [(1, 5), (2, 6)]
    """
    if student > teacher:
        raise ConfigError(
            f"layers: last needs as many layers in the teacher ({teacher}) as in the student "
            f"({student}); use uniform"
        )
    return [(i, teacher - student + i) for i in range(1, student + 1)]


LAYER_MAPS: dict[str, Callable[..., Pairs]] = {"uniform": uniform, "last": last}
