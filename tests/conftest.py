"""Fixtures of all tests."""

import atexit
import shutil
import tempfile

import hypothesis.configuration
import jax
import numpy as np
import pytest

# While tests are collected hypothesis writes down the constants of imported files: not beside the code.
notes = tempfile.mkdtemp(prefix="hypothesis-")
atexit.register(shutil.rmtree, notes, ignore_errors=True)
hypothesis.configuration.set_hypothesis_home_dir(notes)


@pytest.fixture
def rng():
    return np.random.default_rng(20240501)


@pytest.fixture
def x64():
    """JAX with 64-bit numbers, for the length of one test."""
    with jax.enable_x64(True):
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="count a skipped test as failed: every extra must be installed"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although every extra should be installed: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and collector.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although every extra should be installed: {report.longrepr}"
