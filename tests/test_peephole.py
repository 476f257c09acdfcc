"""An LSTM with peepholes, added by the page "How to add a cell" of CONTRIBUTING.md, but outside of the library.

Its gates look at the memory: i and f at c_{t-1}, o at c_t, each through one weight for each unit (Gers and Schmidhuber
2000, Recurrent nets that time and count). So it has several elementwise parameters, of which one reads the state before
the step and one the state after it: whoever adds a cell finds in `extra` what such a cell needs.

The equations, in the notation of minirnn.equations. L1, L4, L6, L7 of the LSTM hold as they are, and so do L8, L9 and
L11 to L17. The others become

  i_t = sigma(z^i_t + p_i * c_{t-1})                                              instead of L2
  f_t = sigma(z^f_t + p_f * c_{t-1})                                              instead of L3
  o_t = sigma(z^o_t + p_o * c_t)                                                  instead of L5
  dc_t = dc+_t + dh_t * o_t * (1 - tanh(c_t)^2) + dz^o_t * p_o                    instead of L10
  dc+_{t-1} = dc_t * f_t + dz^i_t * p_i + dz^f_t * p_f                            instead of L18
  dp_i = sum_t dz^i_t * c_{t-1},  dp_f = sum_t dz^f_t * c_{t-1},  dp_o = sum_t dz^o_t * c_t
"""

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import parity
import pytest

from minirnn import fast, params, readable
from minirnn.fast.activations import sigmoid as jax_sigmoid
from minirnn.fast.contract import contract as fast_contract
from minirnn.params import LSTM_GATES, Array, LSTMGates, LSTMState, Network, Recurrent, init_lstm, uniform
from minirnn.readable.activations import blocks
from minirnn.readable.activations import sigmoid as numpy_sigmoid
from minirnn.readable.contract import contract as readable_contract

# ---------------------------------------------------------------- in the library: params/cells.py and initialisers.py


class PeepholeParams(NamedTuple):
    """Weights of an LSTM with peepholes; the columns hold the gates i, f, g, o."""

    Wx: Array  # (D, 4H)
    Wh: Array  # (H, 4H)
    b: Array  # (4H,)
    p_i: Array  # (H,)
    p_f: Array  # (H,)
    p_o: Array  # (H,)


def init_peephole(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal", forget_bias=1.0
) -> PeepholeParams:
    """Fresh weights: as those of an LSTM; the peepholes like its biases."""
    rng = np.random.default_rng(rng)
    Wx, Wh, b = init_lstm(rng, input_size, hidden_size, dtype, scheme=scheme, forget_bias=forget_bias)
    limit = 1 / np.sqrt(hidden_size) if scheme == "uniform" else 0.0
    return PeepholeParams(Wx, Wh, b, *(uniform(rng, (hidden_size,), limit).astype(dtype) for _ in range(3)))


# ---------------------------------------------------------------- in the library: readable/peephole.py


def numpy_update(zx, zh, state, extra):
    """The gates of one step, elementwise. zx, zh (B, 4H), state.h and state.c (B, H) -> y (B, H), state, gates."""
    z_i, z_f, z_g, z_o = blocks(zx + zh, 4)  # (B, H) each, order i f g o  L1
    i = numpy_sigmoid(z_i + extra["p_i"] * state.c)
    f = numpy_sigmoid(z_f + extra["p_f"] * state.c)
    g = np.tanh(z_g)  # L4
    c = f * state.c + i * g  # L6
    o = numpy_sigmoid(z_o + extra["p_o"] * c)  # looks at the new memory
    tanh_c = np.tanh(c)
    h = o * tanh_c  # L7
    return h, LSTMState(h, c), LSTMGates(i, f, g, o, c, tanh_c)


