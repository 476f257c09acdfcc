"""Properties of every cell and of any network, attention and encoder-decoder, at shapes, lengths and values drawn.

What is tested is written once, for a `Problem`: inputs by name, a cotangent for each output, forward and backward.
Cells are taken from the library's dictionary, so that a new one is tested as soon as it stands there.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any

import jax
import numpy as np
import parity
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirnn import fast, readable
from minirnn.params import (
    ATTENTIONS,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    EncoderDecoder,
    LayerNorm,
    Network,
    Recurrent,
    Residual,
    map_state,
    state_parts,
)
from minirnn.readable import seq2seq
from minirnn.readable.cells import CELLS

# The same examples at every run and on every machine, whatever the load; nothing is stored.
STEADY = settings(
    derandomize=True, database=None, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
JUNK = st.sampled_from([np.nan, np.inf, -np.inf, 1e30])  # the last one overflows in float32 as soon as it is squared
SYMBOLS = 6  # size of every vocabulary
tree_map, leaves = jax.tree.map, jax.tree.leaves


# ---------------------------------------------------------------- problems


@dataclasses.dataclass
class Problem:
    """Inputs and cotangents by name. Subclasses say which axis is the batch, which is time, and what is padding."""

    inputs: dict[str, Any]
    cotangents: dict[str, Any]  # one for each output
    static: dict[str, Any]  # what has no batch and no gradient: descriptions, options

    batch = types.MappingProxyType({})  # name -> axis; what is not here belongs to all sequences
    time = types.MappingProxyType({})  # name -> axis
    lengths = types.MappingProxyType({})  # name of an array -> name of its lengths

    def forward(self):
        """-> outputs by name, cache."""
        raise NotImplementedError

    def backward(self, cache):
        """-> gradients by name of the input."""
        raise NotImplementedError

    def results(self, **changes):
        """Outputs, and gradients as ``d<input>``."""
        problem = dataclasses.replace(self, **changes)
        outputs, cache = problem.forward()
        return {**outputs, **{f"d{name}": d for name, d in problem.backward(cache).items()}}

    @property
    def size(self):
        """B."""
        name = next(name for name in self.inputs if name in self.batch and leaves(self.inputs[name]))
        return leaves(self.inputs[name])[0].shape[self.batch[name]]

    def padding(self, name):
        """True where an array holds padding, broadcast against it; None where nothing is."""
        length = self.inputs.get(self.lengths.get(name, ""))
        if length is None:
            return None
        array = {**self.inputs, **self.cotangents}[name]
        outside = np.arange(len(array))[:, None] >= length
        return outside.reshape(outside.shape + (1,) * (array.ndim - 2))

    def with_padding(self, junk):
        """The same problem with ``junk`` in the padding of inputs and cotangents."""

        def fill(name, array):
            outside = self.padding(name)
            if outside is None:
                return array
            if array.dtype.kind in "iu":  # a symbol that no vocabulary has
                return np.where(outside, -7, array)
            return np.where(outside, array.dtype.type(junk), array)

        return self.each(fill)

    def rows(self, index):
        """Some sequences of the batch, in this order."""

        def take(name, tree):
            name = name.removeprefix("d")
            return tree_map(lambda a: a.take(index, self.batch[name]), tree) if name in self.batch else tree

        return self.each(take)

    def each(self, function):
        inputs, cotangents = (
            {name: function(name, value) for name, value in part.items()} for part in (self.inputs, self.cotangents)
        )
        return dataclasses.replace(self, inputs=inputs, cotangents=cotangents)

    def longer(self, steps, junk):
        """The same sequences with steps of padding at the end."""
        problem = self.each(lambda name, a: a)
        for name, length in {self.lengths[n]: n for n in self.lengths}.items():
            if problem.inputs[name] is None:
                array = {**self.inputs, **self.cotangents}[length]
                problem.inputs[name] = np.full(self.size, array.shape[self.time[length]])

        def grow(name, array):
            if name not in self.time or array is None:
                return array
            widths = [(0, 0)] * array.ndim
            widths[self.time[name]] = (0, steps)
            return np.pad(array, widths)

        return problem.each(grow).with_padding(junk)

    def axis_of(self, name, axes):
        """The axis of a result: gradients have the axes of their inputs."""
        return axes.get(name, axes.get(name[1:]) if name.startswith("d") else None)


class CellProblem(Problem):
    batch = types.MappingProxyType({"xs": 1, "state": 0, "lengths": 0, "scale": 0, "ys": 1, "final": 0})
    time = types.MappingProxyType({"xs": 0, "ys": 0})
    lengths = types.MappingProxyType({"xs": "lengths", "ys": "lengths"})

    @property
    def options(self):
        scale = self.inputs["scale"]
        return {**self.static["options"], **({} if scale is None else {"recurrent_scale": scale})}

    def forward(self):
        i = self.inputs
        ys, final, cache = self.static["module"].forward(i["params"], i["xs"], i["state"], i["lengths"], **self.options)
        return {"ys": ys, "final": final}, cache

    def backward(self, cache):
        gradients = self.static["module"].backward(self.cotangents["ys"], self.cotangents["final"], cache)
        return dict(zip(("params", "xs", "state"), gradients))


class NetworkProblem(Problem):
    @property
    def batch(self):
        steps = self.static["network"].read == "steps"
        return {"xs": 1, "state": 0, "lengths": 0, "outputs": int(steps), "final": 0}

    @property
    def time(self):
        return {"xs": 0, "outputs": 0} if self.static["network"].read == "steps" else {"xs": 0}

    @property
    def lengths(self):
        return dict.fromkeys(self.time, "lengths")

    def forward(self):
        i = self.inputs
        outputs, final, cache = readable.network.forward(
            self.static["network"], i["params"], i["xs"], i["state"], i["lengths"], self.static["key"]
        )
        return {"outputs": outputs, "final": final}, cache

    def backward(self, cache):
        gradients = readable.network.backward(self.cotangents["outputs"], self.cotangents["final"], cache)
        return dict(zip(("params", "xs", "state"), gradients))


class AttentionProblem(Problem):
    batch = types.MappingProxyType({"queries": 1, "keys": 1, "values": 1, "mask": 1, "context": 1, "weights": 1})
    time = types.MappingProxyType({"keys": 0, "values": 0, "mask": 0, "weights": 2})  # of the keys

    def padding(self, name):
        mask = self.inputs["mask"]
        if mask is None:
            return None
        return {"keys": ~mask[:, :, None], "values": ~mask[:, :, None], "weights": ~mask.T}.get(name)

    def longer(self, steps, junk):
        inputs = dict(self.inputs)
        if inputs["mask"] is None:
            inputs["mask"] = np.full(inputs["keys"].shape[:2], True)
        return super(AttentionProblem, dataclasses.replace(self, inputs=inputs)).longer(steps, junk)

    def forward(self):
        context, weights, cache = readable.attention.forward(*self.inputs.values())
        return {"context": context, "weights": weights}, cache

    def backward(self, cache):
        gradients = readable.attention.backward(*self.cotangents.values(), cache)
        return dict(zip(("params", "queries", "keys", "values"), gradients))


class EncoderDecoderProblem(Problem):
    batch = types.MappingProxyType(
        {"source": 1, "source_lengths": 0, "target": 1, "target_lengths": 0, "forced": 1, "logits": 1}
    )
    time = types.MappingProxyType({"source": 0, "target": 0, "forced": 0, "logits": 0})
    lengths = types.MappingProxyType(
        {"source": "source_lengths", "target": "target_lengths", "logits": "target_lengths"}
    )

    def forward(self):
        logits, cache = seq2seq.forward(self.static["description"], *self.inputs.values())
        return {"logits": logits}, cache

    def backward(self, cache):
        return {"params": seq2seq.backward(self.cotangents["logits"], cache)}


# ---------------------------------------------------------------- drawing them

sizes, steps_up_to_5 = st.integers(1, 4), st.integers(0, 5)
seeds = st.integers(0, 99)  # hypothesis mixes in larger integers that it finds in imported files: other files, others
dtypes = st.sampled_from([np.float32, np.float64])


def numbers(seed, dtype):
    """A function that fills a tree of arrays, and one shape, with normal numbers."""
    rng = np.random.default_rng(seed)

    def one(a):  # weights of scale 1 / sqrt(rows), so that nothing becomes chaotic
        return (rng.standard_normal(np.shape(a)) / np.sqrt(max(1, len(a) if np.ndim(a) == 2 else 1))).astype(dtype)

    return lambda tree: tree_map(one, tree), lambda *shape: rng.standard_normal(shape).astype(dtype)


def lengths_of(T, B):
    return st.lists(st.integers(0, T), min_size=B, max_size=B).map(np.array)


@st.composite
def cell_problems(draw, cell, dtype=dtypes, T=steps_up_to_5, B=sizes, D=sizes, H=sizes, lengths=None):
    module, dtype, T, B, D, H = CELLS[cell], draw(dtype), draw(T), draw(B), draw(D), draw(H)
    fill, array = numbers(draw(seeds), dtype)
    params = fill(module.init(0, D, H, dtype))
    state = module.initial_state(params, B)
    scale = None
    if hasattr(params, "Wh") and draw(st.booleans()):
        scale = array(B, H)
    options = {"activation": draw(st.sampled_from(["tanh", "relu", "sigmoid"]))} if cell == "rnn" else {}
    inputs = {
        "params": params,
        "xs": array(T, B, D),
        "state": fill(state),
        "lengths": draw(st.none() | lengths_of(T, B) if lengths is None else lengths(T, B)),
        "scale": scale,
    }
    cotangents = {"ys": array(T, B, H), "final": fill(state)}
    return CellProblem(inputs, cotangents, {"module": module, "options": options})


@st.composite
def layers_of(draw, width, causal, most, inside=False):
    """A tuple of layers that read ``width`` features."""
    layers = []
    for _ in range(draw(st.integers(0, most))):
        # "same" and "causal" convolutions, and two directions, look beyond the end of a window.
        kinds = ["recurrent", "recurrent", "dropout", "norm", "dense"] + ["convolution"] * (not causal)
        match draw(st.sampled_from(kinds + ["residual"] * (not inside))):
            case "recurrent":
                cell = draw(st.sampled_from(sorted(CELLS)))
                both = not causal and draw(st.booleans())
                options = {"activation": draw(st.sampled_from(["tanh", "relu"]))} if cell == "rnn" else {}
                if "min" not in cell:
                    options["recurrent_dropout"] = draw(st.sampled_from([0.0, 0.3]))
                merge = draw(st.sampled_from(["concat", "sum", "mean"])) if both else "concat"
                layer = Recurrent(cell, draw(sizes), both, merge, learn_initial_state=draw(st.booleans()), **options)
            case "dropout":
                layer = Dropout(draw(st.sampled_from([0.0, 0.4])))
            case "norm":
                layer = LayerNorm(0.1)  # a small epsilon would blow up rounding where the features hardly differ
            case "dense":
                layer = Dense(draw(sizes), draw(st.sampled_from(["identity", "tanh", "relu", "sigmoid"])))
            case "convolution":
                layer = Convolution(
                    draw(sizes), draw(st.integers(1, 4)), draw(st.sampled_from(["causal", "same"])), "tanh"
                )
            case "residual":
                within = draw(layers_of(width, causal, 2, inside=True))
                layer = Residual((*within, Dense(width)))
        layers.append(layer)
        width = layer.width(width)
    return tuple(layers)


@st.composite
def network_problems(
    draw, dtype=dtypes, T=steps_up_to_5, B=sizes, D=sizes, lengths=None, causal=False, key=None, given_state=None
):
    dtype, T, B, D = draw(dtype), draw(T), draw(B), draw(D)
    fill, array = numbers(draw(seeds), dtype)
    symbols = draw(st.booleans())
    layers = ((Embedding(SYMBOLS, D),) if symbols else ()) + draw(layers_of(D, causal, 3))
    if not causal and draw(st.booleans()):  # reads what comes after a step: hands gradients back into the padding
        layers += (Convolution(draw(sizes), 3, "same", "tanh"),)
    read = "steps" if causal else draw(st.sampled_from(["last", "mean", "steps"]))
    network = Network(layers, draw(sizes), read)
    params = fill(readable.network.init(0, network, None if symbols else D, dtype))
    xs = np.random.default_rng(draw(seeds)).integers(0, SYMBOLS, (T, B)) if symbols else array(T, B, D)
    lengths = draw(st.none() | lengths_of(T, B) if lengths is None else lengths(T, B))
    outputs, state, _ = readable.network.forward(network, params, xs)
    inputs = {
        "params": params,
        "xs": xs,
        "state": fill(state) if draw(st.booleans() if given_state is None else given_state) else None,
        "lengths": lengths,
    }
    cotangents = {"outputs": fill(outputs), "final": fill(state)}
    drawn = draw(st.sampled_from([None, 7]) if key is None else key)
    return NetworkProblem(inputs, cotangents, {"network": network, "key": drawn})


@st.composite
def attention_problems(draw, dtype=dtypes, T=steps_up_to_5, B=sizes, S=steps_up_to_5, Q=sizes, lengths=None):
    dtype, T, B, S, Q = draw(dtype), draw(T), draw(B), draw(S), draw(Q)
    kind, K, V = draw(st.sampled_from(ATTENTIONS)), draw(sizes), draw(sizes)
    K = Q if kind == "dot" else K
    fill, array = numbers(draw(seeds), dtype)
    params = fill(readable.attention.init(0, kind, Q, K, draw(sizes) if kind == "additive" else None, dtype))
    some = st.lists(st.booleans(), min_size=S * B, max_size=S * B).map(lambda m: np.array(m, bool).reshape(S, B))
    mask = draw(st.none() | some if lengths is None else some)
    inputs = {
        "params": params,
        "queries": array(T, B, Q),
        "keys": array(S, B, K),
        "values": array(S, B, V),
        "mask": mask,
    }
    return AttentionProblem(inputs, {"context": array(T, B, V), "weights": array(T, B, S)}, {})


@st.composite
def encoder_decoder_problems(draw, dtype=dtypes, T=steps_up_to_5, B=sizes, S=steps_up_to_5, H=sizes, lengths=None):
    dtype, T, B, S, H = draw(dtype), draw(T), draw(B), draw(S), draw(H)
    both = draw(st.booleans())
    description = EncoderDecoder(
        SYMBOLS,
        SYMBOLS,
        draw(st.sampled_from(sorted(CELLS))),
        hidden_size=H,
        embedding_size=draw(sizes),
        num_layers=draw(st.integers(1, 2)),
        bidirectional=both,
        bridge=both or draw(st.booleans()),
        attention=draw(st.sampled_from([None, "bilinear", "additive"] + ["dot"] * (not both))),
    )
    fill, array = numbers(draw(seeds), dtype)
    rng = np.random.default_rng(draw(seeds))
    drawn = (lambda T: st.none() | lengths_of(T, B)) if lengths is None else (lambda T: lengths(T, B))
    inputs = {
        "params": fill(seq2seq.init(0, description, dtype)),
        "source": rng.integers(0, SYMBOLS, (S, B)),
        "source_lengths": draw(drawn(S)),
        "target": rng.integers(0, SYMBOLS, (T, B)),
        "target_lengths": draw(drawn(T)),
        "forced": rng.random((T, B)) < 0.7 if draw(st.booleans()) else None,
    }
    return EncoderDecoderProblem(inputs, {"logits": array(T, B, SYMBOLS)}, {"description": description})


STRATEGIES = {
    **{cell: functools.partial(cell_problems, cell) for cell in CELLS},
    "network": network_problems,
    "attention": attention_problems,
    "seq2seq": encoder_decoder_problems,
}
FLOAT64 = st.just(np.float64)
every = pytest.mark.parametrize("kind", STRATEGIES)
each_cell = pytest.mark.parametrize("cell", CELLS)


def drawn(data, kind, **choices):
    """A problem of a kind. Networks and encoder-decoders come in many forms: more of them are drawn."""
    return data.draw(STRATEGIES[kind](**choices))


def by_path(tree):
    """The arrays of a tree by name; what is not an array (a cell in a cache, a description) is left out."""
    found = {jax.tree_util.keystr(path): a for path, a in jax.tree_util.tree_leaves_with_path(tree)}
    return {name: a for name, a in found.items() if isinstance(a, np.ndarray)}


def assert_same(actual, expected):
    """Equal to the bit; NaN equals NaN."""
    actual, expected = by_path(actual), by_path(expected)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype, name
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def assert_close(actual, expected, bound=1e-10):
    """Equal to rounding: the largest difference of each array against its largest entry, or 1."""
    actual, expected = by_path(actual), by_path(expected)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        if value.size:
            error = np.abs(actual[name] - value).max() / max(1, np.abs(value).max())
            assert error <= bound, f"{name}: {error:.3g}"


def add(*trees):
    return tree_map(lambda *arrays: sum(arrays[1:], arrays[0]), *trees)


# ---------------------------------------------------------------- what holds for all


@every
@STEADY
@given(data=st.data(), junk=JUNK)
def test_what_the_padding_holds_changes_nothing(kind, data, junk):
    problem = drawn(data, kind, lengths=lengths_of)
    results = problem.with_padding(junk).results()
    assert_same(results, problem.with_padding(0).results())
    for name, value in results.items():  # and padding is zero in every output and gradient
        outside = problem.padding(name) if name in problem.cotangents else problem.padding(name[1:])
        if outside is not None and value is not None:
            assert not np.where(outside, value, 0).any(), name


@every
@STEADY
@given(data=st.data())
def test_a_sequence_alone_gives_what_it_gives_among_others(kind, data):
    problem = drawn(data, kind, dtype=FLOAT64, **({"key": st.none()} if kind == "network" else {}))
    whole = problem.results()
    alone = [problem.rows([b]).results() for b in range(problem.size)]
    for name, value in whole.items():
        axis = problem.axis_of(name, problem.batch)
        parts = [one[name] for one in alone]
        if axis is None:  # gradients with respect to weights add up
            assert_close(add(*parts), value)
        else:
            assert_close(tree_map(lambda *arrays: np.concatenate(arrays, axis), *parts), value)


@every
@STEADY
@given(data=st.data())
def test_the_order_of_the_batch_does_not_matter(kind, data):
    choices = {"dtype": FLOAT64, "B": st.integers(2, 5)} | ({"key": st.none()} if kind == "network" else {})
    problem = drawn(data, kind, **choices)
    order = data.draw(st.permutations(range(problem.size)))
    expected = {}
    for name, value in problem.results().items():
        axis = problem.axis_of(name, problem.batch)
        expected[name] = value if axis is None else tree_map(lambda a: a.take(order, axis), value)
    assert_close(problem.rows(order).results(), expected)


@every
@STEADY
@given(data=st.data(), steps=st.integers(1, 3), junk=JUNK)
def test_steps_of_padding_at_the_end_change_nothing(kind, data, steps, junk):
    """Dropout's masks and recurrent scales are drawn for a sequence, not for a step: they stay as well."""
    problem = drawn(data, kind, dtype=FLOAT64)
    cut = {}
    for name, value in problem.longer(steps, junk).results().items():
        axis = problem.axis_of(name, problem.time)
        if axis is not None and value is not None:
            T = value.shape[axis] - steps
            assert not np.take(value, range(T, T + steps), axis).any()
            value = np.take(value, range(T), axis)
        cut[name] = value
    assert_close(cut, problem.results())


