"""Quiet threads before torch is imported, and the `--slow` switch."""

import gc
import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

PRECISION = "ACCELERATE_MIXED_PRECISION"

# No test cuts the power, and a kill loses nothing that was written: nothing to wait for.
os.fsync = lambda descriptor: None


def pytest_addoption(parser):
    parser.addoption(
        "--slow", action="store_true", help="also run tests on real models and data (minutes)"
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def pytest_collection_finish(session):
    """What was imported stays: `gc.collect`, which every training calls, need not see it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_log_settings():
    """A test that runs the command line in this process leaves its log handlers to no other."""
    yield
    logger = logging.getLogger("nlpcompress")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def own_precision():
    """Arguments with bf16 say so to all that follow, in a variable that transformers 4 leaves."""
    before = os.environ.get(PRECISION)
    yield
    os.environ.pop(PRECISION, None)
    if before is not None:
        os.environ[PRECISION] = before
