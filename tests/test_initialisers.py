"""Fresh weights: their laws, against exact moments; where biases stand; seeds, dtypes, errors.

Every seed is fixed, so no test is a matter of luck. A statistic of n independent draws may be off by 4.5 of its
standard errors, which are computed from the exact law; a wrong factor or law is off by dozens.
"""

import itertools

import numpy as np
import pytest

from minirnn import fast, params, readable
from minirnn.params import (
    LSTM_GATES,
    MINLSTM_GATES,
    Convolution,
    Dense,
    Embedding,
    LayerNorm,
    Network,
    Recurrent,
    gate_block,
)
from minirnn.params.initialisers import INITIALISERS, SCHEMES

D, H = 24, 16  # different, so that a transposed limit shows
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3, "lstm_single_state": 4, "gru_reset_before": 3, "gru_two_state": 3}
BLOCKS |= {"mingru": 2, "minlstm": 3}
SEEDS = range(40)
Z = 4.5

cells = pytest.mark.parametrize("cell", INITIALISERS)
schemes = pytest.mark.parametrize("scheme", SCHEMES)


def draws(cell, scheme, field):
    """A field of a cell's weights for every seed, in float64, forget biases not added: (seeds, ...)."""
    options = {"forget_bias": 0.0} if "lstm" in cell else {}
    make = INITIALISERS[cell]
    return np.stack([getattr(make(seed, D, H, np.float64, scheme=scheme, **options), field) for seed in SEEDS])


def assert_mean(values, expected, deviation):
    """The mean of independent values of a known standard deviation."""
    error = abs(np.mean(values) - expected) / (deviation / np.sqrt(np.size(values)))
    assert error < Z, f"mean {np.mean(values):.6g}, expected {expected:.6g}: off by {error:.1f} standard errors"


def assert_uniform(values, limit):
    """Uniform on ±limit: the first four moments, and both ends. x = limit u has E u² = 1/3, E u⁴ = 1/5, E u⁸ = 1/9.

    The fourth moment tells it from a normal law of the same variance: 1/5 against 3/9.
    """
    u = np.ravel(values) / limit
    assert np.abs(u).max() <= 1
    assert_mean(u, 0, np.sqrt(1 / 3))
    assert_mean(u**2, 1 / 3, np.sqrt(1 / 5 - 1 / 9))
    assert_mean(u**3, 0, np.sqrt(1 / 7))
    assert_mean(u**4, 1 / 5, np.sqrt(1 / 9 - 1 / 25))
    # The distance of n draws to either end is about 2/n; beyond 2·12/n with probability exp(-12).
    assert 1 - u.max() < 24 / u.size
    assert 1 + u.min() < 24 / u.size


def assert_independent(first, second):
    """Products of two lists of numbers of mean zero, independent if the lists are: their mean is zero."""
    first, second = np.ravel(first), np.ravel(second)
    assert_mean(first * second, 0, np.sqrt(np.mean(first**2) * np.mean(second**2)))


def blocks(array, cell):
    """The block of each gate, (seeds, rows, H)."""
    return np.split(array, BLOCKS[cell], axis=-1)


# ---------------------------------------------------------------- cells


@cells
@schemes
def test_input_weights(cell, scheme):
    limit = 1 / np.sqrt(H) if scheme == "uniform" else np.sqrt(6 / (D + H))
    Wx = draws(cell, scheme, "Wx")
    assert Wx.shape == (len(SEEDS), D, BLOCKS[cell] * H)
    gates = blocks(Wx, cell)
    for block in gates:
        assert_uniform(block, limit)
    for first, second in itertools.pairwise(gates):
        assert_independent(first, second)
    assert_independent(Wx[:-1], Wx[1:])  # one seed and the next
    assert_independent(Wx[:, :-1], Wx[:, 1:])  # one row and the next


