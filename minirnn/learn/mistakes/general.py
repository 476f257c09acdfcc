"""Wrong derivations that befall every recurrent network: the vanilla RNN, and the walk back through time."""

from __future__ import annotations

from minirnn.learn.mistakes.mistake import entries

WALKS = ("rnn_backward", "lstm_backward", "gru_backward", "gru_reset_before_backward")
_RNN = ("rnn_step_backward", "rnn_backward")
_SLOPE = "the slope of tanh at z is 1 - tanh(z)², and h is tanh(z)"
_SHARED = "the weights are the same at every step: their gradients of all steps add up"

FORWARD = entries(
    ("rnn_step",),
    "general",
    [
        ("rnn.no-recurrence", "R1", "z = x @ Wx + b", "h_prev Wh is left out", "without it the network has no memory"),
        ("rnn.no-bias", "R1", "z = x @ Wx + h_prev @ Wh", "b is left out", "every unit has a bias"),
        ("rnn.not-squashed", "R2", "h = z", "the tanh is missing", "h_t = tanh(z_t)"),
        ("rnn.adds-state", "R2", "h = np.tanh(z) + h_prev", "h_prev is added", "that is a residual connection"),
        ("rnn.transposed", "R1", "z = x @ Wx + h_prev @ Wh.T + b", "Wh is transposed",
         "rows times weights: h_prev Wh; a square matrix hides it, since the shapes fit"),
    ],
)  # fmt: skip

STEP = entries(
    _RNN,
    "general",
    [
        ("dh.carry-dropped", "R3", "dh = dy", "dh_next is missing",
         "h_t is also an input of step t+1, and what comes back from there is added", {"seen": "public code"}),
        ("dh.output-dropped", "R3", "dh = dh_next", "dy is missing",
         "the loss also sees h_t directly, as the output of step t", {"seen": "course forums"}),
        ("dz.no-slope", "R4", "dz = dh", "the slope 1 - h² is missing", _SLOPE),
        ("dz.slope-of-z", "R4", "dz = dh * (1 - z**2)", "1 - z² stands where 1 - h² belongs", _SLOPE,
         {"seen": "the errata of a book"}),
        ("dz.activated-twice", "R4", "dz = dh * (1 - np.tanh(h)**2)", "tanh is taken of h, which is tanh(z)", _SLOPE),
        ("dz.inverse", "R4", "dz = dh / (1 - h**2)", "divided by the slope", _SLOPE),
        ("dz.slope-unsquared", "R4", "dz = dh * (1 - h)", "the square is missing in 1 - h²", _SLOPE),
        ("dz.sigmoid-slope", "R4", "dz = dh * h * (1 - h)", "the slope of sigma stands where that of tanh belongs",
         _SLOPE),
        ("dh_prev.not-transposed", "P1", "dh_prev = dz @ Wh", "Wh is not transposed",
         "z = h Wh gives dh = dz Whᵀ; a square matrix hides it, since the shapes fit"),
        ("dh_prev.skips", "P1", "dh_prev = dz @ Wh.T + dh", "dh is added", "h_prev reaches h through z only"),
        ("dh_prev.no-slope", "P1", "dh_prev = dh @ Wh.T", "dh stands where dz belongs", "Wh stands inside of the tanh"),
        ("dWx.no-slope", "P3", "dWx = x.T @ dh", "dh stands where dz belongs", "Wx stands inside of the tanh"),
        ("dWx.mean", "P3", "dWx = x.T @ dz / len(x)", "divided by the batch size",
         "a mean is in the loss already, if at all"),
        ("dWh.new-h", "P4", "dWh = h.T @ dz", "h_t stands where h_{t-1} belongs",
         "Wh multiplies the state that enters the step"),
        ("db.mean", "P5", "db = dz.mean(axis=0)", "a mean over the batch where a sum belongs",
         "b is the same number for all sequences: their gradients add up"),
        ("db.first-row", "P5", "db = dz[0]", "the gradient of the first sequence only",
         "b is the same number for all sequences: their gradients add up"),
    ],
)  # fmt: skip

