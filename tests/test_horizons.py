"""From a window to the rows ahead: exact gradients, equal halves, and what each of the three ways reads."""

from __future__ import annotations

import jax
import numpy as np
import parity
import pytest
from networks import by_name

from minirnn import fast, readable
from minirnn.params import (
    Convolution,
    Decoder,
    Dense,
    Direct,
    Dropout,
    LayerNorm,
    Recurrent,
    Residual,
    Segments,
    stack,
)

# Way -> (description, F). B = 4, D = 3, T = 7; N and S divide nothing.
WAYS = {
    "direct": (Direct(stack("gru", 5, 2, 10, dropout=0.3), 5, 2), 0),
    "direct, mean": (Direct(stack("lstm", 5, 1, 5, bidirectional=True, read="mean"), 5), 0),
    "decoder": (Decoder((Recurrent("lstm", 6), Dropout(0.4), Recurrent("gru", 5)), 5, 2), 2),
    "decoder, F = 0": (Decoder((Recurrent("rnn", 6),), 5), 0),
    "decoder, all at once": (
        Decoder(
            (
                Convolution(4, 2),
                Dropout(0.2),
                Recurrent("gru", 6, learn_initial_state=True, recurrent_dropout=0.3),
                Residual((LayerNorm(), Recurrent("lstm", 6, learn_initial_state=True))),
                Dropout(0.5),
                Residual((Dense(6, "tanh"),)),
            ),
            5,
            2,
        ),
        3,
    ),
    "segments": (Segments("gru", 6, segment=3, horizon=5, outputs=2, dropout=0.4), 2),
    "segments, F = 0": (Segments("lstm", 6, segment=2, horizon=5), 0),
    "segments, one is enough": (Segments("gru_reset_before", 6, segment=8, horizon=5), 2),
    "segments without a product": (Segments("mingru", 6, segment=3, horizon=5), 1),
}
T, B, D = 7, 4, 3
KEY = 11


def make_case(way: str, dtype=np.float64):
    """Description, everything that has a gradient, and a cotangent; no bias is zero."""
    description, F = WAYS[way]
    rng = np.random.default_rng(3)
    draw = lambda a: (rng.standard_normal(np.shape(a)) / 2).astype(dtype)  # noqa: E731
    params = jax.tree.map(draw, readable.horizons.init(rng, description, D, F, dtype))
    inputs = {"params": params, "xs": draw(np.zeros((T, B, D))), "ahead": draw(np.zeros((description.horizon, B, F)))}
    return description, inputs, draw(np.zeros((B, description.horizon, description.outputs)))


def by_hand(way: str, dtype=np.float64):
    description, inputs, draw = make_case(way, dtype)
    raw, cache = readable.horizons.forward(description, **inputs, dropout_key=KEY)
    gradients = dict(zip(("params", "xs", "ahead"), readable.horizons.backward(draw, cache)))
    return {"raw": raw}, by_name(gradients)


def by_jax(way: str, dtype=np.float64):
    description, inputs, draw = make_case(way, dtype)
    run = lambda inputs: fast.horizons.forward(description, **inputs, dropout_key=KEY)  # noqa: E731
    raw, pullback = jax.vjp(jax.jit(run), inputs)
    return {"raw": np.asarray(raw)}, by_name(pullback(draw)[0])


@pytest.mark.parametrize("way", WAYS)
def test_the_backward_pass_is_exact(way):
    description, inputs, draw = make_case(way)
    _, gradients = by_hand(way)
    leaves, tree = jax.tree.flatten(inputs)
    rng = np.random.default_rng(1)
    assert len(leaves) == len(gradients)
    for index, (name, gradient) in enumerate(gradients.items()):
        exact, ours = [], []
        for _ in range(4):
            v = rng.standard_normal(leaves[index].shape)
            moved = [leaf + 1j * parity.STEP * v if k == index else leaf for k, leaf in enumerate(leaves)]
            raw, _ = readable.horizons.forward(description, **jax.tree.unflatten(tree, moved), dropout_key=KEY)
            exact.append((raw.imag / parity.STEP * draw).sum())
            ours.append((gradient * v).sum())
        assert gradient.shape == leaves[index].shape
        assert parity.relative_error(np.array(ours), np.array(exact)) <= 1e-12, name
        if gradient.size:
            assert np.any(gradient), name