@every
@STEADY
@given(data=st.data(), factors=st.tuples(*[st.integers(-3, 3)] * 2))
def test_backward_is_linear_in_the_cotangents(kind, data, factors):
    problem = drawn(data, kind, dtype=FLOAT64)
    fill, _ = numbers(data.draw(seeds), np.float64)
    u, v = problem.cotangents, fill(problem.cotangents)
    _, cache = problem.forward()
    combine = functools.partial(tree_map, lambda a, b: factors[0] * a + factors[1] * b)
    of = lambda cotangents: dataclasses.replace(problem, cotangents=cotangents).backward(cache)  # noqa: E731
    assert_close(of(combine(u, v)), combine(of(u), of(v)))


@every
@STEADY
@given(data=st.data())
def test_nothing_that_is_passed_is_written_to(kind, data):
    problem = drawn(data, kind)
    freeze = lambda tree: {name: (a.tobytes(), a.shape) for name, a in by_path(tree).items()}  # noqa: E731
    inputs, cotangents = freeze(problem.inputs), freeze(problem.cotangents)
    outputs, cache = problem.forward()
    before = freeze(cache)
    assert before  # arrays were found in it
    gradients = problem.backward(cache)
    assert_same(problem.backward(cache), gradients)
    assert_same(problem.forward()[0], outputs)
    assert freeze(problem.inputs) == inputs
    assert freeze(problem.cotangents) == cotangents
    assert freeze(cache) == before


