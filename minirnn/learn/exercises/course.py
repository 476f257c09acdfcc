"""The case study: a loss, a softmax and an LSTM, backward, as a course handed it out with six mistakes in it.

The mistakes are those that were found in the course's notebook; text, notation and code are this library's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.recurrent import run, weights
from minirnn.learn.exercises.sizes import draw
from minirnn.learn.recurrent import LESSONS, backward_text
from minirnn.params import LSTMState

K = 8  # classes
_LESSON = LESSONS["lstm"]
_TOP = '''def gradients(probabilities, targets, caches, Wy):
    """Backward through a softmax at every step, and an LSTM below it.

    The loss is the cross-entropy, a mean over all steps of all sequences.

      probabilities  (T, B, K)  softmax of h @ Wy
      targets        (T, B, K)  one-hot
      caches         T of them, caches[t] of the forward step t
      Wy             (H, K)

    Returns dWy (H, K), dxs (T, B, D), dh0, dc0, dWx, dWh, db.
    """
    T, B = probabilities.shape[:2]
    dlogits = (probabilities - targets) / (T * B)  # [loss]
    hs = np.stack([cache.h for cache in caches])
    dWy = np.einsum("tbh,tbk->hk", hs, dlogits)  # [dWy]
    dys = dlogits @ Wy.T  # [dys]
    # Nothing arrives at the last state from behind it.
    nothing = np.zeros_like(caches[-1].h)
    return {"dWy": dWy, **backward(dys, nothing, nothing, caches)}
'''
# One entry for each wrong line; the first three are one mistake, made for three gates.
MISTAKES_OF_THE_COURSE = {
    "L14": "dz_i = di * sigmoid(i) * (1 - sigmoid(i))",
    "L16": "dz_g = dg * (1 - np.tanh(g)**2)",
    "L17": "dz_o = do * sigmoid(o) * (1 - sigmoid(o))",
    "L10": "dc = dc_next + dh * o * (1 - np.tanh(np.tanh(c))**2)",
    "L15": "dz_f = df * sigmoid(f)",
    "[carry]": 'dh_prev, dc_prev = step["dh_prev"], step["dc_prev"]',
    "[cache]": "cache = caches[t - 1]",
    "[loss]": "dlogits = probabilities - targets",
}


def _cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, H = draw(rng)
    params = weights(_LESSON, rng, D, H)
    state = LSTMState(*rng.standard_normal((2, B, H)))
    hs, caches = run(_LESSON, params, rng.standard_normal((T, B, D)), state)
    Wy = rng.standard_normal((H, K))
    exponentials = np.exp(hs @ Wy)
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    targets = np.eye(K)[rng.integers(K, size=(T, B))]
    return {"sequence": {"probabilities": probabilities, "targets": targets, "caches": caches, "Wy": Wy}}


# The whole of it, right; it is an exercise only with the mistakes in it.
COURSE = Exercise(
    name="lstm_backward",
    title="A course's LSTM, backward, with six mistakes",
    task="",
    difficulty=4,
    minutes=40,
    before=(),
    equations="L1-L18, P1-P5",
    text=lambda: backward_text(_LESSON) + "\n\n" + _TOP,
    function="gradients",
    cases=_cases,
    required=("dWy", "dxs", "dh0", "dc0", "dWx", "dWh", "db"),
    hints=("", "", ""),
    errors="",
    walk="backward",
    over_time=("dxs",),
    needs_sigmoid=True,
    first_step="lstm_step_backward",
)
