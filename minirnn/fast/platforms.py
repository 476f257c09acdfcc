"""What is done differently on different platforms, in one place.

The mathematics never depends on the platform; only the order of the computation, the layout of the products
and the options of the compiler do.
Each choice says what was measured.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_compiling_for: contextvars.ContextVar[str | None] = contextvars.ContextVar("compiling_for", default=None)


def current() -> str:
    """The platform that a function traced now is meant for: ``"cpu"``, ``"gpu"`` or ``"tpu"``."""
    return _compiling_for.get() or jax.default_backend()


@contextlib.contextmanager
def compiling_for(platform: str) -> Iterator[None]:
    """Traces inside are meant for another platform than that of this process (``jax.export`` for an accelerator)."""
    token = _compiling_for.set(platform)
    try:
        yield
    finally:
        _compiling_for.reset(token)


def hoists_input_product() -> bool:
    """Whether ``xs @ Wx`` is formed for all steps before the loop.

    On an accelerator the serial part must be as small as possible. On a CPU writing and reading (T, B, GH) mostly costs
    more than the product inside the loop: hoisted, an LSTM's training step took 1.04 to 1.4 times as long at
    (B, T, D, H) = (32, 100, 16, 64), (64, 96, 7, 128) and (64, 128, 64, 256), and 0.9 at (32, 24, 1, 32).
    """
    return current() != "cpu"


def multiplies_symbols_once() -> bool:
    """Whether a recurrent layer behind an embedding looks x Wx up in the table ``E Wx``, where symbols are few.

    The product with Wx then is one for each symbol, not for each step; its gradient adds a row of GH numbers for each
    step. On a CPU, with 106 symbols, that took 0.92 to 0.95 of the time of a character model's training step at
    (B, T, D, H) = (32, 64, 64, 256) and (64, 128, 64, 256). An accelerator would add the rows of all steps
    at once to a few places, in no fixed order: there networks keep the products.
    """
    return current() == "cpu"


def joins_directions() -> bool:
    """Whether the two directions of a bidirectional layer walk in one loop, with batched products.

    On an accelerator a step costs its launches, so that half as many steps are nearly half the time.
    """
    return current() != "cpu"


def parallel_in_time() -> bool:
    """Whether a linear recurrence is computed in O(log T) depth, which takes about twice the arithmetic.

    On an accelerator depth is what costs. On a CPU one step after another took 0.34 to 0.77 of the time of a minGRU's
    or minLSTM's gradient at (B, T, D, H) = (16, 64 to 4096, 16, 64) and (64, 1024, 64, 256). Its train step compiled in
    about a second, where the tree of the scan needs 2 at T = 64 and 3 at T = 4096. Blocks of steps in parallel lay in
    between.
    """
    return current() != "cpu"


def compiler_options() -> dict[str, bool | int | str]:
    """For ``jax.jit(compiler_options=...)`` of the functions that this library compiles itself.

    On a CPU: XLA prefers vectors of 256 bits where the processor has 512 ones. With 512 a training step took 0.85 to
    0.97 of the time on a Xeon with AVX-512; a processor without them is not affected.
    """
    return {"xla_cpu_prefer_vector_width": 512} if current() == "cpu" else {}