@every
@STEADY
@given(data=st.data())
def test_dtypes_and_shapes_are_kept(kind, data):
    """float32 in, float32 out; a gradient has the shape of what it belongs to, a result that of its cotangent."""
    problem = drawn(data, kind)
    results = problem.results()
    dtype = leaves(problem.cotangents)[0].dtype
    for name, value in results.items():
        assert {a.dtype for a in leaves(value)} <= {dtype}, name
        if name in problem.cotangents:
            like = problem.cotangents[name]
        else:
            like = problem.inputs[name[1:]]
            if like is None:  # no state was given
                like = problem.cotangents["final"]
            elif value is None:
                assert like.dtype.kind == "i"  # symbols have no gradient
                continue
        assert jax.tree.structure(value) == jax.tree.structure(like), name
        assert [a.shape for a in leaves(value)] == [a.shape for a in leaves(like)], name


def assert_apart(results, others):
    for name, a in by_path(results).items():
        for other, b in by_path(others).items():
            assert not np.shares_memory(a, b), f"{name} shares memory with {other}"


@every
@STEADY
@given(data=st.data())
def test_results_are_the_callers_own(kind, data):
    """Writing into them changes no input, no cache, and so no later backward pass."""
    problem = drawn(data, kind)
    outputs, cache = problem.forward()
    gradients, again = problem.backward(cache), problem.backward(cache)
    passed = {"inputs": problem.inputs, "cotangents": problem.cotangents}
    assert_apart(outputs, passed)
    assert_apart(gradients, {**passed, "cache": cache})
    for a in leaves((outputs, gradients)):
        a[...] = np.nan
    assert_same(problem.backward(cache), again)