@pytest.mark.parametrize(
    ("way", "dtype", "bound"),
    [(way, np.float64, 1e-10) for way in WAYS] + [(way, np.float32, 1e-5) for way in ("direct", "decoder", "segments")],
)
def test_the_halves_agree(way, dtype, bound, request):
    """Raw numbers and gradients, with dropout on: the same units fall."""
    if dtype == np.float64:
        request.getfixturevalue("x64")
    for ours, theirs in zip(by_hand(way, dtype), by_jax(way, dtype)):
        assert {a.dtype for a in [*ours.values(), *theirs.values()]} == {np.dtype(dtype)}
        parity.worst(ours, theirs, bound)


@pytest.mark.parametrize("way", [way for way in WAYS if "direct" not in way and "without" not in way])
def test_dropout_changes_what_it_is_said_to_change(way):
    description, inputs, _ = make_case(way)
    run = lambda **options: readable.horizons.forward(description, **inputs, **options)[0]  # noqa: E731
    drops = "dropout" in str(description).replace("dropout=0.0", "").lower()
    assert np.array_equal(run(), run(dropout_key=KEY)) != drops
    assert np.array_equal(run(dropout_key=KEY + 1), run(dropout_key=KEY)) != drops


def test_segments_are_read_and_written_as_the_paper_says():
    """Row after row, segment after segment, in plain loops; the window is filled up in front."""
    description, inputs, _ = make_case("segments")
    p, xs, ahead = inputs.values()
    raw, _ = readable.horizons.forward(description, p, xs, ahead)
    gru, S, N, O = readable.gru, 3, 5, 2
    filled = np.concatenate([np.zeros((2, B, D)), xs])
    known = np.concatenate([ahead, np.zeros((1, B, 2))])
    for b in range(B):
        h = np.zeros((1, 6))
        for s in range(3):
            segment = filled[3 * s : 3 * s + 3, b].ravel()  # row after row
            _, h, _ = gru.step(p.cell, np.maximum(segment @ p.embedding.W + p.embedding.b, 0)[None], h)
        for m in range(2):
            x = p.position[m] + known[3 * m : 3 * m + 3, b].ravel() @ p.ahead.W + p.ahead.b
            y, _, _ = gru.step(p.cell, x[None], h)
            rows = (y @ p.head.W + p.head.b).reshape(S, O)[: N - 3 * m]
            np.testing.assert_allclose(raw[b, 3 * m : 3 * m + 3], rows, rtol=1e-12)


def test_a_decoder_goes_on_from_the_encoder_and_reads_its_row_and_its_place():
    description, inputs, _ = make_case("decoder, F = 0")
    p, xs, ahead = inputs.values()
    raw, _ = readable.horizons.forward(description, p, xs, ahead)
    _, h, _ = readable.rnn.forward(p.encoder[0].weights, xs)
    for n in range(5):
        y, h, _ = readable.rnn.step(p.decoder[0].weights, np.full((B, 1), (n + 1) / 5), h)
        np.testing.assert_allclose(raw[:, n], y @ p.head.W + p.head.b, rtol=1e-12)


@pytest.mark.parametrize("way", ["decoder", "segments"])
def test_a_row_ahead_reaches_no_row_before_it(way):
    """Not before its segment, that is; and the last rows of the window reach all."""
    description, inputs, _ = make_case(way)
    changed = {**inputs, "ahead": inputs["ahead"].copy()}
    changed["ahead"][3] += 1
    before, after = (readable.horizons.forward(description, **i)[0] for i in (inputs, changed))
    moved = (before != after).any(axis=(0, 2))
    np.testing.assert_array_equal(moved, [False, False, False, True, True])


