"""Artefacts that are compared, each in a process of its own, in an environment of its runtime."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
PINS = HERE / "constraints" / "newest.txt"


class Contender(NamedTuple):
    """A program in `scripts/peers`, the kind of artefact it makes, and out of which model."""

    name: str
    program: str
    kind: str
    model: str


class Process:
    """An artefact that answers, as `scripts/peers/serve.py` says; it ends with the context."""

    def __init__(
        self, contender: Contender, artefact: Path, work: Path, environments: Path
    ) -> None:
        command = [*program(contender, environments), "serve", str(work), str(artefact)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=one_thread()
        )
        self.cold_seconds = float(self._read()["cold_seconds"])

    def ask(self, **request: Any) -> dict[str, Any]:
        """What it answers. Raises `RuntimeError` when it has ended."""
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        """The next line of JSON; tools may write other lines."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def made(contender: Contender, work: Path, environments: Path) -> Path:
    """The artefact, made by the contender's program unless it is there."""
    artefact = work / f"{contender.program}-{contender.kind}.{suffix(contender.program)}"
    if not artefact.exists():
        command = [*program(contender, environments), "make", contender.kind]
        subprocess.run([*command, str(work), str(artefact)], check=True, env=one_thread())
    return artefact


def suffix(program: str) -> str:
    return {"onnxruntime": "onnx", "openvino": "xml", "torch": "model"}[program]


def program(contender: Contender, environments: Path) -> list[str]:
    """The command that starts it, in its environment."""
    python = environment(contender.program, environments)
    return [str(python), str(PEERS / f"with_{contender.program}.py")]


def environment(name: str, environments: Path) -> Path:
    """The python of an environment with what `scripts/peers/<name>.txt` lists; made once.

    Torch comes first and by its exact version: anything looser may take a build for another
    accelerator.
    """
    folder = environments / name
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        listed = (PEERS / f"{name}.txt").read_text().split()
        pinned = [line for line in PINS.read_text().splitlines() if line.startswith("torch==")]
        wanted = [pinned, listed] if "torch" in listed else [listed]
        for packages in wanted:
            pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(PINS)]
            subprocess.run([*pip, *packages], check=True, env=one_thread())
        done.touch()
    return python


def one_thread() -> dict[str, str]:
    """The environment variables of a process that computes alone, and with nothing of ours."""
    own = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **own}


def in_turn(
    running: Mapping[str, Process], shapes: tuple[str, ...], *, rounds: int, warmup: int = 3
) -> dict[str, dict[str, list[float]]]:
    """Name → shape → milliseconds of each round; all take turns."""
    times: dict[str, dict[str, list[float]]] = {name: {s: [] for s in shapes} for name in running}
    for shape in shapes:
        for number in range(warmup + rounds):
            for name, process in running.items():
                passed = process.ask(time=shape)["ms"]
                if number >= warmup:
                    times[name][shape].append(passed)
    return times