SMALLEST = {"network": "TBD", "attention": "TBSQ", "seq2seq": "TBSH", **dict.fromkeys(CELLS, "TBDH")}


@pytest.mark.parametrize(
    ("kind", "size"),
    [(kind, size) for kind, names in SMALLEST.items() for size in [*({n: 1} for n in names), dict.fromkeys(names, 1)]]
    + [(kind, {name: 0}) for kind, names in SMALLEST.items() for name in "TS" if name in names],
)
@settings(STEADY, max_examples=5)
@given(data=st.data())
def test_the_smallest_sizes(kind, size, data):
    """The derivative of all results along one direction, by complex step, is what the gradients say."""
    problem = drawn(data, kind, dtype=FLOAT64, **{name: st.just(value) for name, value in size.items()})
    gradients = problem.backward(problem.forward()[1])
    fill, _ = numbers(data.draw(seeds), np.float64)
    wanted = {name: d for name, d in gradients.items() if d is not None and problem.inputs[name] is not None}
    along = fill(wanted)
    moved = {
        name: tree_map(lambda a, v: a + 1j * parity.STEP * v, problem.inputs[name], v) for name, v in along.items()
    }
    outputs, _ = dataclasses.replace(problem, inputs={**problem.inputs, **moved}).forward()
    product = lambda a, b: sum(np.sum(x * y) for x, y in zip(leaves(a), leaves(b)))  # noqa: E731
    exact = product(tree_map(lambda a: np.imag(a) / parity.STEP, outputs), problem.cotangents)
    np.testing.assert_allclose(product(wanted, along), exact, rtol=1e-11, atol=1e-11)


