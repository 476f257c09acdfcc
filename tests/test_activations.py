"""The NumPy half's way to all gates with one tanh."""

import numpy as np
import pytest

from minirnn.readable.activations import activate, sigmoid


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(8,), (1, 8), (3, 8), (2, 3, 8), (0, 8)])
def test_each_block_gets_its_function(dtype, shape, rng):
    z = (3 * rng.standard_normal(shape)).astype(dtype)
    if dtype is np.complex128:
        z += 1e-30j * rng.standard_normal(shape)
    functions = (sigmoid, np.tanh, sigmoid, sigmoid)
    for _ in range(2):
        found = activate(z, *functions)
        for function, block, expected in zip(functions, found, np.split(z, 4, axis=-1), strict=True):
            assert block.dtype == dtype
            np.testing.assert_allclose(block, function(expected), rtol=4 * np.finfo(dtype).eps)
            np.testing.assert_allclose(block.imag, function(expected).imag, rtol=1e-12, atol=0)
            block[...] = 7  # a caller may write into its own gates: the next call is right all the same


def test_integers_are_not_rounded():
    halves, zeros = activate(np.zeros((2, 4), int), sigmoid, np.tanh)
    np.testing.assert_array_equal(halves, 0.5)
    np.testing.assert_array_equal(zeros, 0)
