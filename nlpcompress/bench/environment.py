"""Where numbers were measured: versions, processor, threads. No host, user or folder names."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("nlpcompress", "torch", "transformers", "onnxruntime", "onnx", "numpy")
VECTOR_UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Instruction sets that decide how fast 8-bit products are, by their names in /proc/cpuinfo."""


def environment(*, threads: int | None = None) -> dict[str, object]:
    """Versions of what runs, and the machine; JSON values only.

    `threads` is the number that was used for one operation where times were taken; left out, it is
    PyTorch's in this process.
    """
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpu_features": _features(),
        "cores": os.cpu_count(),
        "threads": threads or torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _features() -> list[str]:
    flags = set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())
    return [unit for unit in VECTOR_UNITS if unit in flags]


def _cpuinfo(key: str) -> str | None:
    """The first value of `key` in /proc/cpuinfo; None where there is no such file or key."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)
