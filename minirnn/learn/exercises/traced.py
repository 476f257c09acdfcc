"""Looking at a JAX function: its values, the program that jit makes of it, and its errors in fewer words.

Values are computed in 64-bit numbers, and one operation after the other: compiling takes longer than all the computing
that a check needs, and 64 bits tell rounding from mistakes. What jit would compile is seen from the traced program.
Both are set for the length of a call only: JAX's settings stay what they were. JAX is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

JITS = ("jit", "pjit")  # how the primitive is called, by version
LOOPS = ("scan", "while")


def library() -> dict[str, Any]:
    """The names of JAX that answers use."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    return {"jax": jax, "jnp": jnp, "lax": lax}


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """64-bit numbers, and nothing compiled, for the length of a block."""
    import jax

    with jax.enable_x64(True), jax.disable_jit(True):
        yield


def trace(function: Callable[..., Any], *arguments: Any) -> Any:
    """The program that jit would compile, in 64-bit numbers."""
    import jax

    with jax.enable_x64(True), jax.disable_jit(False):
        return jax.make_jaxpr(function)(*arguments).jaxpr


def lower(function: Callable[..., Any], *arguments: Any) -> None:
    """Takes a function up to the door of the compiler, so that what is not fit for jit raises its error."""
    import jax

    with jax.enable_x64(True), jax.disable_jit(False):
        jax.jit(function).lower(*arguments)


def shapes(function: Callable[..., Any], *arguments: Any) -> Any:
    """The shapes and dtypes of what a function returns, a tree; nothing is computed."""
    import jax

    with jax.enable_x64(True), jax.disable_jit(False):
        return jax.eval_shape(function, *arguments)


def abstract(shape: tuple[int, ...], dtype: Any = "float64") -> Any:
    """An array that has a shape and no numbers."""
    import jax

    return jax.ShapeDtypeStruct(shape, np.dtype(dtype))


def _inner(equation: Any) -> list[Any]:
    """The programs that an operation holds: the body of a loop, what is called."""
    found = []
    for value in equation.params.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            program = getattr(each, "jaxpr", each)
            if hasattr(program, "eqns"):
                found.append(program)
    return found


def operations(program: Any) -> int:
    """How many operations are written down, those inside of loops once."""
    return sum(1 + sum(operations(each) for each in _inner(equation)) for equation in program.eqns)


def names(program: Any) -> set[str]:
    """The operations that occur, those inside of others too."""
    found = {equation.primitive.name for equation in program.eqns}
    return found.union(*(names(each) for equation in program.eqns for each in _inner(equation)))


def outside_of_jit(program: Any) -> set[str]:
    """The operations that are not compiled together with others: no jit holds them."""
    found = {equation.primitive.name for equation in program.eqns if equation.primitive.name not in JITS}
    return found.union(
        *(outside_of_jit(each) for e in program.eqns if e.primitive.name not in JITS for each in _inner(e))
    )


def depth(program: Any) -> int:
    """The longest chain of operations of which each waits for the one before; the turns of a loop come one by one."""
    ready: dict[Any, int] = {}
    for equation in program.eqns:
        inner = max((depth(each) for each in _inner(equation)), default=0)
        turns = equation.params.get("length", 1) if equation.primitive.name in LOOPS else 1
        before = max((ready.get(v, 0) for v in equation.invars if not hasattr(v, "val")), default=0)
        for variable in equation.outvars:
            ready[variable] = before + max(1, inner * turns)
    return max((ready.get(v, 0) for v in program.outvars if not hasattr(v, "val")), default=0)


# ---------------------------------------------------------------- errors