# ---------------------------------------------------------------- cells and networks: states


def cut(problem, k):
    """The first k steps and the others. Lengths are divided, cotangents of the outputs too."""
    first, second = (
        problem.each(lambda name, a: a[steps] if name in problem.time else a) for steps in (slice(k), slice(k, None))
    )
    lengths = problem.inputs["lengths"]
    if lengths is not None:
        first.inputs["lengths"], second.inputs["lengths"] = np.minimum(lengths, k), np.maximum(lengths - k, 0)
    return first, second


@pytest.mark.parametrize("kind", [*CELLS, "network"])
@STEADY
@given(data=st.data())
def test_a_sequence_cut_in_two_with_the_state_carried_is_the_whole(kind, data):
    """Outputs, final state, and gradients with dstate handed back. Dropout's masks are those of the whole."""
    choices = {"causal": True, "given_state": st.just(True)} if kind == "network" else {}
    problem = drawn(data, kind, dtype=FLOAT64, **choices)
    whole = problem.results()
    k = data.draw(st.integers(0, len(problem.inputs["xs"])))
    first, second = cut(problem, k)
    outputs1, cache1 = first.forward()
    second.inputs["state"] = outputs1["final"]
    outputs2, cache2 = second.forward()
    d2 = second.backward(cache2)
    first.cotangents["final"] = d2["state"]
    d1 = first.backward(cache1)
    name = "outputs" if kind == "network" else "ys"
    ours = {
        name: np.concatenate([outputs1[name], outputs2[name]]),
        "final": outputs2["final"],
        "dparams": add(d1["params"], d2["params"]),
        "dxs": None if d1["xs"] is None else np.concatenate([d1["xs"], d2["xs"]]),
        "dstate": d1["state"],
    }
    assert_close(ours, whole)


