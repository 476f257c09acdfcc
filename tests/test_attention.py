"""Attention: a naive transcription, gradients against the complex step and JAX, masks, the corners."""

import math

import jax
import numpy as np
import parity
import pytest

from minirnn import fast, readable
from minirnn.params import ATTENTIONS

T, S, B, Q, K, V, A = 3, 5, 4, 6, 7, 2, 8
LENGTHS = np.array([5, 0, 1, 3])
kinds = pytest.mark.parametrize("kind", ATTENTIONS)
halves = pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])


def setup(kind, dtype=np.float64, seed=0):
    """Weights, inputs by name, mask and cotangents: all sizes different, nothing zero."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    size = A if kind == "additive" else None
    params = readable.attention.init(rng, kind, K if kind == "dot" else Q, K, size, dtype)
    params = type(params)(*(draw(*a.shape) / dtype(2) for a in params))
    inputs = {"queries": draw(T, B, K if kind == "dot" else Q), "keys": draw(S, B, K), "values": draw(S, B, V)}
    mask = np.arange(S)[:, None] < LENGTHS
    return params, inputs, mask, (draw(T, B, V), draw(T, B, S))


def naive(kind, params, queries, keys, values, mask):
    """Per query, per sequence, per key."""
    context, weights = np.zeros((T, B, V)), np.zeros((T, B, S))
    for t in range(T):
        for b in range(B):
            real = [s for s in range(S) if mask[s, b]]
            score = {}
            for s in real:
                q, k = queries[t, b], keys[s, b]
                if kind == "dot":
                    score[s] = sum(q[i] * k[i] for i in range(K)) / math.sqrt(K)
                elif kind == "bilinear":
                    score[s] = sum(q[i] * params.W[i, j] * k[j] for i in range(Q) for j in range(K))
                else:
                    score[s] = sum(
                        params.v[n]
                        * math.tanh(
                            sum(q[i] * params.Wq[i, n] for i in range(Q))
                            + sum(k[j] * params.Wk[j, n] for j in range(K))
                            + params.b[n]
                        )
                        for n in range(A)
                    )
            total = sum(math.exp(e) for e in score.values())
            for s in real:
                weights[t, b, s] = math.exp(score[s]) / total
                context[t, b] += weights[t, b, s] * values[s, b]
    return context, weights


def by_hand(params, inputs, mask, cotangents):
    cache = readable.attention.forward(params, **inputs, mask=mask)[2]
    dparams, *rest = readable.attention.backward(*cotangents, cache)
    return {**parity.named("", dparams), **dict(zip(inputs, rest))}


def by_jax(params, inputs, mask, cotangents):
    _, pullback = jax.vjp(jax.jit(lambda p, i: fast.attention.forward(p, **i, mask=mask)), params, inputs)
    dparams, dinputs = jax.tree.map(np.asarray, pullback(cotangents))
    return {**parity.named("", dparams), **dinputs}


def by_complex_step(params, inputs, mask, cotangents):
    arrays = {**parity.named("", params), **inputs}
    exact = {}
    for name, array in arrays.items():
        exact[name] = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            moved = {**arrays, name: array.astype(complex)}
            moved[name][index] += 1j * parity.STEP
            changed = type(params)(*(moved[n] for n in params._fields))
            outputs = readable.attention.forward(changed, **{n: moved[n] for n in inputs}, mask=mask)[:2]
            exact[name][index] = sum((d * o.imag).sum() for d, o in zip(cotangents, outputs)) / parity.STEP
    return exact


def complex_step_error(kind, bound) -> float:
    case = setup(kind)
    return parity.worst(by_hand(*case), by_complex_step(*case), bound)


def jax_error(kind, dtype, bound) -> float:
    case = setup(kind, dtype)
    actual, expected = by_hand(*case), by_jax(*case)
    assert {a.dtype for a in [*actual.values(), *expected.values()]} == {np.dtype(dtype)}
    return parity.worst(actual, expected, bound)


def torch_error(bound) -> float:
    """What both halves give, against torch's scaled dot product."""
    import torch

    params, inputs, mask, _ = setup("dot")
    mask[0] = True  # PyTorch has no answer where there is no key
    q, k, v = (torch.tensor(a.swapaxes(0, 1)) for a in inputs.values())
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, torch.tensor(mask.T[:, None]))
    expected = {"context": theirs.numpy().swapaxes(0, 1)}
    ours = [half.attention.forward(params, **inputs, mask=mask)[0] for half in (readable, fast)]
    return max(parity.worst({"context": context}, expected, bound) for context in ours)


@kinds
def test_both_halves_match_the_naive_transcription(kind, x64):
    params, inputs, mask, _ = setup(kind)
    context, weights = naive(kind, params, **inputs, mask=mask)
    for half in (readable, fast):
        ours = half.attention.forward(params, **inputs, mask=mask)
        parity.worst({"c": ours[0], "a": ours[1]}, {"c": context, "a": weights}, 1e-14)


@kinds
def test_gradients_equal_the_complex_step(kind):
    case = setup(kind)
    before = jax.tree.map(np.copy, case)
    complex_step_error(kind, 1e-13)
    by_hand(*case)
    jax.tree.map(np.testing.assert_array_equal, case, before)  # nothing was written into


@kinds
def test_numpy_equals_jax_in_float64(kind, x64):
    jax_error(kind, np.float64, 1e-13)
    params, inputs, _, cotangents = setup(kind)
    parity.worst(by_hand(params, inputs, None, cotangents), by_jax(params, inputs, None, cotangents), 1e-13)


