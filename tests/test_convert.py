"""Weights to and from other libraries: that nothing is lost on the way, and that both sides compute the same."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import peers
import pytest
from peers import D, H, draw, random_layer, random_stack

from minirnn import convert
from minirnn.bench.peers import installed
from minirnn.params import Directions, GRUParams, GRUTwoStateParams, LSTMParams, RNNParams

SINGLE = [(library, cell) for library, cells in convert.BLOCKS.items() if library != "torch" for cell in cells]


def functions(library):
    """The library's two converters, for one layer."""
    to, back = getattr(convert, f"to_{library}"), getattr(convert, f"from_{library}")
    if library == "torch":
        return (lambda layer, **o: to((layer,), **o)), (lambda arrays, cell, **o: back(arrays, cell, **o)[0])
    return to, back


def same_bits(left, right):
    """Whether two trees hold the same arrays to the last bit, the sign of zero included."""
    left, right = (jax.tree.leaves_with_path(tree) for tree in (left, right))
    assert [path for path, _ in left] == [path for path, _ in right]
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for (_, a), (_, b) in zip(left, right)
    )


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize(("library", "cell"), [*SINGLE, ("torch", "rnn"), ("torch", "lstm"), ("torch", "gru")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back_is_exact(library, cell, dtype, rng):
    to, back = functions(library)
    params = random_layer(cell, rng, dtype=dtype)
    params.b[::2], params.b[1] = 0.0, -0.0
    before = [a.copy() for a in params]
    arrays = to(params)
    for array in jax.tree.leaves(arrays):
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert not any(np.shares_memory(array, a) for a in params)
    kept = jax.tree.map(np.copy, arrays)
    again = back(arrays, cell)
    for array in again:
        assert not any(np.shares_memory(array, a) for a in jax.tree.leaves(arrays))
    if (library, cell) == ("haiku", "lstm"):  # f - 1 + 1 rounds
        np.testing.assert_allclose(again.b, params.b, rtol=0, atol=np.finfo(dtype).eps)
        again = again._replace(b=params.b)
    assert same_bits(again, params)
    assert same_bits(arrays, kept)
    assert same_bits(tuple(params), tuple(before))


@pytest.mark.parametrize(("library", "cell"), [*SINGLE, ("torch", "rnn"), ("torch", "lstm"), ("torch", "gru")])
def test_back_and_there_is_exact_once_biases_are_merged(library, cell, rng):
    to, back = functions(library)
    theirs = jax.tree.map(lambda a: draw(rng, a), to(random_layer(cell, rng)))
    merged = to(back(theirs, cell))
    changed = [
        "/".join(str(key.key) for key in path)
        for (path, a), b in zip(jax.tree.leaves_with_path(theirs), jax.tree.leaves(merged))
        if a.tobytes() != b.tobytes()
    ]
    two_biases = {"torch": ["bias_hh_l0", "bias_ih_l0"], "haiku": ["vanilla_rnn/linear/b", "vanilla_rnn/linear_1/b"]}
    if (library, cell) == ("keras", "gru"):
        assert changed == ["bias"]
    elif (library, cell) == ("haiku", "lstm"):
        assert set(changed) <= {"lstm/linear/b"}  # rounding
    else:
        assert changed == (two_biases.get(library, []) if library == "torch" or cell == "rnn" else [])
    if (library, cell) != ("haiku", "lstm"):
        assert same_bits(to(back(merged, cell)), merged)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_stack_goes_to_torch_and_back(cell, bidirectional, bias, rng):
    layers = random_stack(cell, rng, bidirectional=bidirectional)
    if not bias:
        layers = jax.tree.map(lambda a: a if a.ndim == 2 else np.zeros_like(a), layers)
    arrays = convert.to_torch(layers, bias=bias)
    assert len(arrays) == 3 * (1 + bidirectional) * (2 + 2 * bias)
    again = convert.from_torch(dict(reversed(arrays.items())), cell)
    assert jax.tree.structure(again) == jax.tree.structure(layers)
    assert same_bits(again, layers)


def test_blocks_and_signs_by_hand():
    """One unit, one input: what each library gets, and what becomes of its second bias."""
    column = lambda *values: np.array(values)[:, None]  # noqa: E731
    row = lambda *values: np.array([values])  # noqa: E731
    gru = GRUParams(row(1.0, 2.0, 3.0), row(4.0, 5.0, 6.0), np.array([7.0, 8.0, 9.0]), np.array([10.0]))
    lstm = LSTMParams(row(1.0, 2.0, 3.0, 4.0), row(5.0, 6.0, 7.0, 8.0), np.array([9.0, 10.0, 11.0, 12.0]))
    expected = {
        "weight_ih_l0": column(1.0, -2.0, 3.0),
        "weight_hh_l0": column(4.0, -5.0, 6.0),
        "bias_ih_l0": np.array([7.0, -8.0, 9.0]),
        "bias_hh_l0": np.array([0.0, 0.0, 10.0]),
    }
    jax.tree.map(np.testing.assert_array_equal, convert.to_torch((gru,)), expected)
    keras = {"kernel": row(-2.0, 1.0, 3.0), "recurrent_kernel": row(-5.0, 4.0, 6.0)}
    keras["bias"] = np.array([[-8.0, 7.0, 9.0], [0.0, 0.0, 10.0]])
    jax.tree.map(np.testing.assert_array_equal, convert.to_keras(gru), keras)
    haiku = {"lstm/linear": {"w": np.array([[1.0, 3, 2, 4], [5, 7, 6, 8]]), "b": np.array([9.0, 11, 10 - 1, 12])}}
    jax.tree.map(np.testing.assert_array_equal, convert.to_haiku(lstm), haiku)
    flax = convert.to_flax(gru)
    assert {name: sorted(part) for name, part in flax.items()} == {
        **{name: ["bias", "kernel"] for name in ("ir", "iz", "in", "hn")},
        **{name: ["kernel"] for name in ("hr", "hz")},
    }
    assert (flax["iz"]["bias"], flax["hn"]["bias"], flax["hz"]["kernel"]) == (-8.0, 10.0, -5.0)
    assert convert.to_equinox(gru)["bias_n"] == 10.0

    expected["bias_hh_l0"] = np.array([0.5, 0.25, 10.0])
    (params,) = convert.from_torch(expected, "gru")
    np.testing.assert_array_equal(params.b, [7.5, 7.75, 9.0])
    np.testing.assert_array_equal(params.b_hn, [10.0])
    (gradient,) = convert.from_torch(expected, "gru", gradients=True)
    np.testing.assert_array_equal(gradient.b, [7.0, 8.0, 9.0])
    np.testing.assert_array_equal(gradient.b_hn, [10.0])


@pytest.mark.parametrize("library", ["keras", "equinox"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_without_bias(library, cell, rng):
    to, back = functions(library)
    params = random_layer(cell, rng)
    with pytest.raises(ValueError, match=rf"to_{library}: b is not zero; bias=False would lose it"):
        to(params, bias=False)
    params = params._replace(**{n: np.zeros_like(a) for n, a in params._asdict().items() if a.ndim == 1})
    arrays = to(params, bias=False)
    assert not any("bias" in name for name in arrays)
    jax.tree.map(np.testing.assert_array_equal, back(arrays, cell), params)


def test_jax_arrays_and_lists_are_taken(rng):
    params = random_layer("gru", rng)
    arrays = convert.to_torch((jax.tree.map(jnp.asarray, params),))
    assert same_bits(arrays, convert.to_torch([params]))
    (again,) = convert.from_torch({name: array.tolist() for name, array in arrays.items()}, "gru")
    np.testing.assert_array_equal(again.Wx, params.Wx.astype(np.float64))


# ---------------------------------------------------------------- errors


def changed(arrays, **changes):
    """The dictionary with arrays replaced, and those that become None left out."""
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def torch_arrays(cell="lstm", **options):
    return convert.to_torch(random_stack(cell, np.random.default_rng(0), 2, **options))


zeros = functools.partial(np.zeros, dtype=np.float32)

WRONG_ARRAYS = [
    ("torch", "gru_reset_before", {},
     "torch has no cell 'gru_reset_before'; it has rnn, lstm, gru (its GRU resets after the product)"),
    ("torch", "lstm_single_state", {}, "torch has no cell 'lstm_single_state'; it has rnn, lstm, gru"),
    ("keras", "gru_two_state", {},
     "keras has no cell 'gru_two_state'; it has rnn, lstm, gru, gru_reset_before (its GRU"),
    ("haiku", "gru", {},
     "haiku has no cell 'gru'; it has rnn, lstm, gru_reset_before (its GRU resets before the product)"),
    ("flax", "gru_reset_before", {},
     "flax has no cell 'gru_reset_before'; it has rnn, lstm, gru (its GRU resets after"),
    ("equinox", "rnn", {}, "equinox has no cell 'rnn'; it has lstm, gru"),
    ("torch", "lstm", [zeros(3)], "arrays is a list; expected a dictionary of arrays by name"),
    ("torch", "lstm", {}, "missing weight_ih_l0, weight_hh_l0; expected weight_ih_l0, weight_hh_l0; found nothing"),
    ("torch", "lstm", changed(torch_arrays(), weight_hr_l0=zeros((2, 5))), "weight_hr_l0 belongs to torch's proj_size"),
    ("torch", "lstm", changed(torch_arrays(), bias_hh_l1_reverse=None),
     "missing bias_hh_l1_reverse; expected weight_ih_l0,"),
    ("torch", "lstm", changed(torch_arrays(), weight_ih_l7=zeros(1)), "missing weight_ih_l2, weight_hh_l2, "),
    ("torch", "lstm", {"weight_ih": zeros((20, 3))},
     "unknown weight_ih; expected weight_ih_l0, weight_hh_l0; found weight_ih"),
    ("torch", "gru", torch_arrays(), "weight_ih_l0 has shape (20, 3); expected (15, 3) for gru with D = 3, H = 5"),
    ("torch", "lstm", changed(torch_arrays(), weight_ih_l1=zeros((20, 5))),
     "weight_ih_l1 has shape (20, 5); expected (20, 10)"),
    ("torch", "lstm", changed(torch_arrays(), weight_hh_l0=zeros(20)),
     "weight_hh_l0 has shape (20,); expected two axes"),
    ("torch", "lstm", changed(torch_arrays(), bias_hh_l0=np.zeros(20, int)),
     "bias_hh_l0 holds int64; expected floating point"),
    ("keras", "rnn", {"kernel": zeros((3, 5)), "recurrent": zeros((5, 5))},
     "missing recurrent_kernel; unknown recurrent; expected kernel, recurrent_kernel, perhaps bias; found kernel,"),
    ("keras", "gru", {"kernel": zeros((3, 15)), "recurrent_kernel": zeros((5, 15)), "bias": zeros(15)},
     "bias has shape (15,); expected (2, 15) for gru (reset_after=True) with D = 3, H = 5"),
    ("keras", "gru_reset_before",
     {"kernel": zeros((3, 15)), "recurrent_kernel": zeros((5, 15)), "bias": zeros((2, 15))},
     "bias has shape (2, 15); expected (15,) for gru_reset_before (reset_after=False) with D = 3, H = 5"),
    ("flax", "rnn", {"cell": {"i": {"kernel": zeros((3, 5)), "bias": zeros(5)}, "h": {"kernel": zeros((5, 5))}}},
     "unknown cell/i/kernel, cell/i/bias, cell/h/kernel; expected i/kernel, h/kernel, i/bias; found cell/i/kernel,"),
    ("flax", "rnn", {"i": {"kernel": zeros((3, 5)), "bias": zeros(4)}, "h": {"kernel": zeros((5, 5))}},
     "i/bias has shape (4,); expected (5,) for rnn with D = 3, H = 5"),
    ("equinox", "gru", {"weight_ih": zeros((15, 3)), "weight_hh": zeros((15, 5)), "bias": zeros(15)},
     "missing bias_n; expected weight_ih, weight_hh, bias, bias_n; found weight_ih, weight_hh, bias"),
    ("haiku", "lstm", {"lstm/linear": {"w": zeros((5, 20)), "b": zeros(20)}},
     "lstm/linear/w has shape (5, 20); expected (6, 20)"),
    ("haiku", "lstm", {"lstm_1/linear": {"w": zeros((8, 20)), "b": zeros(20)}},
     "missing lstm/linear/w, lstm/linear/b; unknown lstm_1/linear/w, lstm_1/linear/b; expected"),
    ("haiku", "gru_reset_before", {"gru": {"w_i": zeros((3, 15)), "w_h": zeros((5, 15)), "b": zeros(5)}},
     "gru/b has shape (5,); expected (15,) for gru_reset_before with D = 3, H = 5"),
]  # fmt: skip


@pytest.mark.parametrize(("library", "cell", "arrays", "message"), WRONG_ARRAYS)
def test_wrong_arrays_are_named_in_one_line(library, cell, arrays, message):
    with pytest.raises((ValueError, TypeError), match=f"^from_{library}: .*{re.escape(message)}") as error:
        getattr(convert, f"from_{library}")(arrays, cell)
    assert "\n" not in str(error.value)


def layer(cell="lstm", input_size=D, dtype=np.float32):
    return random_layer(cell, np.random.default_rng(0), input_size, dtype)


TWO_STATE = GRUTwoStateParams(*layer("gru")[:3])
WRONG_LAYERS = [
    ("torch", layer(), {}, "to_torch: layers is a LSTMParams; expected a tuple of layers, e.g. (layer,)"),
    ("torch", (), {}, "to_torch: there are no layers; expected at least one"),
    ("torch", (layer("gru_reset_before"),), {},
     "torch has no cell with GRUResetBeforeParams; it has those of RNNParams, LSTMParams"),
    ("torch", (layer(), layer()), {}, "to_torch: layers[1] has D = 3, H = 5; expected D = 5, H = 5"),
    ("torch", (Directions(layer(), layer(input_size=4)),), {},
     "to_torch: layers[0].backward has D = 4, H = 5; expected D = 3, H = 5"),
    ("torch", (layer("rnn"), layer("lstm", H)), {}, "several kinds (lstm in 1 direction, rnn in 1 direction)"),
    ("torch", (layer(),), {"bias": False}, "to_torch: layers[0]: b is not zero; bias=False would lose it"),
    ("torch", (layer("gru")._replace(b=zeros(15)),), {"bias": False}, "to_torch: layers[0]: b_hn is not zero"),
    ("torch", (layer()._replace(b=zeros(19)),), {},
     "to_torch: layers[0]: b has shape (19,); expected (20,) for lstm with D = 3, H = 5"),
    ("keras", TWO_STATE, {}, "to_keras: keras has no cell with GRUTwoStateParams"),
    ("keras", Directions(layer(), layer()), {},
     "to_keras holds two directions; convert layer.forward and layer.backward each"),
    ("flax", layer("gru_reset_before"), {},
     "to_flax: flax has no cell with GRUResetBeforeParams; it has those of RNNParams,"),
    ("equinox", layer("rnn"), {},
     "to_equinox: equinox has no cell with RNNParams; it has those of LSTMParams, GRUParams"),
    ("haiku", layer("gru"), {},
     "to_haiku: haiku has no cell with GRUParams; it has those of RNNParams, LSTMParams, GRUResetBefore"),
    ("haiku", RNNParams(zeros((3, 5)), zeros((5, 5)), np.zeros(5, int)), {},
     "to_haiku: b holds int64; expected floating point"),
]  # fmt: skip


@pytest.mark.parametrize(("library", "layers", "options", "message"), WRONG_LAYERS)
def test_wrong_layers_are_named_in_one_line(library, layers, options, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)) as error:
        getattr(convert, f"to_{library}")(layers, **options)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- the same numbers; one layer of PyTorch: test_peers.py


def skip_without(library):
    if library not in installed():  # not importorskip: Keras's backend must be chosen before its import
        pytest.skip(f"{library} is not installed")


@pytest.mark.peers
@pytest.mark.parametrize(("cell", "bias"), [("rnn", True), ("lstm", True), ("gru", True), ("gru", False)])
def test_torch_stack_both_directions_ragged(cell, bias, x64):
    skip_without("torch")
    peers.stack_error("torch", cell, 1e-12, dtype=np.float64, bias=bias)


@pytest.mark.peers
@pytest.mark.parametrize("library", ["flax", "keras"])
@pytest.mark.parametrize("cell", peers.STACKED)
def test_jax_libraries_stack_both_directions_ragged(library, cell):
    skip_without(library)
    peers.stack_error(library, cell, 1e-5)


@pytest.mark.peers
@pytest.mark.parametrize(("library", "cell", "layer"), peers.JAX_LAYERS)
def test_jax_libraries_compute_the_same(library, cell, layer):
    skip_without(library)
    peers.jax_layer_error(library, cell, layer, 1e-5, "relu" if library == "haiku" else "tanh")