@pytest.mark.parametrize("kind", [*CELLS, "network"])
@STEADY
@given(data=st.data(), junk=JUNK)
def test_sequences_of_length_zero_return_their_state_and_hand_its_gradient_through(kind, data, junk):
    """To the bit, whatever the state and its cotangent hold; the sequences beside them do not notice."""
    choices = {"given_state": st.just(True)} if kind == "network" else {}
    problem = drawn(data, kind, lengths=lengths_of, **choices)
    empty = problem.inputs["lengths"] == 0
    spoil = lambda tree: tree_map(lambda a: np.where(empty[:, None], a.dtype.type(junk), a), tree)  # noqa: E731
    expected, spoiled = (
        problem.results(),
        dataclasses.replace(
            problem,
            inputs={**problem.inputs, "state": spoil(problem.inputs["state"])},
            cotangents={**problem.cotangents, "final": spoil(problem.cotangents["final"])},
        ),
    )
    results = spoiled.results()
    for name in ("final", "dstate"):
        expected[name] = spoil(expected[name])
    assert_same(results, expected)
    rows = lambda tree: tree_map(lambda a: a[empty], tree)  # noqa: E731
    assert_same(rows(results["final"]), rows(spoiled.inputs["state"]))
    assert_same(rows(results["dstate"]), rows(spoiled.cotangents["final"]))
    if results["dxs"] is not None:
        assert not results["dxs"][:, empty].any()
    if kind == "network":
        read = problem.static["network"].read
        seen = results["outputs"][:, empty] if read == "steps" else results["outputs"][empty]
        bias = 0 if read == "steps" else problem.inputs["params"].head.b  # nothing was read: the head sees zeros
        np.testing.assert_array_equal(seen, np.broadcast_to(bias, seen.shape))
    else:
        assert not results["ys"][:, empty].any()
    if empty.all() and kind != "network":
        assert not any(a.any() for a in leaves(results["dparams"]))


@each_cell
@STEADY
@given(data=st.data())
def test_a_sequence_is_its_steps(cell, data):
    """And a step's results are the caller's own, too."""
    problem = drawn(data, cell, dtype=FLOAT64, lengths=lambda T, B: st.none())
    problem.inputs["scale"] = None
    module, (params, xs, state, *_), options = problem.static["module"], problem.inputs.values(), problem.options
    ys, caches = [], []
    for x in xs:
        y, after, cache = module.step(params, x, state, **options)
        ys.append(y.copy())
        caches.append(cache)
        assert_apart([y], {"inputs": (params, x, state), "cache": cache, "after": after})
        assert_apart([after], {"inputs": (params, x, state), "cache": cache})
        state = map_state(np.copy, after)
        for a in (y, *state_parts(after)):
            a[...] = np.nan
    dys, dstate = problem.cotangents.values()
    dparams, dxs = tree_map(np.zeros_like, params), np.zeros_like(xs)
    final = state
    for t in reversed(range(len(xs))):
        dwindow, dxs[t], dstate = module.step_backward(dys[t], dstate, caches[t])
        dparams = add(dparams, dwindow)
    ys = np.array(ys).reshape(dys.shape)
    assert_close({"ys": ys, "final": final, "dparams": dparams, "dxs": dxs, "dstate": dstate}, problem.results())


@each_cell
@STEADY
@given(data=st.data(), junk=JUNK)
def test_gates_and_their_gradients_do_not_see_padding(cell, data, junk):
    problem = drawn(data, cell, lengths=lengths_of)
    module, seen = problem.static["module"], []
    for p in (problem.with_padding(junk), problem.with_padding(0)):
        i = p.inputs
        values = module.gates(i["params"], i["xs"], i["state"], i["lengths"], **p.static["options"])
        gradients = module.gate_gradients(*p.cotangents.values(), p.forward()[1])
        assert_apart([values, gradients], {"inputs": p.inputs, "cotangents": p.cotangents})
        for a in (*values, *gradients):
            assert a.shape == p.cotangents["ys"].shape
            assert a.dtype == i["xs"].dtype
            assert not np.where(p.padding("xs"), a, 0).any()
        seen.append((values, gradients))
    assert_same(*seen)


