"""The same weights in other libraries: outputs, states and gradients of theirs and of ours, under our names.

PyTorch in either precision; the JAX libraries in float32. A library is imported when it is asked for.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import parity

from minirnn import convert, fast, readable
from minirnn.bench import peers as bench_peers
from minirnn.params import INITIALISERS, DenseParams, Directions, Network, NetworkParams, Recurrent, RecurrentParams

T, B, D, H = 6, 4, 3, 5
LENGTHS = np.array([T, 1, 4, 5])
STACKED = ("rnn", "lstm", "gru")  # the cells of three layers in both directions


def random_layer(cell, rng, input_size=D, dtype=np.float32):
    """Weights of one direction, nothing zero."""
    params = INITIALISERS[cell](0, input_size, H, dtype)
    return type(params)(*(draw(rng, a) for a in params))


def random_stack(cell, rng, num_layers=3, bidirectional=True, dtype=np.float32):
    sizes = [D] + [H * (1 + bidirectional)] * (num_layers - 1)
    if not bidirectional:
        return tuple(random_layer(cell, rng, size, dtype) for size in sizes)
    return tuple(Directions(*(random_layer(cell, rng, size, dtype) for _ in range(2))) for size in sizes)


def draw(rng, like):
    """Numbers of scale 1/sqrt(H), in the shape and dtype of ``like``."""
    return (rng.standard_normal(np.shape(like)) / np.sqrt(H)).astype(like.dtype)


def tree_named(ys, dxs, dlayers):
    paths = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(dlayers)}
    return {"ys": np.asarray(ys), "dxs": np.asarray(dxs), **paths}


# ---------------------------------------------------------------- one layer of PyTorch, with initial and final states


def in_torch(cell, options=None) -> bool:
    """Whether PyTorch has the cell: not the logistic RNN, not the minimal ones."""
    return cell in STACKED and (options or {}).get("activation") != "sigmoid"


def torch_layer(torch, case: parity.Case):
    """The torch layer that computes the same."""
    D, H = case.params.Wx.shape[0], case.params.Wh.shape[0]
    if case.cell == "rnn":
        layer = torch.nn.RNN(D, H, nonlinearity=case.options.get("activation", "tanh"))
    else:
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[case.cell](D, H)
    layer = layer.to(torch.float32 if case.params.Wx.dtype == np.float32 else torch.float64)
    layer.load_state_dict({name: torch.from_numpy(a) for name, a in convert.to_torch((case.params,)).items()})
    return layer


def by_torch(case: parity.Case):
    """Outputs, final states and gradients of torch, in our names, orientation and sign of z."""
    import torch

    layer = torch_layer(torch, case)
    xs = torch.tensor(case.xs, requires_grad=True)
    state = {name: torch.tensor(a[None], requires_grad=True) for name, a in parity.named("", case.state).items()}
    start = tuple(state.values()) if case.cell == "lstm" else state["h"]
    if case.lengths is None:
        ys, final = layer(xs, start)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(case.lengths), enforce_sorted=False)
        ys, final = layer(packed, start)
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=len(case.xs))
    finals = final if case.cell == "lstm" else (final,)
    loss = (ys * torch.tensor(case.dys)).sum()
    loss = loss + sum((f[0] * torch.tensor(d)).sum() for f, d in zip(finals, parity.named("", case.dstate).values()))
    loss.backward()
    outputs = {"ys": ys.detach().numpy(), **dict(zip(state, (f[0].detach().numpy() for f in finals)))}
    theirs = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters()}
    (dparams,) = convert.from_torch(theirs, case.cell, gradients=True)
    grads = {**parity.named("", dparams), "xs": xs.grad.numpy()}
    return outputs, {**grads, **{f"state0.{name}": s.grad.numpy()[0] for name, s in state.items()}}


def torch_error(cell, options, bound, *, lengths=LENGTHS, dtype=np.float64) -> float:
    """The worst relative error of either half against torch: outputs, final states, every gradient."""
    case = parity.make_case(cell, options, T=T, B=B, D=D, H=H, dtype=dtype, ragged=False)
    case.lengths = lengths
    outputs, grads = by_torch(case)
    ys, final = parity.readable_forward(case)[:2]
    return max(
        parity.worst({"ys": ys, **parity.named("", final)}, outputs, bound),
        parity.worst(parity.by_hand(case), grads, bound),
        parity.worst(parity.by_jax(case), grads, bound),
    )


# ---------------------------------------------------------------- one layer of the JAX libraries

# (library, cell, the library's name of the layer)
JAX_LAYERS = [
    ("flax", "rnn", "SimpleCell"),
    ("flax", "lstm", "LSTMCell"),
    ("flax", "lstm", "OptimizedLSTMCell"),
    ("flax", "gru", "GRUCell"),
    ("equinox", "lstm", "LSTMCell"),
    ("equinox", "gru", "GRUCell"),
    ("haiku", "rnn", "VanillaRNN"),
    ("haiku", "lstm", "LSTM"),
    ("haiku", "gru_reset_before", "GRU"),
    ("keras", "rnn", "SimpleRNN"),
    ("keras", "lstm", "LSTM"),
    ("keras", "gru", "GRU"),
    ("keras", "gru_reset_before", "GRU before"),
]


def flax_layer(layer, activation="tanh"):
    import flax.linen as nn

    options = {"activation_fn": getattr(nn, activation)} if layer == "SimpleCell" else {}
    return nn.RNN(getattr(nn, layer)(H, **options), time_major=True)


def by_flax(layer, arrays, activation):
    module = flax_layer(layer, activation)
    return lambda arrays, xs: module.apply({"params": {"cell": arrays}}, xs)


def by_equinox(layer, arrays, activation):
    import equinox as eqx

    fresh = getattr(eqx.nn, layer)(D, H, use_bias="bias" in arrays, key=jax.random.key(0))

    def run(arrays, xs):
        cell = eqx.tree_at(lambda c: [getattr(c, name) for name in arrays], fresh, list(arrays.values()))
        first = jnp.zeros((B, H))

        def one_step(state, x):
            state = jax.vmap(cell)(x, state)
            return state, state[0] if layer == "LSTMCell" else state

        return jax.lax.scan(one_step, (first, first) if layer == "LSTMCell" else first, xs)[1]

    return run


def by_haiku(layer, arrays, activation):
    import haiku as hk

    def unroll(xs):
        core = getattr(hk, layer)(H)
        return hk.dynamic_unroll(core, xs, core.initial_state(B))[0]

    transformed = hk.transform(unroll)
    return lambda arrays, xs: transformed.apply(arrays, None, xs)


def keras_layer(layer, activation="tanh"):
    keras = bench_peers.keras_on_jax()
    options = {"reset_after": layer == "GRU"} if layer.startswith("GRU") else {"activation": activation}
    return getattr(keras.layers, layer.split()[0])(H, return_sequences=True, dtype="float32", **options)


def by_keras(layer, arrays, activation):
    module = keras_layer(layer, activation)
    module.build((B, T, D))
    assert {w.name: tuple(w.shape) for w in module.weights} == {name: a.shape for name, a in arrays.items()}

    def run(arrays, xs):
        weights = [arrays[w.name] for w in module.weights]
        ys, _ = module.stateless_call(weights, module.non_trainable_variables, xs.swapaxes(0, 1))
        return ys.swapaxes(0, 1)

    return run


RUNNERS = {"flax": by_flax, "equinox": by_equinox, "haiku": by_haiku, "keras": by_keras}


def gradients_from(library):
    """The library's converter, for gradients."""
    back = getattr(convert, f"from_{library}")
    return functools.partial(back, gradients=True) if library in ("torch", "keras", "haiku") else back