@pytest.mark.parametrize("cell", [cell for cell in INITIALISERS if "min" not in cell])
@schemes
def test_recurrent_weights(cell, scheme):
    Wh = draws(cell, scheme, "Wh")
    assert Wh.shape == (len(SEEDS), H, BLOCKS[cell] * H)
    gates = blocks(Wh, cell)
    for block in gates:
        if scheme == "orthogonal":
            np.testing.assert_allclose(
                block.swapaxes(1, 2) @ block, np.broadcast_to(np.eye(H), block.shape), atol=1e-13
            )
            assert_haar(block)
        else:
            assert_uniform(block, 1 / np.sqrt(H) if scheme == "uniform" else np.sqrt(6 / (H + H)))
    for first, second in itertools.pairwise(gates):
        assert np.abs(first - second).max() > 0.1
        # Not entry by entry, since those of an orthogonal matrix depend on each other: one number of each matrix.
        # tr(AᵀB) of two independent ones has variance 1 in units of its own: sum of n² products of variance 1/n² each.
        inner = (first * second).sum(axis=(1, 2)) / (1 if scheme == "orthogonal" else H * first.var())
        assert_mean(inner, 0, 1)


def assert_haar(matrices):
    """Uniform over the orthogonal matrices (n, H, H): moments of the entries and of the trace.

    Exact: E tr = 0, E tr² = 1, E tr⁴ = 3; E w² = 1/H, E w⁴ = 3 / (H (H+2)), E w⁸ = 105 / (H (H+2) (H+4) (H+6)).
    """
    H = matrices.shape[1]
    trace = matrices.trace(axis1=1, axis2=2)
    assert_mean(trace, 0, 1)
    assert_mean(trace**2, 1, np.sqrt(2))
    w = matrices[:, 0, 0]
    assert_mean(w, 0, np.sqrt(1 / H))
    assert_mean(w**4, 3 / (H * (H + 2)), np.sqrt(105 / (H * (H + 2) * (H + 4) * (H + 6)) - 9 / (H * (H + 2)) ** 2))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_orthogonal_is_uniform_over_the_orthogonal_matrices(size):
    """Every entry has the law of a coordinate on the sphere; both determinants are equally likely; a rotation of all
    matrices changes no law.
    """
    rng, n = np.random.default_rng(0), 4000
    matrices = np.stack([params.orthogonal(rng, size) for _ in range(n)])
    np.testing.assert_allclose(
        matrices.swapaxes(1, 2) @ matrices, np.broadcast_to(np.eye(size), matrices.shape), atol=1e-13
    )
    determinants = np.linalg.det(matrices)
    np.testing.assert_allclose(np.abs(determinants), 1, atol=1e-12)
    assert_mean(determinants, 0, 1)
    H = size
    fourth = 3 / (H * (H + 2))
    eighth = 105 / (H * (H + 2) * (H + 4) * (H + 6))
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((size, size)))[0]
    for turned in (matrices, rotation @ matrices, matrices @ rotation):
        trace = turned.trace(axis1=1, axis2=2)
        assert_mean(trace, 0, 1)
        assert_mean(trace**2, 1, np.sqrt(3 - 1) if size > 1 else 1e-12)
        for i, j in {(0, 0), (size - 1, 0), (0, size - 1), (size - 1, size - 1)}:
            w = turned[:, i, j]
            assert_mean(w, 0, np.sqrt(1 / H))
            assert_mean(w**2, 1 / H, np.sqrt(fourth - 1 / H**2) + 1e-12)
            assert_mean(w**4, fourth, np.sqrt(eighth - fourth**2) + 1e-12)
        if size > 1:  # two entries of one row repel: E w² v² = 1 / (H (H + 2)), below 1 / H²
            product = turned[:, 0, 0] ** 2 * turned[:, 0, 1] ** 2
            assert_mean(
                product, 1 / (H * (H + 2)), np.sqrt(9 / (H * (H + 2) * (H + 4) * (H + 6)) - (H * (H + 2)) ** -2.0)
            )