@STEADY
@given(data=st.data(), window=st.integers(1, 6), unsigned=st.sampled_from([np.uint8, np.uint64]))
def test_the_window_changes_gradients_but_neither_loss_nor_state(data, window, unsigned):
    """Whatever integers the lengths are."""
    problem = data.draw(network_problems(FLOAT64, st.integers(1, 6), causal=True, key=st.none(), lengths=lengths_of))
    i, target = problem.inputs, problem.cotangents["outputs"]
    loss = lambda outputs, target: ((outputs * target).sum(), target)  # noqa: E731
    run = lambda window, lengths: readable.truncated.gradient(  # noqa: E731
        problem.static["network"], i["params"], i["xs"], (target,), loss, window, i["state"], lengths
    )
    outputs, cache = problem.forward()
    none = tree_map(np.zeros_like, problem.cotangents["final"])
    whole = dataclasses.replace(problem, cotangents={"outputs": target, "final": none}).backward(cache)["params"]
    expected = {"loss": np.array((outputs["outputs"] * target).sum()), "state": outputs["final"]}
    value, dparams, state = run(window, i["lengths"])
    assert_close({"loss": np.array(value), "state": state}, expected)
    if window >= len(i["xs"]):
        assert_close(dparams, whole)
    assert_same(run(window, i["lengths"].astype(unsigned))[1:], (dparams, state))


# ---------------------------------------------------------------- attention and encoder-decoders


@STEADY
@given(data=st.data())
def test_keys_have_no_order(data):
    """Weights move with the keys and the context stays; the weights of real keys are positive and add up to one."""
    problem = data.draw(attention_problems(FLOAT64))
    order = data.draw(st.permutations(range(len(problem.inputs["keys"]))))
    move = lambda name, a: a if a is None else a.take(order, problem.time[name])  # noqa: E731
    moved = problem.each(lambda name, a: move(name, a) if name in problem.time else a)
    expected = problem.results()
    mask, weights = problem.inputs["mask"], expected["weights"]
    expected |= {f"d{name}": move(name, expected[f"d{name}"]) for name in ("keys", "values")}
    expected["weights"] = move("weights", weights)
    assert_close(moved.results(), expected)
    real = np.ones(weights.shape[1:], bool) if mask is None else mask.T  # (B, S)
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(real, weights.shape))
    some = np.broadcast_to(real.any(axis=-1), weights.shape[:2])
    np.testing.assert_allclose(weights.sum(axis=-1), some, rtol=1e-12)


@STEADY
@given(data=st.data())
def test_one_query_is_a_query_at_one_step(data):
    problem = data.draw(attention_problems(T=st.just(1)))
    *others, mask = problem.inputs.values()
    params, queries, keys, values = others
    context, weights, cache = readable.attention.forward(params, queries[0], keys, values, mask)
    dcontext, dweights = problem.cotangents.values()
    dparams, dquery, dkeys, dvalues = readable.attention.backward(dcontext[0], dweights[0], cache)
    gradients = {"dparams": dparams, "dqueries": dquery[None], "dkeys": dkeys, "dvalues": dvalues}
    assert_same({"context": context[None], "weights": weights[None], **gradients}, problem.results())


@STEADY
@given(data=st.data())
def test_what_is_written_does_not_depend_on_batch_mates_or_padding(data):
    """Greedy choice: each source alone, without its padding. And fed what it wrote, its choices are the likeliest."""
    problem = data.draw(encoder_decoder_problems(FLOAT64, lengths=lengths_of))
    description, (params, source, lengths, *_) = problem.static["description"], problem.inputs.values()
    noisy = np.where(np.arange(len(source))[:, None] < lengths, source, -7)
    symbols, counts, weights = seq2seq.greedy(description, params, noisy, lengths, 5)
    for b, length in enumerate(lengths):
        alone, count, attended = seq2seq.greedy(description, params, source[:length, b : b + 1], None, 5)
        np.testing.assert_array_equal(symbols[:, b], alone[:, 0])
        assert counts[b] == count[0]
        if description.attention is not None:
            np.testing.assert_allclose(weights[:, b, :length], attended[:, 0], atol=1e-12)
            assert not weights[:, b, length:].any()
    logits, _ = seq2seq.forward(
        description, params, noisy, lengths, seq2seq.decoder_inputs(description, symbols), counts
    )
    inside = np.arange(5)[:, None] < counts
    np.testing.assert_array_equal(np.where(inside, logits.argmax(axis=-1), description.pad), symbols)


# ---------------------------------------------------------------- the JAX half

# Shapes are fixed, so that each function is compiled once; lengths and values are drawn.
FIXED = {"dtype": st.just(np.float32), "T": st.just(5), "B": st.just(4), "lengths": lengths_of}


@functools.cache
def compiled(forward, *static):
    """Outputs and the gradients of all floating-point inputs, from one compilation for each set of shapes."""

    @jax.jit
    def run(inputs, symbols, cotangents):
        outputs, pullback = jax.vjp(lambda inputs: forward(*static, inputs, symbols), inputs)
        return outputs, pullback(cotangents)[0]

    return run


def fast_results(problem, forward, *static):
    """As ``problem.results()``, of the JAX half; lengths, masks and symbols are traced."""
    real = {name: all(a.dtype.kind == "f" for a in leaves(tree)) for name, tree in problem.inputs.items()}
    split = lambda wanted: {n: tree for n, tree in problem.inputs.items() if real[n] == wanted and tree is not None}  # noqa: E731
    outputs, gradients = compiled(forward, *static)(split(True), split(False), problem.cotangents)
    return tree_map(np.asarray, {**outputs, **{f"d{name}": d for name, d in gradients.items()}})