@kinds
def test_numpy_equals_jax_in_float32(kind):
    jax_error(kind, np.float32, 1e-5)
    case = setup(kind, np.float32)
    for half in (readable, fast):
        context, weights = half.attention.forward(case[0], **case[1], mask=case[2])[:2]
        assert context.dtype == weights.dtype == np.float32


@kinds
def test_padding_changes_nothing(kind, x64):
    params, inputs, mask, cotangents = setup(kind)
    spoiled = {**inputs, **{n: np.where(mask[:, :, None], inputs[n], np.nan) for n in ("keys", "values")}}
    for judge in (by_hand, by_jax):
        clean, dirty = judge(params, inputs, mask, cotangents), judge(params, spoiled, mask, cotangents)
        for name in clean:
            np.testing.assert_array_equal(dirty[name], clean[name], err_msg=name)
        for name in ("keys", "values"):
            assert not dirty[name][~mask].any()
        assert not dirty["queries"][:, 1].any()  # a sequence without keys: its query moves nothing
    for half in (readable, fast):
        context, weights = half.attention.forward(params, **spoiled, mask=mask)[:2]
        assert not np.any(context[:, 1])
        assert not np.any(np.asarray(weights)[:, ~mask.T])
        np.testing.assert_allclose(weights.sum(axis=-1), np.broadcast_to(LENGTHS > 0, (T, B)), atol=1e-15)


@kinds
def test_a_sequence_alone_gives_what_it_gives_in_a_batch(kind):
    params, inputs, mask, _ = setup(kind)
    context = readable.attention.forward(params, **inputs, mask=mask)[0]
    for b, length in enumerate(LENGTHS):
        if length:
            alone = {n: a[:, b : b + 1] if n == "queries" else a[:length, b : b + 1] for n, a in inputs.items()}
            np.testing.assert_allclose(readable.attention.forward(params, **alone)[0][:, 0], context[:, b], rtol=1e-12)


@kinds
def test_one_step_is_a_sequence_of_one(kind, x64):
    params, inputs, mask, (dcontext, dweights) = setup(kind)
    for half in (readable, fast):
        whole = half.attention.forward(params, **inputs, mask=mask)
        step = half.attention.forward(params, inputs["queries"][1], inputs["keys"], inputs["values"], mask)
        for a, b in zip(step[:2], whole[:2]):
            assert a.shape == b[1].shape
            np.testing.assert_allclose(a, b[1], rtol=1e-14)
    ours = readable.attention.backward(dcontext[1], dweights[1], step_cache(params, inputs, mask, inputs["queries"][1]))
    other = readable.attention.backward(
        dcontext[1:2], dweights[1:2], step_cache(params, inputs, mask, inputs["queries"][1:2])
    )
    np.testing.assert_array_equal(ours[1], other[1][0])
    np.testing.assert_array_equal(ours[2], other[2])
    with pytest.raises(ValueError, match=r"dcontext has shape \(4, 3\); expected \(4, 2\)"):
        readable.attention.backward(np.ones((4, 3)), None, step_cache(params, inputs, mask, inputs["queries"][1]))


def step_cache(params, inputs, mask, queries):
    return readable.attention.forward(params, queries, inputs["keys"], inputs["values"], mask)[2]


@pytest.mark.peers
def test_pytorch_gives_the_same(x64):
    pytest.importorskip("torch")
    torch_error(1e-12)


@halves
def test_large_scores_neither_overflow_nor_warn(half):
    params = half.attention.init(0, "dot", 1, 1)
    keys = np.array([[[1e4]], [[-1e4]], [[1e4]], [[3e4]]], np.float32)
    mask = np.array([[True], [True], [True], [False]])
    weights = half.attention.forward(params, np.full((1, 1), 1e3, np.float32), keys, keys, mask)[1]
    np.testing.assert_array_equal(weights, [[0.5, 0, 0.5, 0]])


@halves
def test_no_keys_at_all(half):
    params = half.attention.init(0, "dot", 3, 3)
    nothing = np.zeros((0, 2, 3), np.float32)
    context, weights = half.attention.forward(params, np.ones((2, 3), np.float32), nothing, nothing)[:2]
    assert weights.shape == (2, 0)
    np.testing.assert_array_equal(context, np.zeros((2, 3)))


@halves
def test_what_does_not_fit_is_named(half):
    init, forward = half.attention.init, half.attention.forward
    with pytest.raises(ValueError, match="unknown attention 'cosine'; expected one of dot, bilinear, additive"):
        init(0, "cosine", 3, 3)
    with pytest.raises(ValueError, match="one size, got 3 and 4: use bilinear"):
        init(0, "dot", 3, 4)
    with pytest.raises(ValueError, match="only additive attention has one"):
        init(0, "dot", 3, 3, 5)
    params, q, k = init(0, "bilinear", 3, 4), np.ones((2, 5, 3)), np.ones((6, 5, 4))
    with pytest.raises(ValueError, match=r"have sizes \(3, 3\); expected \(Q, K\) = \(3, 4\)"):
        forward(params, q, q, q)
    with pytest.raises(ValueError, match=r"do not agree with S = 6 and B = 5"):
        forward(params, q, k, k[:3])
    with pytest.raises(ValueError, match=r"mask is bool \(5, 6\); expected bool \(S, B\) = \(6, 5\)"):
        forward(params, q, k, k, np.ones((5, 6), bool))
    with pytest.raises(TypeError, match=r"keys holds int\d+; expected floating point"):
        forward(params, q, k.astype(int), k)
    with pytest.raises(TypeError, match="params is a tuple"):
        forward((), q, k, k)