def numpy_update_backward(dy, dstate, gates, zh, state, extra):
    """The gradients of one step's gates. dy (B, H), dstate.h and dstate.c (B, H) -> dzx, dzh (B, 4H), dstate_prev."""
    i, f, g, o, c, tanh_c = gates
    dh = dy + dstate.h  # L8
    do = dh * tanh_c  # L9
    dz_o = do * o * (1 - o)  # L17
    dtanh_c = dh * o
    dc = dstate.c + dtanh_c * (1 - tanh_c**2) + dz_o * extra["p_o"]
    di = dc * g  # L11
    df = dc * state.c  # L12
    dg = dc * i  # L13
    dz_i = di * i * (1 - i)  # L14
    dz_f = df * f * (1 - f)  # L15
    dz_g = dg * (1 - g**2)  # L16
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)  # (B, 4H)
    dc_prev = dc * f + dz_i * extra["p_i"] + dz_f * extra["p_f"]
    dextra = {"p_i": dz_i * state.c, "p_f": dz_f * state.c, "p_o": dz_o * c}  # (B, H) each
    return dz, dz, LSTMState(0.0, dc_prev), dextra, LSTMGates(di, df, dg, do, dc, dtanh_c)


NUMPY_CELL = readable.engine.Cell(
    numpy_update, numpy_update_backward, LSTMGates, blocks=len(LSTM_GATES), state=LSTMState, adds=True
)
# A module of the library assigns these names one by one. The spans are those equations of the LSTM that hold here.
READABLE = SimpleNamespace(
    CELL=NUMPY_CELL,
    init=init_peephole,
    **readable_contract(__name__, NUMPY_CELL, "L1, L4, L6-L7", "L8-L9, L11-L17, P1-P5")._asdict(),
)

# ---------------------------------------------------------------- in the library: fast/peephole.py


def jax_update(zx, zh, state, extra, note):
    """The gates of one step, elementwise. zx, zh (B, 4H), state.h and state.c (B, H) -> y (B, H), state."""
    z_i, z_f, z_g, z_o = jnp.split(zx + zh, 4, axis=-1)  # (B, H) each, order i f g o  L1
    i = note("i", jax_sigmoid(z_i + extra["p_i"] * state.c))
    f = note("f", jax_sigmoid(z_f + extra["p_f"] * state.c))
    g = note("g", jnp.tanh(z_g))  # L4
    c = note("c", f * state.c + i * g)  # L6
    o = note("o", jax_sigmoid(z_o + extra["p_o"] * c))  # looks at the new memory
    tanh_c = note("tanh_c", jnp.tanh(c))
    h = o * tanh_c  # L7
    return h, LSTMState(h, c)


JAX_CELL = fast.engine.Cell(jax_update, LSTMGates, blocks=len(LSTM_GATES), state=LSTMState, adds=True)
FAST = SimpleNamespace(
    CELL=JAX_CELL, init=init_peephole, **fast_contract(__name__, JAX_CELL, "L1, L4, L6-L7")._asdict()
)

# ---------------------------------------------------------------- in the library: tests/oracle.py


def peephole_step(p, x, state):
    h, c = state
    affine, sigmoid, H = oracle.affine, oracle.sigmoid, len(h)
    new_h, new_c, named = [], [], {name: [] for name in LSTMGates._fields}
    for j in range(H):
        z_i, z_f, z_g, z_o = (affine(x, p.Wx, k, p.b[k]) + affine(h, p.Wh, k) for k in range(j, 4 * H, H))
        i, f = sigmoid(z_i + p.p_i[j] * c[j]), sigmoid(z_f + p.p_f[j] * c[j])
        g = math.tanh(z_g)
        memory = f * c[j] + i * g
        o = sigmoid(z_o + p.p_o[j] * memory)
        for name, value in zip(LSTMGates._fields, (i, f, g, o, memory, math.tanh(memory))):
            named[name].append(value)
        new_c.append(memory)
        new_h.append(o * math.tanh(memory))
    return new_h, (new_h, new_c), named


# ---------------------------------------------------------------- tests

PEEPHOLE = parity.Halves(READABLE, FAST)
PEEPHOLES = ("p_i", "p_f", "p_o")
ragged = pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
dropped = pytest.mark.parametrize("dropped", [False, True], ids=["", "recurrent dropout"])


def make_case(dropped=False, **options) -> parity.Case:
    case = parity.make_case(PEEPHOLE, **options)
    if dropped:  # 0 or 1 / (1 - rate), another mask for each sequence
        kept = np.random.default_rng(3).random(case.state.h.shape) > 0.4
        case.options = {"recurrent_scale": (kept / 0.6).astype(case.xs.dtype)}
    return case


def outputs_of(ys, state) -> dict[str, Any]:
    return {"ys": ys, **parity.named("final.", state)}