WALK = entries(
    WALKS,
    "general",
    [
        ("walk.not-carried", "[carry]", "pass", "nothing is carried from step t to step t-1",
         "what leaves step t for the state before it is what arrives at step t-1", {"equation": "P1",
         "seen": "public code"}),
        ("walk.output-one-early", "[output]", "dy = dys[t - 1]", "dys[t - 1] stands where dys[t] belongs",
         "step t receives the gradient of its own output", {"equation": "R3"}),
        ("walk.output-one-late", "[output]", "dy = dys[min(t + 1, T - 1)]", "dys[t + 1] stands where dys[t] belongs",
         "step t receives the gradient of its own output", {"equation": "R3"}),
        ("walk.output-turned-round", "[output]", "dy = dys[T - 1 - t]", "dys is read from the other end",
         "step t receives the gradient of its own output", {"equation": "R3"}),
        ("walk.last-output-only", "[output]", "dy = dys[t] * (t == T - 1)", "only the last output counts",
         "the loss may see every output", {"equation": "R3"}),
        ("walk.cache-one-early", "[cache]", "cache = caches[t - 1]", "the cache of step t - 1 is used at step t",
         "a step backward needs what was computed in the same step forward", {"equation": "R4",
         "seen": "public course material"}),
        ("walk.overwritten", "[sum]", "sums = {name: step[name] for name in sums}",
         "sums are overwritten: only t = 0 is left",
         _SHARED, {"equation": "P3", "seen": "public code, = for +="}),
        ("walk.last-step-only", "[sum]", "sums = {name: sums[name] + (t == T - 1) * step[name] for name in sums}",
         "only the last step counts", _SHARED, {"equation": "P3"}),
        ("walk.first-step-left-out", "[sum]", "sums = {name: sums[name] + (t > 0) * step[name] for name in sums}",
         "the step t = 0 is left out", _SHARED, {"equation": "P3"}),
        ("walk.divided-by-steps", "[sum]", "sums = {name: sums[name] + step[name] / T for name in sums}",
         "divided by the number of steps", "a mean is in the loss already, if at all", {"equation": "P3"}),
        ("walk.clipped-inside", "[sum]", "sums = {name: sums[name] + np.clip(step[name], -0.1, 0.1) for name in sums}",
         "gradients are clipped at every step",
         "clipping comes once, after all steps have been summed: inside of the loop "
         "it changes the direction", {"equation": "O1", "seen": "a course's list of errors"}),
        ("walk.state-wiped", "[cache]", "cache = caches[t]._replace(h_prev=caches[t].h_prev * (t > 0))",
         "the initial state is taken to be zero", "the first step reads the state that it was given",
         {"equation": "P4", "seen": "course forums"}),
    ],
)  # fmt: skip

SINGLE_STATE = entries(
    ("rnn_backward", "gru_backward", "gru_reset_before_backward"),
    "general",
    [
        ("walk.last-state-ignored", "[final state]", "dh_next = 0 * dh_T", "dh_T is not used",
         "the last state may have a gradient of its own", {"equation": "R3", "seen": "an issue of a library"}),
        ("walk.first-state-zero", "[initial state]", "dh0 = 0 * dh_next", "the gradient of h_0 is zero",
         "what is carried past the first step is the gradient of the initial state", {"equation": "P1"}),
        ("walk.first-state-with-output", "[initial state]", "dh0 = dh_next + dys[0]",
         "dys[0] is added to the gradient of h_0",
         "the outputs are h_1 to h_T: h_0 is none of them", {"equation": "P1"}),
        ("walk.edits-dys", "[carry]",
         "dys[t - 1] += step['dh_prev'] * (t > 0); dh_next = np.where(t > 0, 0, step['dh_prev'])",
         "the carry is added to the caller's dys", "the answer comes out right, and the array that was lent is spoilt: "
         "whoever checks the gradient with it next finds nonsense", {"equation": "R3", "seen": "public code"}),
    ],
)  # fmt: skip

MISTAKES = FORWARD + STEP + WALK + SINGLE_STATE
