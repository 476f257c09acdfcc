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


# Many tests compile the same program once more, from a function of their own: it is taken from a folder that lasts for
# this process. Not shared: JAX writes its files in pieces, and another process would read half of one.
compiled = tempfile.mkdtemp(prefix="compiled-")
atexit.register(shutil.rmtree, compiled, ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", compiled)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


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