# What JAX says, and what a student needs to know. {0}, {1}, ... are the groups of the pattern.
_WORDS = [
    (r"carry input and carry output must have equal types.*?has type (\S+) but .*?has type (\S+), so",
     "the carry goes into the step as {0} and comes out as {1}: it has to keep its shape and dtype"),
    (r"carry input and carry output must have the same pytree structure",
     "the carry comes out of the step with another structure than it went in with: return the same tuple"),
    (r"scan body output must be a pair",
     "the step of lax.scan has to return a pair: the carry, and what is kept of this step"),
    (r"immutable and do not support in-place",
     "JAX arrays cannot be written into, as x[i] = y does: use x.at[i].set(y), or let lax.scan stack what each step "
     "returns"),
    (r"__array__\(\) was called on traced array",
     "NumPy was asked to compute with a traced array: write jnp where np stands"),
    (r"setting an array element with a sequence",
     "a traced array was put into a NumPy array: JAX arrays are made as a whole, by lax.scan or jnp.stack"),
    (r"boolean conversion|as an index|[Aa]bstract tracer value|concrete value",
     "the number in a traced array was asked for (by if, range, int or float): while jit traces, it is not known yet"),
    (r"side-effect|[Ll]eaked trace|No constant handler for type.*Tracer",
     "an array was kept aside, in a global or a list, and used later: what the backward function needs has to go "
     "through the residuals"),
    (r"must produce a tuple of length equal to the number of arguments.*?bwd output structure PyTreeDef\((.*?)\) for "
     r"primal input structure PyTreeDef\((.*?)\)\.",
     "the backward function has to return one gradient for each argument, a tuple {1}, None where there is none; it "
     "returned {0}"),
    (r"at output\[(\d+)\] the bwd rule produced an output of type (\S+) corresponding to an input of type (\S+),",
     "gradient {0} (counted from 0) is {1}, and the argument that it belongs to is {2}: gradients come in the order of "
     "the arguments, with their shapes"),
    (r"Custom VJP fwd rule .* must produce a pair",
     "the forward function has to return a pair: what the function itself returns, and the residuals"),
    (r"No VJP defined for custom_vjp function (\S+)",
     "{0} has no gradient yet: {0}.defvjp(forward function, backward function) plugs it in"),
    (r"vmap got inconsistent sizes for array axes to be mapped:(.*)",
     "vmap goes along axes of different lengths; in_axes says which axis of each argument, None for none:{0}"),
]  # fmt: skip


@contextlib.contextmanager
def in_few_words(sizes: Mapping[str, int | tuple[int, ...]]) -> Iterator[None]:
    """Errors of JAX in one line, with letters for the sizes.

    Args:
      sizes: letter, such as ``"T"``, to the size, or the sizes, that it stands for.
    """
    try:
        yield
    except Exception as error:
        error.args = (in_words(str(error), sizes),)
        raise


def in_words(message: str, sizes: Mapping[str, int | tuple[int, ...]]) -> str:
    """One line that says what an error of JAX is about.

    >>> in_words("add got incompatible shapes for broadcasting: (6, 12), (3, 12).", {"T": 6, "B": 3, "3H": 12})
    'add got incompatible shapes for broadcasting: (T, 3H), (B, 3H): is an array turned, or walked along another axis?'
    """
    for pattern, words in _WORDS:
        found = re.search(pattern, message, re.DOTALL)
        if found:
            parts = [re.sub(r"\s+", " ", part) for part in found.groups("")]
            return _lettered(words.format(*parts), sizes)
    first = (message.splitlines() or [""])[0]
    lettered = _lettered(first, sizes)
    if "shape" in first and re.search(r"\bT\b", lettered) and re.search(r"\bB\b", lettered):
        lettered = lettered.rstrip(".") + ": is an array turned, or walked along another axis?"
    return lettered


def _lettered(text: str, sizes: Mapping[str, int | tuple[int, ...]]) -> str:
    known = {size: letter for letter, each in sizes.items() for size in (each if isinstance(each, tuple) else (each,))}

    def replaced(match: re.Match[str]) -> str:
        inside = [known.get(int(n), n) for n in re.findall(r"\d+", match[2])]
        return match[1] + ", ".join(inside) + ("," if match[2].rstrip().endswith(",") else "") + match[3]

    return re.sub(r"(\(|\w\[|\bsize )(\d+(?:, ?\d+)*,?)(\)|\]|:)", replaced, text)


# ---------------------------------------------------------------- views


def viewed(sizes: Mapping[str, int | tuple[int, ...]]):
    """Decorates a view (:class:`Exercise`): errors of what it makes are told in few words."""

    def decorate(look: Callable[[Mapping[str, Any]], Callable[..., Any]]):
        @functools.wraps(look)
        def view(names: Mapping[str, Any]) -> Callable[..., Any]:
            function = look(names)

            def tried(**given: Any) -> Any:
                with in_few_words(sizes):
                    return function(**given)

            return tried

        return view

    return decorate


def arrays(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JAX's arrays; only within :func:`eager`, or they are rounded to 32 bits."""
    import jax.numpy as jnp

    return {name: jnp.asarray(value) if isinstance(value, np.ndarray) else value for name, value in given.items()}


def all_well(*traits: str) -> dict[str, np.ndarray]:
    """The traits of a right answer."""
    return {trait: np.asarray(1.0) for trait in traits}


def in_jax(text: str) -> str:
    """Lines for NumPy as lines for JAX."""
    return text.replace("np.", "jnp.").replace("sigmoid(", "jax.nn.sigmoid(")