def test_the_decoder_repeats_the_layers_from_the_first_recurrent_one_on():
    description, _ = WAYS["decoder, all at once"]
    assert [type(layer).__name__ for layer in description.encoder] == [
        "Convolution",
        "Dropout",
        "Recurrent",
        "Residual",
    ]
    assert [type(layer).__name__ for layer in description.decoder] == ["Recurrent", "Residual", "Dropout", "Residual"]
    assert not description.decoder[0].learn_initial_state
    assert not description.decoder[1].layers[1].learn_initial_state
    assert description.decoder[0].recurrent_dropout == 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Direct(stack("gru", 4, output_size=9), 5, 2), r"output_size 9; expected horizon·outputs = 5·2 = 10"),
        (lambda: Direct(stack("gru", 4, output_size=10, read="steps"), 5, 2), "reads 'steps'; expected 'last' or"),
        (lambda: Direct("gru", 5), "Direct.network is a str; expected a Network"),
        (lambda: Decoder((Dense(3),), 5), "Decoder.layers holds no recurrent layer"),
        (lambda: Decoder((Residual((Recurrent("gru", 3),)),), 5), "stands inside a Residual; expected it outside"),
        (lambda: Decoder((Recurrent("gru", 3, bidirectional=True),), 5), "is bidirectional; expected one direction"),
        (lambda: Decoder((3,), 5), "Decoder.layers holds a int"),
        (lambda: Segments("gru", 4, 0, 5), "Segments.segment is 0; expected an integer of at least 1"),
        (lambda: Segments("cnn", 4, 2, 5), "unknown cell 'cnn' of Segments"),
        (lambda: Segments("gru", 4, 2, 5, dropout=1.0), "Segments.dropout is 1.0; expected at least 0 and below 1"),
        (lambda: readable.horizons.init(0, WAYS["direct"][0], 3, 2), "F is 2, but Direct reads no features"),
        (lambda: readable.horizons.init(0, None, 3, 2), "description is a NoneType; expected Direct, Decoder or"),
    ],
)
def test_descriptions_that_cannot_be_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize("half", [readable, fast])
@pytest.mark.parametrize(
    ("way", "change", "message"),
    [
        ("segments", {"xs": np.zeros((7, 4), "f4")}, r"xs has shape \(7, 4\); expected time-major \(T, B, D\)"),
        ("segments", {"xs": np.zeros((0, 4, 3), "f4")}, "with T of at least 1"),
        (
            "segments",
            {"ahead": np.zeros((6, 4, 2), "f4")},
            r"ahead has shape \(6, 4, 2\); expected .* N = 5, the horiz",
        ),
        ("decoder", {"ahead": np.zeros((5, 3, 2), "f4")}, r"ahead has shape .* B = 4 of xs"),
        ("decoder", {"ahead": np.zeros((5, 4, 2), "i4")}, "ahead holds int32; expected floating point"),
        ("decoder", {"ahead": np.zeros((5, 4, 2), "f2")}, "xs holds float32 and ahead float16; expected the same"),
        ("direct", {"ahead": np.zeros((5, 4, 1), "f4")}, "F is 1, but Direct reads no features of the rows ahead"),
        ("segments", {"ahead": np.zeros((5, 4, 0), "f4")}, "F of at least 1, which its weights read"),
        ("segments, F = 0", {"ahead": np.zeros((5, 4, 1), "f4")}, "F = 0: its weights read none"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(half, way, change, message):
    description, inputs, _ = make_case(way, np.float32)
    with pytest.raises((ValueError, TypeError), match=message):
        half.horizons.forward(description, **{**inputs, **change})


def test_a_gradient_of_another_shape_is_refused():
    description, inputs, draw = make_case("segments")
    _, cache = readable.horizons.forward(description, **inputs)
    with pytest.raises(ValueError, match=r"draw has shape \(5, 4, 2\); expected \(B, N, O\) = \(4, 5, 2\)"):
        readable.horizons.backward(draw.swapaxes(0, 1), cache)
