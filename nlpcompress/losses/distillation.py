"""Losses between the student's logits and the teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nlpcompress.losses.reduction import as_pair, masked_mean, mean_of_classes


def soft_target_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float,
    mask: Tensor | None = None,
    classes: Tensor | None = None,
) -> Tensor:
    """`temperature² · KL(teacher ‖ student)` of the softened distributions, a scalar.

    Both logits have the shape `(…, C)`: `(B, C)` for a sequence, `(B, T, C)` for its tokens. The
    divergence is summed over the classes and averaged over the rows ("batchmean"): over the
    examples, or the tokens, that `mask` (`(…,)`, nonzero = counts) lets through; 0 when it lets
    none through. `classes`, bool `(…, C)`, says which classes there are: the others have no part in
    the distributions, as padding has none in where an answer starts. No gradient reaches the
    teacher. Half precision is computed in float32. Raises `ValueError` when the shapes differ, as
    all losses here do.

    Source: Hinton et al. 2015, section 2; the factor T² keeps the gradients of soft and hard
    targets in proportion when the temperature changes. Sanh et al. 2019 (DistilBERT), `L_ce`.
    """
    pair = [v / temperature for v in as_pair(student_logits, teacher_logits, "logits")]
    if classes is not None:
        lowest = torch.finfo(pair[0].dtype).min
        pair = [values.masked_fill(~classes, lowest) for values in pair]
    own, target = (F.log_softmax(values, dim=-1) for values in pair)
    divergence = F.kl_div(own, target, reduction="none", log_target=True).sum(-1)
    return temperature**2 * masked_mean(divergence, mask)


def soft_label_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float,
    mask: Tensor | None = None,
    classes: Tensor | None = None,
) -> Tensor:
    """`temperature² · KL(teacher ‖ student)` where each label is a yes or no of its own, a scalar.

    Logits `(…, C)` of independent labels (multi-label classification): the divergence of the two
    Bernoulli distributions, averaged over the labels, as the task's binary cross-entropy is, and
    over the rows of `mask`. Otherwise as `soft_target_loss`.

    Source: Hinton et al. 2015, section 2, for each label.
    """
    student, teacher = (
        logits / temperature for logits in as_pair(student_logits, teacher_logits, "logits")
    )
    chance = teacher.sigmoid()
    # log σ(t) - log σ(s) and the same for "no", weighed with the teacher's chances of each.
    yes = F.logsigmoid(teacher) - F.logsigmoid(student)
    no = F.logsigmoid(-teacher) - F.logsigmoid(-student)
    divergence = chance * yes + (1 - chance) * no
    return temperature**2 * masked_mean(mean_of_classes(divergence, classes), mask)


def logits_mse(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    mask: Tensor | None = None,
    classes: Tensor | None = None,
) -> Tensor:
    """Mean squared difference of the logits `(…, C)`, over the classes and the rows of `mask`.

    `classes` are those that there are, as for `soft_target_loss`.

    Source: Ba and Caruana 2014, equation 1 ("logit matching").
    Differs: the paper sums over the classes and halves; the mean does not grow with their number.
    """
    student, teacher = as_pair(student_logits, teacher_logits, "logits")
    return masked_mean(mean_of_classes((student - teacher).square(), classes), mask)