@functools.partial(jax.jit, static_argnums=(0, 1))  # compiled once for each cell, not for each library
def by_fast(cell, activation, params, xs, dys):
    options = {"activation": activation} if cell == "rnn" else {}
    ys, pullback = jax.vjp(lambda p, xs: getattr(fast, cell).forward(p, xs, **options)[0], params, xs)
    return ys, pullback(dys)


def jax_layer_error(library, cell, layer, bound, activation="tanh") -> float:
    """The worst relative error of either half against one layer of a JAX library: outputs and every gradient."""
    rng = np.random.default_rng(0)
    to, back = getattr(convert, f"to_{library}"), getattr(convert, f"from_{library}")
    # Their arrays, all of them random: where there are two biases, both of them are.
    arrays = jax.tree.map(lambda a: draw(rng, a), to(random_layer(cell, rng)))
    xs, dys = (rng.standard_normal((T, B, size), dtype=np.float32) for size in (D, H))
    ys, pullback = jax.vjp(jax.jit(RUNNERS[library](layer, arrays, activation)), arrays, xs)
    darrays, dxs = pullback(jnp.asarray(dys))
    expected = tree_named(ys, dxs, gradients_from(library)(darrays, cell))

    params = back(arrays, cell)
    outputs, (dparams, dinputs) = by_fast(cell, activation, params, xs, dys)
    error = parity.worst(tree_named(outputs, dinputs, dparams), expected, bound)
    module, options = getattr(readable, cell), {"activation": activation} if cell == "rnn" else {}
    outputs, _, cache = module.forward(params, xs, **options)
    dparams, dinputs, _ = module.backward(dys, None, cache)
    return max(error, parity.worst(tree_named(outputs, dinputs, dparams), expected, bound))


