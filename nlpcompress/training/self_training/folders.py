"""Where the rounds of a self-training lie, and which of them are over.

`output_dir` has `self_training.json`, which says of what it is, and `round-<k>` with the teacher's
logits, the trainer's checkpoints, the report, and, written last, the student.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from nlpcompress.core.whole import whole_file, write_whole
from nlpcompress.errors import FormatError
from nlpcompress.training.rounds import RoundFolders

FORMAT_VERSION = 1


class SelfTrainingFolders:
    """Rounds are counted from 0."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.rounds = RoundFolders(root)
        self.description = self.root / "self_training.json"

    def open(self, what: Mapping[str, Any], *, resume: bool) -> None:
        """Begin, or go on with what was begun here.

        Raises `FormatError` when there is something here and `resume` is false, or it is not
        `what`.
        """
        what = {"format_version": FORMAT_VERSION, **what}
        if not self.description.exists():
            write_whole(self.description, json.dumps(what, indent=2))
            return
        if not resume:
            raise FormatError(
                f"'{self.root}' has an earlier self-training; go on with resume=True, or choose "
                "an empty output_dir"
            )
        before = json.loads(self.description.read_text())
        other = [key for key, value in what.items() if before.get(key) != value]
        if other:
            raise FormatError(
                f"'{self.root}' has a self-training that differs in {', '.join(other)} "
                f"({before.get(other[0])}, now {what[other[0]]}); go on with what it began with, "
                "or choose an empty output_dir"
            )

    def round(self, number: int) -> Path:
        """The folder of a round."""
        return self.rounds.round(number)

    def is_over(self, number: int) -> bool:
        """Whether the round's student is there."""
        return self._student(number).exists()

    def close(self, number: int, report: Mapping[str, Any], student: Mapping[str, Tensor]) -> None:
        """Write down what came of a round; it is over when the last file is there."""
        write_whole(self._report(number), json.dumps(report, indent=2))
        write_tensors(self._student(number), student)

    def read(self, number: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Report and student of a round that is over."""
        return json.loads(self._report(number).read_text()), load_file(self._student(number))

    def logits(self, number: int, compute: Callable[[], Tensor]) -> Tensor:
        """The teacher's logits of a round, from its file, or computed and written there."""
        path = self.round(number) / "pseudo_labels.safetensors"
        if not path.exists():
            write_tensors(path, {"logits": compute()})
        return load_file(path)["logits"]

    def _student(self, number: int) -> Path:
        return self.round(number) / "student.safetensors"

    def _report(self, number: int) -> Path:
        return self.round(number) / "report.json"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Whole or not at all. Tensors that share memory are written one by one."""
    plain = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with whole_file(path) as temporary:
        save_file(plain, temporary)