@ragged
def test_both_halves_match_the_naive_transcription(ragged, x64):
    case = make_case(ragged=ragged)
    lengths = case.lengths if ragged else np.full(4, 6)
    ys, final, seen = oracle.forward(peephole_step, case.params, case.xs, case.state, lengths)
    for module in PEEPHOLE:
        actual = outputs_of(*module.forward(case.params, case.xs, case.state, case.lengths)[:2])
        parity.worst(actual, outputs_of(ys, LSTMState(*final)), 1e-14)
        named = parity.named("", module.gates(case.params, case.xs, case.state, case.lengths))
        parity.worst(named, seen, 1e-14)


def test_recurrent_dropout_acts_on_the_products_and_not_on_the_peepholes(x64):
    """To scale what enters h Wh is to scale the rows of Wh; what the peepholes see stays."""
    case = make_case(dropped=True)
    scale = case.options["recurrent_scale"]
    assert 0 < np.count_nonzero(scale) < scale.size
    for module in PEEPHOLE:
        ys, state = module.forward(case.params, case.xs, case.state, case.lengths, recurrent_scale=scale)[:2]
        for b, length in enumerate(case.lengths):
            scaled = case.params._replace(Wh=scale[b][:, None] * case.params.Wh)
            alone = params.map_state(lambda s, b=b: s[b : b + 1], case.state)
            expected, final, _ = oracle.forward(peephole_step, scaled, case.xs[:, b : b + 1], alone, [length])
            actual = outputs_of(ys[:, b : b + 1], LSTMState(*(s[b : b + 1] for s in state)))
            parity.worst(actual, outputs_of(expected, LSTMState(*final)), 1e-14)


def test_without_peepholes_it_is_the_lstm(x64):
    case = make_case()
    closed = case.params._replace(**dict.fromkeys(PEEPHOLES, np.zeros(5)))
    same = params.LSTMParams(*case.params[:3])
    for half, module in zip((readable, fast), PEEPHOLE):
        expected = outputs_of(*half.lstm.forward(same, case.xs, case.state, case.lengths)[:2])
        parity.worst(outputs_of(*module.forward(closed, case.xs, case.state, case.lengths)[:2]), expected, 1e-14)
        opened = outputs_of(*module.forward(case.params, case.xs, case.state, case.lengths)[:2])
        assert parity.relative_error(opened["ys"], expected["ys"]) > 0.01


@ragged
@dropped
def test_backward_equals_the_complex_step_full_jacobian(ragged, dropped):
    case = make_case(dropped, ragged=ragged)
    assert set(PEEPHOLES) < set(case.inputs)
    parity.complex_step_error(case, bound=1e-12)


def test_backward_equals_the_complex_step_on_long_sequences():
    parity.complex_step_error(make_case(T=128), bound=1e-12, directions=8)


@dropped
def test_numpy_equals_jax_in_float64(dropped, x64):
    case = make_case(dropped, T=64, D=7, H=16)
    parity.worst(parity.by_hand(case), parity.by_jax(case), 1e-10)


@dropped
def test_numpy_equals_jax_in_float32(dropped):
    case = make_case(dropped, T=32, D=7, H=16, dtype=np.float32)
    actual, expected = parity.by_hand(case), parity.by_jax(case)
    assert {a.dtype for a in [*actual.values(), *expected.values()]} == {np.dtype(np.float32)}
    parity.worst(actual, expected, 1e-5)


def test_intermediates_and_their_gradients_agree(x64):
    case = make_case()
    ours = parity.gates_by_hand(case)
    assert set(ours) == {*LSTMGates._fields, *(f"d{name}" for name in LSTMGates._fields)}
    parity.worst(ours, parity.gates_by_jax(case), 1e-10)


def test_nan_in_the_padding_changes_nothing(x64):
    case = make_case()
    padding = np.arange(6)[:, None] >= case.lengths
    xs, dys = case.xs.copy(), case.dys.copy()
    xs[padding], dys[padding] = np.nan, np.nan
    spoiled = parity.dataclasses.replace(case, xs=xs, dys=dys)
    for ours, theirs in ((parity.by_hand, parity.by_jax), (parity.gates_by_hand, parity.gates_by_jax)):
        clean = ours(case)
        for name, value in ours(spoiled).items():
            np.testing.assert_array_equal(value, clean[name], err_msg=name)
        parity.worst(theirs(spoiled), clean, 1e-10)  # NaN is out of any bound
    for module in PEEPHOLE:
        ys, state = module.forward(case.params, xs, case.state, case.lengths)[:2]
        assert not np.asarray(ys)[padding].any()
        expected = outputs_of(*module.forward(case.params, case.xs, case.state, case.lengths)[:2])
        for name, value in outputs_of(ys, state).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        for part, given in zip(state, case.state):
            np.testing.assert_array_equal(part[1], given[1])  # of length 0