def test_without_the_sign_the_matrices_would_not_be_uniform():
    """The statistics above see what they are there to see."""
    rng = np.random.default_rng(0)
    plain = np.stack([np.linalg.qr(rng.standard_normal((5, 5)))[0] for _ in range(400)])
    with pytest.raises(AssertionError, match="standard errors"):
        assert_haar(plain)
    with pytest.raises(AssertionError, match="standard errors"):  # a normal law of the right variance
        assert_uniform(np.clip(rng.standard_normal(4000) / np.sqrt(3), -1, 1), 1)


@cells
@schemes
def test_biases(cell, scheme):
    for field in [f for f in ("b", "b_hn") if hasattr(INITIALISERS[cell](0, D, H), f)]:
        biases = draws(cell, scheme, field)
        assert biases.shape[1:] == ((BLOCKS[cell] * H,) if field == "b" else (H,))
        if scheme == "uniform":
            assert_uniform(biases, 1 / np.sqrt(H))
            assert_independent(biases[:-1], biases[1:])
        else:
            assert not biases.any()
            assert not np.signbit(biases).any()


@pytest.mark.parametrize(
    ("cell", "gates"), [("lstm", LSTM_GATES), ("lstm_single_state", LSTM_GATES), ("minlstm", MINLSTM_GATES)]
)
@schemes
def test_the_forget_bias_stands_at_the_forget_gate_and_nowhere_else(cell, gates, scheme):
    make = INITIALISERS[cell]
    zero, default, other = (
        make(3, D, H, np.float64, scheme=scheme, **options)
        for options in ({"forget_bias": 0.0}, {}, {"forget_bias": -2.5})
    )
    forget = np.zeros(len(gates) * H)
    forget[gate_block("f", gates, H)] = 1
    np.testing.assert_array_equal(default.b, zero.b + forget)
    np.testing.assert_array_equal(other.b, zero.b - 2.5 * forget)
    for a, b in zip(zero, other):  # nothing else moves
        if a is not zero.b:
            np.testing.assert_array_equal(a, b)
    if scheme != "uniform":
        np.testing.assert_array_equal(default.b, forget)


def test_the_forget_bias_is_where_the_cell_forgets():
    """With a forget bias of 40 a cell keeps its memory although its input changes; with -40 nothing is left of it."""
    for cell in ("lstm", "lstm_single_state"):
        module = readable.cells.CELLS[cell]
        for bias, kept in ((40.0, 1.0), (-40.0, 0.0)):
            p = module.init(0, 3, 4, np.float64, forget_bias=bias)
            p = p._replace(b=p.b - 40 * (np.arange(16) < 4))  # the input gate shut
            state = params.map_state(lambda a: a + 0.7, module.initial_state(p, 2))
            _, final, _ = module.forward(p, np.random.default_rng(0).standard_normal((6, 2, 3)), state)
            memory = final.c if cell == "lstm" else final
            np.testing.assert_allclose(memory, 0.7 * kept, atol=1e-12)


@cells
@schemes
def test_seeds_generators_dtypes_and_halves(cell, scheme):
    make = INITIALISERS[cell]
    reference = make(5, D, H, np.float64, scheme=scheme)
    rng = np.random.default_rng(5)
    from_generator, next_one = make(rng, D, H, np.float64, scheme=scheme), make(rng, D, H, np.float64, scheme=scheme)
    single, other = make(5, D, H, scheme=scheme), make(6, D, H, np.float64, scheme=scheme)
    for name, value in reference._asdict().items():
        np.testing.assert_array_equal(getattr(make(5, D, H, np.float64, scheme=scheme), name), value)
        np.testing.assert_array_equal(getattr(from_generator, name), value)
        assert isinstance(value, np.ndarray)
        assert value.dtype == np.float64
        assert getattr(single, name).dtype == np.float32
        # Forget biases are added after rounding.
        np.testing.assert_array_max_ulp(getattr(single, name), value.astype(np.float32), maxulp=1)
        assert value.flags.writeable
        assert value.flags.c_contiguous
        if value.ndim == 2:
            for different in (other, next_one):
                assert (getattr(different, name) != value).all()
    for half in (readable, fast):
        if cell in half.cells.CELLS:
            drawn = half.cells.CELLS[cell].init(5, D, H, np.float64, scheme=scheme)
            assert type(drawn) is type(reference)
            for a, b in zip(drawn, reference):
                np.testing.assert_array_equal(a, b)


