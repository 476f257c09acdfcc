"""The random bits of ``jax.random`` in NumPy, so that both halves drop the same units.

The generator is threefry2x32 with 20 rounds (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3): a hash
that turns a key and a counter, two words of 32 bits each, into two random words. Keys, splitting and bits are laid out
as JAX lays them out by default (``jax_default_prng_impl="threefry2x32"``, ``jax_threefry_partitionable=True``), and the
results are equal bit for bit. A key is the array uint32 (2,) that ``jax.random.key_data`` returns; the functions of
``jax.random`` take it as it is.
"""

from __future__ import annotations

import math
import operator

import numpy as np

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def key(seed: int, *, x64: bool = False) -> np.ndarray:
    """The key of an integer seed, uint32 (2,): ``jax.random.key_data(jax.random.key(seed))``.

    JAX takes the low 32 bits of a seed, unless its 64-bit numbers are enabled: then the high 32 bits count as well, and
    ``x64=True`` does the same. For seeds from 0 to 2**32 - 1 there is no difference.

    Raises:
      TypeError: the seed is not one integer.
      ValueError: it does not fit into 64 bits with a sign.

    >>> key(7), key(2**32 + 7), key(2**32 + 7, x64=True)
    (array([0, 7], dtype=uint32), array([0, 7], dtype=uint32), array([1, 7], dtype=uint32))
    """
    value = _integer(seed, "seed")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"seed is {value}; expected an integer from -2**63 to 2**63 - 1")
    narrow = isinstance(seed, np.generic) and seed.dtype.itemsize < 8  # JAX does not extend the sign of an int32
    high = value >> 32 if x64 and not narrow else 0
    return np.array([high & 0xFFFFFFFF, value & 0xFFFFFFFF], np.uint32)


def split(key: np.ndarray, num: int = 2) -> np.ndarray:
    """``num`` new keys from one, uint32 (num, 2): ``jax.random.split(key, num)``.

    >>> first, second = split(key(0))
    >>> first
    array([1797259609, 2579123966], dtype=uint32)
    """
    num = _integer(num, "num")
    if num < 0:
        raise ValueError(f"num is {num}; expected the number of keys, 0 or more")
    return np.stack(_threefry2x32(_check_key(key), *_counters(num)), axis=-1)


def fold_in(key: np.ndarray, data: int) -> np.ndarray:
    """A new key from a key and an integer from 0 to 2**32 - 1, uint32 (2,): ``jax.random.fold_in(key, data)``.

    >>> fold_in(key(0), 1)
    array([ 928981903, 3453687069], dtype=uint32)
    """
    data = _integer(data, "data")
    if not 0 <= data < 2**32:
        raise ValueError(f"data is {data}; expected an integer from 0 to 2**32 - 1")
    return np.concatenate(_threefry2x32(_check_key(key), np.zeros(1, np.uint32), np.array([data], np.uint32)))


def bits(key: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Uniform random words of 32 bits, uint32 of the given shape: ``jax.random.bits(key, shape, "uint32")``.

    JAX has to be asked for uint32: where its 64-bit numbers are enabled it returns other, 64-bit words.

    >>> bits(key(0), (2, 2))
    array([[4070199207, 4202968722],
           [1427181096, 2012915765]], dtype=uint32)
    """
    shape = tuple(_integer(n, "a size in shape") for n in shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"shape is {shape}; expected sizes of 0 or more")
    high, low = _threefry2x32(_check_key(key), *_counters(math.prod(shape)))
    return (high ^ low).reshape(shape)


def keep_threshold(rate: float) -> int:
    """How many of the 2**32 possible words keep a unit: 2**32 (1 - rate), rounded.

    Raises:
      ValueError: the rate is not in [0, 1), or so close to 1 that no word would keep a unit.

    >>> keep_threshold(0.0), keep_threshold(0.25)
    (4294967296, 3221225472)
    """
    rate = float(rate)  # a float32 rate would be rounded twice
    threshold = round((1.0 - rate) * 2**32) if 0 <= rate < 1 else 0
    if threshold < 1:
        raise ValueError(f"rate is {rate}; expected a dropout rate of at least 0 and below 1")
    return threshold


def dropout_mask(bits, rate: float):
    """Which units dropout keeps: random words (...) -> bool (...), True where the unit is kept.

    The comparison is one of integers, so NumPy and JAX decide alike; ``bits`` may be an array of either. Rate 0 keeps
    every unit.

    >>> dropout_mask(bits(key(0), (4,)), 0.5)
    array([False, False,  True,  True])
    """
    if getattr(bits, "dtype", None) != np.uint32:
        raise TypeError(f"bits holds {getattr(bits, 'dtype', type(bits).__name__)}; expected uint32, from random.bits")
    return bits <= np.uint32(keep_threshold(rate) - 1)  # bits < threshold; 2**32 itself is not a uint32


def _threefry2x32(key, x0, x1):
    """The hash: key (2,), counters x0 and x1 (N,) -> two random words (N,) each. All uint32, which wraps around."""
    # Slices, not scalars: NumPy warns when a scalar wraps around.
    ks = [key[:1], key[1:], key[:1] ^ key[1:] ^ np.uint32(_PARITY)]
    x0, x1 = x0 + ks[0], x1 + ks[1]
    for block in range(1, 6):  # of four rounds each
        for rotation in _ROTATIONS[(block - 1) % 2]:
            x0 += x1
            x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
            x1 ^= x0
        x0 += ks[block % 3]
        x1 += ks[(block + 1) % 3] + np.uint32(block)
    return x0, x1


def _counters(n):
    """0, 1, ..., n - 1 as high and low words (n,)."""
    counts = np.arange(n, dtype=np.uint64)
    return (counts >> np.uint64(32)).astype(np.uint32), counts.astype(np.uint32)


def _check_key(key):
    dtype, shape = getattr(key, "dtype", type(key).__name__), tuple(np.shape(key))
    if dtype != np.uint32 or shape != (2,):
        raise TypeError(f"key holds {dtype} of shape {shape}; expected uint32 (2,), from random.key or jax key_data")
    return np.asarray(key)


def _integer(value, name):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected an integer") from None