# ---------------------------------------------------------------- three layers, both directions, ragged lengths


def stack_by_torch(cell, rng, dtype, xs, dys, bias=True):
    """Outputs and gradients of torch, our layers, and the outputs with weights that have gone out again."""
    import torch

    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    precision = torch.float32 if dtype == np.float32 else torch.float64
    module = kind(D, H, num_layers=3, bidirectional=True, bias=bias, dtype=precision)
    for parameter in module.parameters():
        parameter.data = torch.tensor(draw(rng, parameter.detach().numpy()))

    def run():
        inputs = torch.tensor(xs, requires_grad=True)
        packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor(LENGTHS), enforce_sorted=False)
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0], total_length=T)
        return inputs, ys

    inputs, ys = run()
    (ys * torch.tensor(dys)).sum().backward()
    theirs = {name: p.grad.numpy() for name, p in module.named_parameters()}
    expected = tree_named(ys.detach().numpy(), inputs.grad.numpy(), convert.from_torch(theirs, cell, gradients=True))
    layers = convert.from_torch({k: v.detach().numpy() for k, v in module.state_dict().items()}, cell)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in convert.to_torch(layers, bias=bias).items()})
    return expected, layers, run()[1].detach().numpy(), theirs


def flax_stack(cell):
    import flax.linen as nn

    name = {"rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"}[cell]

    def run(arrays, xs):
        for forward, backward in arrays:
            weights = {"forward_rnn": {"cell": forward}, "backward_rnn": {"cell": backward}}
            module = nn.Bidirectional(flax_layer(name), flax_layer(name), time_major=True)
            xs = module.apply({"params": weights}, xs, seq_lengths=LENGTHS)
        return xs

    return run


def keras_stack(cell):
    keras = bench_peers.keras_on_jax()
    name = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    modules = [keras.layers.Bidirectional(keras_layer(name), dtype="float32") for _ in range(3)]
    for module, size in zip(modules, (D, 2 * H, 2 * H)):
        module.build((B, T, size))

    def run(arrays, xs):
        xs = xs.swapaxes(0, 1)
        for module, directions in zip(modules, arrays):
            layers = (module.forward_layer, module.backward_layer)
            weights = [a[w.name] for layer, a in zip(layers, directions) for w in layer.weights]
            mask = np.arange(T) < LENGTHS[:, None]  # (B, T)
            xs, _ = module.stateless_call(weights, module.non_trainable_variables, xs, mask=mask)
        return xs.swapaxes(0, 1)

    return run