@cells
def test_wrong_schemes_and_sizes_are_named(cell):
    make = INITIALISERS[cell]
    with pytest.raises(ValueError, match="unknown scheme 'xavier'; expected one of orthogonal, glorot, uniform"):
        make(0, D, H, scheme="xavier")
    for sizes in ((0, 4), (4, 0), (-1, 4)):
        with pytest.raises(ValueError, match=rf"must be at least 1, got {sizes[0]} and {sizes[1]}"):
            make(0, *sizes)
    with pytest.raises(ValueError, match="unknown scheme 'xavier' of Recurrent; expected one of orthogonal"):
        Recurrent(cell, scheme="xavier")


# ---------------------------------------------------------------- layers of networks


def test_dense_and_convolution_are_glorot_uniform_with_zero_biases():
    K, O = 5, 12
    dense = [params.init_dense(seed, D, O, np.float64) for seed in SEEDS]
    assert_uniform([p.W for p in dense], np.sqrt(6 / (D + O)))
    convolution = [params.init_convolution(seed, K, D, O, np.float64) for seed in SEEDS]
    W = np.stack([p.W for p in convolution])
    assert W.shape[1:] == (K, D, O)
    for k in range(K):
        assert_uniform(W[:, k], np.sqrt(6 / (K * D + K * O)))
    assert_independent(W[:, :-1], W[:, 1:])
    for p in (*dense, *convolution):
        assert p.b.shape == (O,)
        assert not p.b.any()


def test_embeddings_are_uniform_with_rows_of_length_one():
    """Of variance 1/size, so that the squared length of a row is 1 on average."""
    V, size = 30, 20
    x = np.stack([params.init_embedding(seed, V, size, np.float64).E for seed in SEEDS]) * np.sqrt(size)
    assert x.shape[1:] == (V, size)
    assert_uniform(x, np.sqrt(3))
    assert_mean((x**2).mean(axis=-1), 1, np.sqrt(4 / 5 / size))  # squared lengths of rows
    assert_independent(x[:, :-1], x[:, 1:])


@schemes
@cells
def test_a_recurrent_layer_takes_its_scheme_and_draws_each_direction_anew(cell, scheme):
    layer = Recurrent(cell, H, bidirectional=True, learn_initial_state=True, scheme=scheme)
    weights, initial = params.init_recurrent(4, layer, D, np.float64)
    rng = np.random.default_rng(4)
    for direction in weights:  # forward first
        for a, b in zip(direction, INITIALISERS[cell](rng, D, H, np.float64, scheme=scheme)):
            np.testing.assert_array_equal(a, b)
    assert (weights.forward.Wx != weights.backward.Wx).all()
    for state in initial:
        for part in params.state_parts(state):
            assert part.shape == (H,)
            assert part.dtype == np.float64
            assert not part.any()


def test_a_network_draws_layer_after_layer_from_one_generator():
    network = Network((Embedding(9, 4), Convolution(5), LayerNorm(), Dense(3), Recurrent("gru", 2)), 6)
    p = readable.network.init(1, network, None, np.float64)
    rng = np.random.default_rng(1)
    expected = [
        params.init_embedding(rng, 9, 4, np.float64),
        params.init_convolution(rng, 3, 4, 5, np.float64),
        (np.ones(5), np.zeros(5)),
        params.init_dense(rng, 5, 3, np.float64),
        params.init_recurrent(rng, network.layers[4], 3, np.float64).weights,
        params.init_dense(rng, 2, 6, np.float64),
    ]
    found = [*p.layers[:4], p.layers[4].weights, p.head]
    for ours, theirs in zip(found, expected):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == np.float64
    for ours, theirs in zip(readable.network.init(1, network, None).layers[0], p.layers[0]):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs.astype(np.float32))
