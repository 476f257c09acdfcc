"""Random bits: equal to those of jax.random, and to the published vectors of threefry2x32."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from minirnn import random

SEEDS = [0, 1, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63 - 1, -1, -5, -(2**31) - 1, -(2**63)]
SEEDS += [np.int32(-3), np.int8(-3), np.uint32(2**32 - 1), np.int64(-3), np.int64(2**40 + 3), np.uint8(7), True]
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (4, 0, 2), (64, 33)]


def same(actual, expected):
    expected = np.asarray(expected)
    assert type(actual) is np.ndarray
    assert actual.dtype == expected.dtype == np.uint32
    np.testing.assert_array_equal(actual, expected, strict=True)


@pytest.mark.parametrize("x64", [False, True])
def test_keys_are_those_of_jax(x64):
    with jax.enable_x64(x64):
        for seed in SEEDS:
            same(random.key(seed, x64=x64), jax.random.key_data(jax.random.key(seed)))


@pytest.mark.parametrize("x64", [False, True])
def test_split_fold_in_and_bits_are_those_of_jax(x64):
    rng = np.random.default_rng(0)
    keys = [random.key(0), random.key(42), *rng.integers(0, 2**32, (20, 2), dtype=np.uint32)]
    numbers, data = (2, 1, 5, 0), (0, 1, 12345, 2**31, 2**32 - 1)

    def draw(key):
        return (
            [jax.random.key_data(jax.random.split(key, num)) for num in numbers],
            [jax.random.key_data(jax.random.fold_in(key, n)) for n in data],
            [jax.random.bits(key, shape, np.uint32) for shape in SHAPES],
        )

    with jax.enable_x64(x64):
        wrapped = jax.random.wrap_key_data(np.stack(keys), impl="threefry2x32")
        expected = jax.tree.map(np.asarray, jax.jit(jax.vmap(draw))(wrapped))  # compiled once for everything
    for i, key in enumerate(keys):
        splits, folds, words = jax.tree.map(lambda a: a[i], expected)
        for num, value in zip(numbers, splits, strict=True):
            same(random.split(key, num), value)
        for n, value in zip(data, folds, strict=True):
            same(random.fold_in(key, n), value)
        for shape, value in zip(SHAPES, words, strict=True):
            same(random.bits(key, shape), value)


def test_jax_takes_the_keys_as_they_are():
    key = random.split(random.fold_in(random.key(3), 9), 3)[1]
    same(random.bits(key, (4, 5)), jax.random.bits(key, (4, 5)))
    typed = jax.random.split(jax.random.fold_in(jax.random.key(3), 9), 3)[1]
    same(random.bits(key, (4, 5)), jax.random.bits(typed, (4, 5)))
    same(random.bits(jax.numpy.asarray(key), (2,)), random.bits(key, (2,)))


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known-answer vectors of Random123 for 20 rounds
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_hash_gives_the_published_vectors(counter, key, expected):
    x0, x1 = (np.array([word], np.uint32) for word in counter)
    before = x0.copy(), x1.copy()
    assert tuple(int(word[0]) for word in random._threefry2x32(np.array(key, np.uint32), x0, x1)) == expected
    assert (x0, x1) == before


def test_counters_go_on_beyond_32_bits(monkeypatch):
    arange = np.arange
    monkeypatch.setattr(np, "arange", lambda n, dtype: arange(n, dtype=dtype) + dtype(2**32 - 1))
    high, low = random._counters(3)
    np.testing.assert_array_equal(high, [0, 1, 1])
    np.testing.assert_array_equal(low, [2**32 - 1, 0, 1])


def test_bits_are_uniform():
    words = random.bits(random.key(5), (100_000,))
    counts = np.bincount(words >> np.uint32(26), minlength=64)
    chi_square = ((counts - words.size / 64) ** 2 / (words.size / 64)).sum()
    assert 25 < chi_square < 115  # 63 degrees of freedom: 1e-5 on either side
    ones = [int(((words >> np.uint32(k)) & np.uint32(1)).sum()) for k in range(32)]
    assert max(abs(n - words.size / 2) for n in ones) < 5 * np.sqrt(words.size) / 2


def test_no_key_is_drawn_twice():
    root = random.key(0)
    keys = np.concatenate([random.split(root, 1000), *(random.fold_in(k, 7)[None] for k in random.split(root, 50))])
    assert len(np.unique(keys, axis=0)) == len(keys)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, np.float32(0.3), 0])
def test_dropout_keeps_the_same_units_in_both_halves(rate):
    key = random.key(11)
    kept = random.dropout_mask(random.bits(key, (300, 70)), rate)
    assert kept.dtype == bool
    np.testing.assert_array_equal(kept, random.dropout_mask(jax.random.bits(key, (300, 70)), rate))
    compiled = jax.jit(lambda k: random.dropout_mask(jax.random.bits(k, (300, 70), np.uint32), rate))
    np.testing.assert_array_equal(kept, compiled(key))
    deviation = np.sqrt(float(rate) * (1 - float(rate)) / kept.size)
    assert abs(kept.mean() - (1 - float(rate))) <= 5 * deviation


def test_the_threshold_is_exact():
    edge = np.array([0, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)
    np.testing.assert_array_equal(random.dropout_mask(edge, 0.0), [True] * 4)
    np.testing.assert_array_equal(random.dropout_mask(edge, 0.5), [True, True, False, False])
    np.testing.assert_array_equal(random.dropout_mask(edge, 1 - 2.0**-32), [True, False, False, False])
    assert random.keep_threshold(0.1) == round(0.9 * 2**32)
    assert random.keep_threshold(np.float32(0.5)) == 2**31


def test_errors_say_what_was_expected():
    for rate in (-0.1, 1.0, 1.5, np.nan, np.inf, 1 - 2.0**-40):
        with pytest.raises(ValueError, match="expected a dropout rate of at least 0 and below 1"):
            random.keep_threshold(rate)
    with pytest.raises(TypeError, match="bits holds int64; expected uint32"):
        random.dropout_mask(np.zeros(3, np.int64), 0.5)
    with pytest.raises(TypeError, match=r"seed is 1\.0; expected an integer"):
        random.key(1.0)
    with pytest.raises(ValueError, match="seed is 9223372036854775808"):
        random.key(2**63)
    for wrong in (np.zeros(2, np.int64), np.zeros((1, 2), np.uint32), [0, 1], 7, jax.random.key(0)):
        with pytest.raises(TypeError, match=r"key holds .*; expected uint32 \(2,\)"):
            random.bits(wrong, (2,))
    key = random.key(0)
    with pytest.raises(ValueError, match="data is -1; expected an integer from 0"):
        random.fold_in(key, -1)
    with pytest.raises(ValueError, match="data is 4294967296"):
        random.fold_in(key, 2**32)
    with pytest.raises(ValueError, match="num is -1"):
        random.split(key, -1)
    with pytest.raises(ValueError, match=r"shape is \(2, -3\)"):
        random.bits(key, (2, -3))
    with pytest.raises(TypeError, match=r"a size in shape is 2\.0"):
        random.bits(key, (2.0,))


def test_it_loads_without_jax():
    code = "import minirnn, sys; minirnn.random.key(0); print('jax' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