def stack_by_jax_library(library, cell, rng, xs, dys):
    """The same of Keras or flax."""
    to, back = getattr(convert, f"to_{library}"), getattr(convert, f"from_{library}")
    pairs = [tuple(layer) for layer in random_stack(cell, rng)]
    arrays = [tuple(jax.tree.map(lambda a: draw(rng, a), to(params)) for params in pair) for pair in pairs]
    run = {"flax": flax_stack, "keras": keras_stack}[library](cell)

    @jax.jit
    def everything(arrays, xs):
        ys, pullback = jax.vjp(run, arrays, xs)
        return ys, *pullback(jnp.asarray(dys))

    ys, darrays, dxs = everything(arrays, xs)
    from_gradients = gradients_from(library)
    dlayers = tuple(Directions(*(from_gradients(a, cell) for a in pair)) for pair in darrays)
    layers = tuple(Directions(*(back(a, cell) for a in pair)) for pair in arrays)
    again = everything([tuple(to(params) for params in layer) for layer in layers], xs)[0]
    valid = (np.arange(T)[:, None] < LENGTHS)[:, :, None]  # what theirs give on padding is nobody's concern
    return tree_named(np.where(valid, ys, 0), dxs, dlayers), layers, np.where(valid, again, 0)


def stack_network(cell, layers):
    """Our network of such layers, under a head that changes nothing."""
    dtype = layers[0].forward.Wx.dtype
    network = Network((Recurrent(cell, H, bidirectional=True),) * 3, 2 * H, "steps")
    head = DenseParams(np.eye(2 * H, dtype=dtype), np.zeros(2 * H, dtype))
    return network, NetworkParams(tuple(RecurrentParams(layer, ()) for layer in layers), head)


def stack_by_hand(cell, layers, xs, dys):
    """Outputs, dxs and the gradient of every layer of the NumPy half."""
    network, params = stack_network(cell, layers)
    ys, _, cache = readable.network.forward(network, params, xs, lengths=LENGTHS)
    dparams, dxs, _ = readable.network.backward(dys, None, cache)
    return ys, dxs, tuple(layer.weights for layer in dparams.layers)


@functools.partial(jax.jit, static_argnums=0)  # compiled once for each cell, not for each library
def stack_by_fast(cell, layers, xs, dys):
    """The same of the JAX half."""

    def run(layers, xs):
        network, params = stack_network(cell, layers)
        return fast.network.forward(network, params, xs, lengths=LENGTHS)[0]

    ys, pullback = jax.vjp(run, layers, xs)
    dlayers, dxs = pullback(dys)
    return ys, dxs, dlayers


def stack_error(library, cell, bound, *, dtype=np.float32, bias=True) -> float:
    """The worst relative error of either half against the library's stack: outputs, dxs, the gradient of every weight.

    And the library's outputs with our weights, which its own have become on the way in and out again. What remains of
    torch's gradients on the way out, the two biases, is checked here too.
    """
    rng = np.random.default_rng(0)
    xs, dys = (rng.standard_normal((T, B, size)).astype(dtype) for size in (D, 2 * H))
    dys *= (np.arange(T)[:, None] < LENGTHS)[:, :, None]
    theirs = None
    if library == "torch":
        expected, layers, again, theirs = stack_by_torch(cell, rng, dtype, xs, dys, bias)
    else:
        expected, layers, again = stack_by_jax_library(library, cell, rng, xs, dys)
    errors = [parity.worst({"ys again": again}, {"ys again": expected["ys"]}, bound)]
    kept = [name for name in expected if bias or not name.endswith((".b", ".b_hn"))]
    for judge in (stack_by_hand, stack_by_fast):
        ys, dxs, dlayers = judge(cell, layers, xs, dys)
        found = tree_named(ys, dxs, dlayers)
        assert {a.dtype for a in found.values()} == {np.dtype(dtype)}
        errors.append(parity.worst({n: found[n] for n in kept}, {n: expected[n] for n in kept}, bound))
        if theirs is not None:
            back = convert.to_torch(dlayers)
            for name in [name for name in back if name.startswith("bias_hh")]:
                rest = (
                    slice(0, 2 * H) if cell == "gru" else slice(None)
                )  # the second bias has the gradient of the first
                back[name][rest] = back[name.replace("hh", "ih")][rest]
            errors.append(parity.worst({name: back[name] for name in theirs}, theirs, bound))
    return max(errors)