def test_a_sequence_is_its_steps(x64):
    case = make_case(ragged=False)
    for module in PEEPHOLE:
        ys, final = module.forward(case.params, case.xs, case.state)[:2]
        state = case.state
        for t, x in enumerate(case.xs):
            y, state = module.step(case.params, x, state)[:2]
            assert parity.relative_error(y, ys[t]) < 1e-15
        parity.worst(parity.named("", state), parity.named("", final), 1e-15)


def test_step_backward_is_backward_of_one_step():
    case = make_case(T=1, ragged=False)
    cache = READABLE.step(case.params, case.xs[0], case.state)[2]
    dparams, dx, dstate = READABLE.step_backward(case.dys[0], case.dstate, cache)
    actual = {**parity.named("", dparams), "xs": dx[None], **parity.named("state0.", dstate)}
    parity.worst(actual, parity.by_hand(case), 1e-14)


def test_inputs_are_not_mutated():
    case = make_case()
    before = {name: array.copy() for name, array in case.inputs.items()}
    once, again = parity.by_hand(case), parity.by_hand(case)
    for name, array in case.inputs.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
        np.testing.assert_array_equal(once[name], again[name], err_msg=name)


@pytest.mark.parametrize("hoisted", [False, True], ids=["x Wx in the loop", "x Wx before it"])
def test_the_engine_equals_plain_autodiff(hoisted, x64, monkeypatch):
    """Also on the layout of accelerators, and with recurrent dropout."""
    monkeypatch.setattr(fast.platforms, "hoists_input_product", lambda: hoisted)
    case = make_case(dropped=True)
    scale = case.options["recurrent_scale"]

    def run(inputs, plain):
        c = case.with_inputs(inputs)
        return fast.engine.forward(JAX_CELL, c.params, c.xs, c.state, c.lengths, scale, plain)

    own, plain = (jax.vjp(lambda i, p=p: run(i, p), case.inputs)[1]((case.dys, case.dstate))[0] for p in (False, True))
    parity.worst(own, plain, 1e-13)


@pytest.fixture
def known_to_networks(monkeypatch):
    """The last step of the page, for the length of one test."""
    monkeypatch.setitem(params.INITIALISERS, "peephole", init_peephole)
    monkeypatch.setitem(params.STATES, "peephole", LSTMState)
    monkeypatch.setitem(readable.cells.CELLS, "peephole", READABLE)
    monkeypatch.setitem(fast.cells.CELLS, "peephole", FAST)


def test_networks_take_it(known_to_networks, x64):
    """Two directions, recurrent dropout and a learned initial state, in both halves."""
    layer = Recurrent("peephole", 5, bidirectional=True, recurrent_dropout=0.4, learn_initial_state=True)
    network, rng = Network((layer,), 2, "steps"), np.random.default_rng(0)
    weights = readable.network.init(rng, network, 3, np.float64)
    weights = jax.tree.map(lambda a: rng.standard_normal(a.shape) / 2, weights)
    assert isinstance(weights.layers[0].initial.forward, LSTMState)
    xs, lengths, doutputs = rng.standard_normal((6, 4, 3)), np.array([6, 0, 3, 5]), rng.standard_normal((6, 4, 2))
    outputs, _, cache = readable.network.forward(network, weights, xs, None, lengths, dropout_key=7)
    dweights, dxs, _ = readable.network.backward(doutputs, None, cache)
    run = jax.jit(lambda w, x: fast.network.forward(network, w, x, None, lengths, dropout_key=7)[0])
    expected, pullback = jax.vjp(run, weights, xs)
    for ours, theirs in zip(
        jax.tree.leaves((outputs, dweights, dxs)), jax.tree.leaves((expected, *pullback(doutputs))), strict=True
    ):
        assert parity.relative_error(ours, theirs) < 1e-12