def assert_halves_agree(problem, junk, forward, *static):
    ours, theirs = problem.results(), fast_results(problem.with_padding(junk), forward, *static)
    for a in leaves(theirs):
        assert a.dtype == np.float32
    ours = {name: ours[name] for name in theirs}
    assert_close(theirs, ours, bound=3e-5)
    if problem.inputs.get("mask") is None and "lengths" in problem.inputs:
        assert_same(fast_results(problem.with_padding(0), forward, *static), theirs)


def fast_cell(cell, options, inputs, lengths):
    ys, final = fast.cells.CELLS[cell].forward(
        inputs["params"], inputs["xs"], inputs["state"], lengths["lengths"], **dict(options)
    )
    return {"ys": ys, "final": final}


@each_cell
@settings(STEADY, max_examples=10)
@given(data=st.data(), junk=JUNK)
def test_the_jax_cell_agrees_at_any_lengths(cell, data, junk):
    problem = drawn(data, cell, D=st.just(3), H=st.just(2), **FIXED)
    problem.inputs["scale"], problem.static["options"] = None, {}
    assert_halves_agree(problem, junk, fast_cell, cell, ())


NETWORKS = {
    "symbols, steps": Network(
        (
            Embedding(SYMBOLS, 3),
            Convolution(4, 3, "same"),
            Recurrent("lstm", 2, True, learn_initial_state=True),
            Residual((LayerNorm(0.1), Recurrent("gru", 4))),
        ),
        2,
        "steps",
    ),
    "numbers, mean": Network(
        (Dense(3, "tanh"), Recurrent("gru_two_state", 3, True, "mean"), Dropout(0.3), Convolution(2, 2)), 2, "mean"
    ),
    "numbers, last": Network((Recurrent("rnn", 3, True, "sum", activation="sigmoid"), LayerNorm(0.1)), 2, "last"),
}


def fast_network(network, inputs, others):
    xs = others["xs"] if "xs" in others else inputs["xs"]
    outputs, final = fast.network.forward(
        network, inputs["params"], xs, inputs["state"], others["lengths"], dropout_key=7
    )
    return {"outputs": outputs, "final": final}


@pytest.mark.parametrize("name", NETWORKS)
@settings(STEADY, max_examples=10)
@given(data=st.data(), junk=JUNK)
def test_the_jax_network_agrees_at_any_lengths(name, data, junk):
    network, (T, B, D) = NETWORKS[name], (5, 4, 3)
    symbols = isinstance(network.layers[0], Embedding)
    seed = data.draw(seeds)
    fill, array = numbers(seed, np.float32)
    params = fill(readable.network.init(0, network, None if symbols else D))
    xs = np.random.default_rng(seed).integers(0, SYMBOLS, (T, B)) if symbols else array(T, B, D)
    outputs, state, _ = readable.network.forward(network, params, xs)
    problem = NetworkProblem(
        {"params": params, "xs": xs, "state": fill(state), "lengths": data.draw(lengths_of(T, B))},
        {"outputs": fill(outputs), "final": fill(state)},
        {"network": network, "key": 7},
    )
    assert_halves_agree(problem, junk, fast_network, network)


def fast_attention(inputs, others):
    context, weights = fast.attention.forward(**inputs, mask=others["mask"])
    return {"context": context, "weights": weights}


@settings(STEADY, max_examples=30)
@given(data=st.data(), junk=JUNK)
def test_jax_attention_agrees_at_any_mask(data, junk):
    kind = data.draw(st.sampled_from(ATTENTIONS))
    fill, array = numbers(data.draw(seeds), np.float32)
    params = fill(readable.attention.init(0, kind, 3, 3))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=10, max_size=10))).reshape(5, 2)
    inputs = {"params": params, "queries": array(4, 2, 3), "keys": array(5, 2, 3), "values": array(5, 2, 1)}
    cotangents = {"context": array(4, 2, 1), "weights": array(4, 2, 5)}
    assert_halves_agree(AttentionProblem({**inputs, "mask": mask}, cotangents, {}), junk, fast_attention)


def fast_encoder_decoder(description, inputs, others):
    names = ("source", "source_lengths", "target", "target_lengths", "forced")
    return {"logits": fast.seq2seq.forward(description, inputs["params"], *(others[name] for name in names))}


@settings(STEADY, max_examples=10)
@given(data=st.data(), junk=JUNK)
def test_the_jax_encoder_decoder_agrees_at_any_lengths(data, junk):
    seed, S, T, B = data.draw(seeds), 4, 3, 2
    description = EncoderDecoder(SYMBOLS, SYMBOLS, "lstm", 3, 2, bidirectional=True, bridge=True, attention="additive")
    rng, (fill, array) = np.random.default_rng(seed), numbers(seed, np.float32)
    inputs = {
        "params": fill(seq2seq.init(0, description)),
        "source": rng.integers(0, SYMBOLS, (S, B)),
        "source_lengths": data.draw(lengths_of(S, B)),
        "target": rng.integers(0, SYMBOLS, (T, B)),
        "target_lengths": data.draw(lengths_of(T, B)),
        "forced": rng.random((T, B)) < 0.7,
    }
    problem = EncoderDecoderProblem(inputs, {"logits": array(T, B, SYMBOLS)}, {"description": description})
    assert_halves_agree(problem, junk, fast_encoder_decoder, description)
