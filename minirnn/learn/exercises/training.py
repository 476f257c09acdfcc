"""The exercises around a network: gradient checking, clipping, the loss, the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises import sizes
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.result import Rung

# Sizes that all differ: an array that is turned round has another shape.

_RIGHT = "float64 arrays agree to about 1e-15 (||yours - right|| / ||right||); 1e-7 if you compute in float32."


def _equation(number: str) -> str:
    return f"# {number}  {EQUATIONS[number].plain}"


# ---------------------------------------------------------------- gradient checking

# Steps of this size, relative to max(1, |x|), see the slope itself: below them f is as rough as rounding makes every
# function, beyond them as curved as every loss is.
SMALLEST, LARGEST = 1e-7, 2e-3

_CHECK = '''def check(f, x, gradient):
    """How wrong is a gradient, judged by central differences?

      f         f(x) -> one number; it works on an array of x's shape, and may be called as often as you like
      x         where the gradient is to be checked: an array of any shape, float64 or float32
      gradient  what somebody says df/dx is, of x's shape

    Returns the gradient that you measure, float64 and of x's shape, and the error of the one you were given:
    ||numeric - gradient|| / max(||numeric||, ||gradient||), over all elements at once; 0 if both are zero.
    The caller's x is not to be changed.
    """
    x = np.array(x, np.float64)  # [copy]
    numeric = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        kept = x[k]
        # How far to go: rounding spoils what is too small, the curvature of f what is too large.
        step = 1e-5 * max(1.0, abs(kept))  # [step]
        # blank: from f on both sides of x[k], the slope along this element: numeric[k]
        x[k] = kept + step
        up = f(x)
        x[k] = kept - step  # [down]
        down = f(x)
        x[k] = kept  # [put back]
        numeric[k] = (up - down) / (2 * step)  # [difference]
        # end
    difference = np.linalg.norm(numeric - gradient)  # [distance]
    largest = max(np.linalg.norm(numeric), np.linalg.norm(gradient))  # [scale]
    error = difference / largest if largest > 0 else 0.0  # [error]
    return {"numeric": numeric, "error": error}
'''


def instrument(x0: np.ndarray, rng: np.random.Generator, rough: float = 1.0):
    """A function whose slope at x0 tells how it was measured, whatever the step -> f, the slope at x0.

    Every element has one slope to the left of x0 and another to its right, so that a one-sided difference betrays
    itself; another one to those who look from too near, and from too far; another one as long as the element before it
    has not been put back. Asked in float32, f is flat: as every large loss is there, whose digits end before the
    difference begins.
    """
    x0 = np.array(x0, np.float64)
    left, right, near, far, pull = (rng.uniform(0.5, 2, x0.shape) * rng.choice([-1, 1], x0.shape) for _ in range(5))
    near = rough * near

    def f(x):
        x = np.asarray(x)
        if x.dtype != np.float64:
            return np.float32(1)
        d = x - x0
        size = np.abs(d) / np.maximum(1, np.abs(x0))
        slope = np.where(d > 0, right, left)
        slope = np.where(size < SMALLEST, near, np.where(size > LARGEST, far, slope))
        before_moved = np.roll((size > 1e-12).ravel(), 1).reshape(x0.shape)
        return float((d * slope).sum() + (d * pull * before_moved).sum())

    return f, (left + right) / 2


def _check_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    shape = (2, 3)
    small = rng.uniform(1e-3, 2e-3, shape)  # numbers so small that x + step - x is step to all digits that matter
    f, slope = instrument(small, rng)
    wrong = slope.copy()
    wrong[0, 1] *= 1.5
    wrong[1, 2] = -1e-3
    cases = {"values": {"f": f, "x": small, "gradient": wrong}}
    sizes = np.array([1e-3, -2.0, 70.0]) * rng.uniform(1, 1.5, 3)
    f, slope = instrument(sizes, rng, rough=0.0)
    cases["small and large x"] = {"f": f, "x": sizes, "gradient": slope * (1 + 1e-3 * rng.standard_normal(3))}
    cases["zero gradients"] = {"f": lambda x: 2.5, "x": rng.standard_normal(4), "gradient": np.zeros(4)}
    f, slope = instrument(small, rng)
    cases["forgotten gradient"] = {"f": f, "x": small.copy(), "gradient": np.zeros(shape)}
    narrow = small.astype(np.float32)
    f, slope = instrument(narrow, rng)
    cases["float32"] = {"f": f, "x": narrow, "gradient": (slope * 0.9).astype(np.float32)}
    return cases


def _check_answer(module: Any) -> list[Rung]:
    """A loss as people have them: a right gradient gets a small error, a slip in one element does not."""
    rng = np.random.default_rng(0)
    D, H = 5, 4
    xs, W, target = rng.standard_normal((20, D)), rng.standard_normal((D, H)), rng.standard_normal((20, H))

    def loss(W):
        return ((np.tanh(xs @ W) - target) ** 2).mean()

    h = np.tanh(xs @ W)
    right = xs.T @ (2 * (h - target) * (1 - h**2)) / target.size
    wrong = right.copy()
    place = np.unravel_index(np.abs(right).argmax(), right.shape)
    wrong[place] *= 1.001
    try:
        answers = [module.check(f=loss, x=W.copy(), gradient=gradient) for gradient in (right, wrong)]
        fine, slip = (float(answer["error"]) for answer in answers)
    except Exception as error:
        return [Rung("answer", False, f"on a real loss: {type(error).__name__}: {error}".splitlines()[0])]
    if not fine <= 1e-6:
        return [
            Rung("answer", False, f"on a real loss a right gradient gets the error {fine:.1e}; expected below 1e-6")
        ]
    if not slip > 1e-4:
        return [Rung("answer", False, f"on a real loss a slip of 0.1 % in one element gets the error {slip:.1e} only")]
    return [
        Rung("answer", True, f"on a real loss: {fine:.0e} if right, {slip:.0e} with a slip of 0.1 % in one element")
    ]


# ---------------------------------------------------------------- clipping

_CLIP = f'''def clip(dWx_steps, dWh_steps, db_steps, max_norm):
    """Sums the gradients of all steps, and clips them by their global norm.

      dWx_steps  (T, D, H)  the part of dWx that each step has contributed
      dWh_steps  (T, H, H)
      db_steps   (T, H)
      max_norm              m in O1

    Returns norm, the norm of all gradients together before they are clipped, and what is left of dWx, dWh, db. In O1, d
    is one long vector: all elements of all gradients. Zero gradients stay zero.
    """
    dWx, dWh, db = dWx_steps.sum(axis=0), dWh_steps.sum(axis=0), db_steps.sum(axis=0)  # [sum over steps]
    norm = np.sqrt((dWx**2).sum() + (dWh**2).sum() + (db**2).sum())  # [norm]
    {_equation("O1")}
    scale = min(1.0, max_norm / max(norm, 1e-300))  # [scale]
    dWx, dWh, db = scale * dWx, scale * dWh, scale * db  # O1
    return {{"norm": norm, "dWx": dWx, "dWh": dWh, "db": db}}
'''


def _clip_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, _, D, H = sizes.draw(rng)

    def gradients(size: float):
        return {
            "dWx_steps": size * rng.standard_normal((T, D, H)),
            "dWh_steps": size * rng.standard_normal((T, H, H)),
            "db_steps": size * rng.standard_normal((T, H)),
        }

    return {
        "values": {**gradients(2.0), "max_norm": 1.5},
        "below the norm": {**gradients(0.01), "max_norm": 2.0},
        "zero gradients": {**gradients(0.0), "max_norm": 2.0},
    }


# ---------------------------------------------------------------- the loss

_LOSS = f'''def loss(logits, labels, mask):
    """The cross-entropy of a softmax, a mean over the real steps, and its gradient.

      logits  (T, B, K)  scores of K classes; on padding anything, NaN too
      labels  (T, B)     integers from 0 to K - 1; on padding anything, -1 too
      mask    (T, B)     True on real steps; there may be none at all: then loss and gradient are zero

    Returns the loss, a number, and dlogits (T, B, K), zero on padding. E6 overflows for large logits as it stands: the
    same number may be taken from all logits of a step without any change of the loss.
    """
    # What the padding holds must not take part in anything: 0 * NaN is NaN.
    logits = np.where(mask[:, :, None], logits, 0)  # [padded logits]
    labels = np.where(mask, labels, 0)  # [padded labels]
    one_hot = (labels[:, :, None] == np.arange(logits.shape[-1])).astype(logits.dtype)
    shifted = logits - logits.max(axis=-1, keepdims=True)  # [shift]
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1)  # [total]
    {_equation("E6")}
    losses = np.log(total) - (one_hot * shifted).sum(axis=-1)  # E6
    # Here w is the mask, so the sum of w is the number of real steps.
    count = max(mask.sum(), 1)  # [count]
    {_equation("E1")}
    loss = (mask * losses).sum() / count  # E1
    # The softmax, and then the gradient of E1 with respect to the logits.
    probabilities = exponentials / total[:, :, None]  # [softmax]
    dlogits = mask[:, :, None] * (probabilities - one_hot) / count  # E8
    return {{"losses": losses, "loss": loss, "probabilities": probabilities, "dlogits": dlogits}}
'''


def _loss_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, K, _ = sizes.draw(rng)

    def case(mask, logits=None):
        logits = rng.standard_normal((T, B, K)) * 2 if logits is None else logits
        labels = rng.integers(0, K, (T, B))
        return {
            "logits": np.where(mask[:, :, None], logits, np.nan),
            "labels": np.where(mask, labels, -1),
            "mask": mask,
        }

    ragged = np.arange(T)[:, None] < sizes.lengths(rng, T, B)
    # Quarters, so that they are exact in float32 too.
    large = np.round(rng.standard_normal((T, B, K)) * 8) / 4 + rng.choice([-1000, 1000], (T, B, 1))
    finite = case(ragged)
    finite |= {"logits": rng.standard_normal((T, B, K)), "labels": rng.integers(0, K, (T, B))}
    return {
        "values": case(np.ones((T, B), bool)),
        "masks": finite,
        "NaN on padding": case(ragged),
        "large logits": case(np.ones((T, B), bool), large),
        "no real step": case(np.zeros((T, B), bool)),
    }


# ---------------------------------------------------------------- the embedding

_EMBEDDING = f'''def embedding_backward(dys, symbols, mask, V):
    """The gradient of an embedding: how does the loss change with each symbol's row of E?

      dys      (T, B, D)  gradient of the loss with respect to each output; on padding anything, NaN too
      symbols  (T, B)     integers from 0 to V - 1; on padding anything, -1 too
      mask     (T, B)     True on real steps
      V                   size of the vocabulary

    Returns dE (V, D).
    """
    dys = np.where(mask[:, :, None], dys, 0)  # [padded gradients]
    symbols = np.where(mask, symbols, 0)  # [padded symbols]
    dE = np.zeros((V, dys.shape[-1]))
    {_equation("V1")}
    # blank: every step adds to the row of its symbol
    np.add.at(dE, symbols, dys)  # V8
    # end
    return {{"dE": dE}}
'''


def _embedding_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, _ = sizes.draw(rng)
    V = 2 * B + 2  # symbols

    def case(symbols, mask):
        dys = rng.standard_normal((*symbols.shape, D))
        return {
            "dys": np.where(mask[:, :, None], dys, np.nan),
            "symbols": np.where(mask, symbols, -1),
            "mask": mask,
            "V": V,
        }

    once = rng.permutation(V)[: 2 * B].reshape(2, B)
    often = rng.integers(0, V - 1, (T, B))  # the last symbol never occurs
    often[:2, 0] = often[3, 1]
    return {
        "every symbol once": case(once, np.ones((2, B), bool)),
        "repeats": case(often, np.ones((T, B), bool)),
        "padding": case(often, np.arange(T)[:, None] < sizes.lengths(rng, T, B)),
    }


GRADIENT_CHECK = Exercise(
    name="gradient_check",
    approximate=True,
    title="Is a gradient right? Ask the function itself",
    task="Write a gradient check by central differences. It is tried on right gradients, on wrong ones (to be found "
    "out), on zero gradients, and on float32. The functions it is tried with are picky: they are rough to those "
    "who look from nearer than 1e-7 * max(1, |x|), as rounding makes every function, and curved beyond "
    "2e-3 * max(1, |x|).",
    difficulty=2,
    minutes=20,
    before=("NumPy", "the derivative as a limit"),
    equations="",
    text=lambda: _CHECK,
    function="check",
    cases=_check_cases,
    required=("numeric", "error"),
    hints=(
        "Change one element at a time, ask f, and put the element back before you change the next one.",
        "A float32 x cannot hold x + 1e-5 well: work on a float64 copy. Between rounding and curvature, a step of "
        "about 1e-5 * max(1, |x|) does well on both sides.",
        "numeric[k] = (f(x with x[k] + step) - f(x with x[k] - step)) / (2 * step). The error divides one norm by the "
        "larger of two; if that is zero, both gradients are, and the error is 0.",
    ),
    errors="the error of a right gradient is about 1e-10 in float64; 1e-6 is fine, 1e-2 is not.",
    more_rungs=_check_answer,
)

EXERCISES = (
    Exercise(
        name="softmax_cross_entropy",
        title="Softmax and cross-entropy, with a mask",
        task="Write the loss of a classifier that labels every step, and its gradient. Sequences have different "
        "lengths: steps of padding count for nothing, neither in the loss nor in the gradient nor in the mean.",
        difficulty=3,
        minutes=25,
        before=("NumPy", "the chain rule"),
        equations="E1, E6, E8",
        text=lambda: _LOSS,
        function="loss",
        cases=_loss_cases,
        required=("loss", "dlogits"),
        hints=(
            "np.where(mask, a, 0) picks; mask * a multiplies, and NaN stays NaN.",
            "Take the largest logit of each step from all of them: exp is then at most 1, and the sum at least 1. The "
            "mean divides by the number of real steps, in the loss and in the gradient.",
            "The slope of log sum exp(p) is the softmax of p, the slope of p_q is 1 at the label: dlogits is softmax "
            "minus one_hot, times mask, divided by the count.",
        ),
        errors=_RIGHT,
    ),
    Exercise(
        name="embedding_backward",
        title="The gradient of an embedding",
        task="An embedding looks up a row of E for every symbol. Write its gradient. A symbol may occur often.",
        difficulty=2,
        minutes=10,
        before=("NumPy",),
        equations="V1, V8",
        text=lambda: _EMBEDDING,
        function="embedding_backward",
        cases=_embedding_cases,
        required=("dE",),
        upstream=("dys",),
        hints=(
            "A row that is used twice reaches the loss on two ways.",
            "dE[symbols] += dys looks right, and is not: NumPy reads the rows once, adds, and writes them back once, "
            "so that of a symbol that occurs twice only one occurrence is left.",
            "np.add.at(dE, symbols, dys) adds one after the other; a loop over t and b does so too.",
        ),
        errors=_RIGHT,
    ),
    Exercise(
        name="clip_by_global_norm",
        title="Clip gradients by their global norm",
        task="Gradients of recurrent networks explode now and then. Write the usual remedy: if all gradients together "
        "are longer than max_norm, shorten them, all by the same factor, so that their direction stays what it was.",
        difficulty=1,
        minutes=10,
        before=("NumPy",),
        equations="O1",
        text=lambda: _CLIP,
        function="clip",
        cases=_clip_cases,
        required=("norm", "dWx", "dWh", "db"),
        hints=(
            "The weights are the same at every step: first add up, then clip.",
            "The norm of one long vector is the root of the sum of all its squares, wherever these lie.",
            "The factor is max_norm / norm where norm is larger than max_norm, else 1; never larger than 1.",
        ),
        errors=_RIGHT,
    ),
)
