"""The scan's own gradient: what it keeps, what that costs, and what the compiled loops contain."""

import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import parity
import pytest

from minirnn import fast
from minirnn.fast import network, platforms
from minirnn.fast.scan import _block_length, _chunk_length
from minirnn.params import Network, Recurrent, init_network, stack

POLICIES = ("states", "chunks")


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize("cell", parity.CELLS)
def test_what_is_kept_changes_no_gradient(cell, x64, monkeypatch):
    """37 steps are no multiple of a block or a chunk: the last ones are a block of their own. Lengths 0 and T."""
    case = parity.make_case(cell, T=37)
    assert 37 % _block_length(37) > 0 < 37 % _chunk_length(37)
    kept = parity.by_jax(case)
    for hoisted, save in ((False, "states"), (True, "chunks")):  # accelerators' layout with one of them
        monkeypatch.setattr(platforms, "hoists_input_product", lambda hoisted=hoisted: hoisted)
        parity.worst(parity.by_jax(parity.dataclasses.replace(case, options={"save": save})), kept, 1e-12)


@pytest.mark.parametrize("T", [1, 17, 36])
@pytest.mark.parametrize("save", POLICIES)
def test_every_number_of_steps_is_cut_into_blocks(T, save, x64):
    case = parity.make_case("gru", T=T, ragged=False)
    kept = parity.by_jax(case)
    parity.worst(parity.by_jax(parity.dataclasses.replace(case, options={"save": save})), kept, 1e-12)


def test_blocks_divide_the_steps_where_they_can():
    assert [_block_length(T) for T in (1, 16, 100, 1024, 37)] == [1, 1, 10, 64, 3]
    assert [_chunk_length(T) for T in (1, 16, 100, 1024, 37)] == [1, 4, 10, 32, 6]


def test_the_description_says_what_is_kept(rng, monkeypatch):
    """``save`` and ``products`` of a layer reach its cell, in both directions."""
    seen = []
    forward = fast.lstm.forward
    monkeypatch.setattr(fast.lstm, "forward", lambda *a, **k: seen.append(k) or forward(*a, **k))
    described = stack("lstm", 4, bidirectional=True, save="chunks", products="bfloat16")
    network.forward(described, init_network(0, described, 3), rng.standard_normal((5, 2, 3), dtype=np.float32))
    assert [(k["save"], k["products"]) for k in seen] == [("chunks", "bfloat16")] * 2


def test_unknown_policies_are_refused(rng):
    params, xs = fast.gru.init(0, 3, 4), rng.standard_normal((5, 2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="unknown save 'some'; expected one of 'all', 'states', 'chunks'"):
        fast.gru.forward(params, xs, save="some")
    with pytest.raises(ValueError, match="unknown products 'int4'"):
        fast.gru.forward(params, xs, products="int4")
    with pytest.raises(ValueError, match="unknown save 'some' of Recurrent"):
        Recurrent("gru", 4, save="some")


# ---------------------------------------------------------------- what it costs


def compiled(cell, B, T, D, H, **options):
    """The gradient of a mean of the last outputs, compiled but not run."""
    module = getattr(fast, cell)

    def loss(params, xs):
        ys, _ = module.forward(params, xs, **options)
        return (ys[-1] ** 2).mean()

    xs = jax.ShapeDtypeStruct((T, B, D), jnp.float32)
    return jax.jit(jax.grad(loss)).lower(module.init(0, D, H), xs).compile()


def peak(*arguments, **options):
    """Bytes of arguments, results and everything between, as the compiler plans them."""
    plan = compiled(*arguments, **options).memory_analysis()
    return plan.temp_size_in_bytes + plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes


def test_peak_memory_of_a_long_wide_lstm():
    shape = ("lstm", 64, 1024, 256, 256)
    plain = peak(*shape, plain=True)
    assert peak(*shape) <= 0.55 * plain
    assert peak(*shape, save="states") <= 0.32 * plain
    assert peak(*shape, save="chunks") <= 0.18 * plain


def test_memory_of_chunks_grows_with_the_root_of_the_steps():
    """Beyond inputs, outputs and the gradient of the outputs, which are there in any case."""
    grown = [peak("lstm", 8, T, 4, 64, save="chunks") - 4 * T * 8 * (4 + 64 + 64) for T in (256, 4096)]
    assert 0 < grown[1] < 4 * grown[0]  # 4 is the root of 16


LOOP = re.compile(r"body=%?([\w.\-]+)")


def loop_bodies(text):
    """The instructions of every while loop's body in a compiled program."""
    names = set(LOOP.findall(text))
    blocks = {}
    for block in re.split(r"\n\n+", text):
        head = re.match(r"%?([\w.\-]+) ", block.strip())
        if head and head[1] in names:
            blocks[head[1]] = block
    assert len(names) > 0
    assert set(blocks) == names
    return list(blocks.values())


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_loops_contain_the_serial_products_only(cell):
    """No weight gradient is summed up step by step, and no stacked array is copied at a step."""
    D, H, T, B = 16, 32, 50, 8
    bodies = loop_bodies(compiled(cell, B, T, D, H).as_text())
    assert len(bodies) == 2
    for body in bodies:
        # A copy or a new array of all steps: f32[50,...] = copy(...).
        assert not re.search(rf"= f32\[{T},[\d,]*\]\S* (copy|pad|concatenate|broadcast)\(", body)
        # The gradient of the weights has their shape; nothing of it is carried through a loop that only reads them.
        root = next(line for line in body.splitlines() if "ROOT" in line)
        G = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
        assert root.count(f"f32[{H},{G * H}]") + root.count(f"f32[{D + H},{G * H}]") <= 1


def test_the_program_does_not_grow_with_the_sequence():
    sizes = [compiled("lstm", 4, T, 3, 8).as_text().count(" = ") for T in (64, 2048)]  # instructions
    assert sizes[1] <= 1.05 * sizes[0]


# ---------------------------------------------------------------- rounded products


@pytest.mark.parametrize("cell", parity.CELLS)
def test_bfloat16_rounds_products_and_nothing_else(cell):
    case = parity.make_case(cell, T=12, dtype=np.float32, ragged=False)
    module = getattr(fast, cell)
    ys, state = module.forward(case.params, case.xs, case.state, products="bfloat16")
    exact, _ = module.forward(case.params, case.xs, case.state)
    assert {a.dtype for a in jax.tree.leaves((ys, state))} == {np.dtype("float32")}
    assert 1e-5 < parity.relative_error(ys, exact) < 2e-2
    full = parity.by_jax(case)
    rounded = parity.by_jax(parity.dataclasses.replace(case, options={"products": "bfloat16"}))
    errors = [parity.relative_error(rounded[name], full[name]) for name in full]
    assert 1e-5 < max(errors) < 4e-2
    # Sums are formed in float32: 4,096 equal terms are still counted, which bfloat16 alone stops at 256.
    params = module.init(0, 1, 2)
    params = jax.tree.map(np.zeros_like, params)._replace(Wx=np.ones_like(params.Wx))
    db = jax.grad(lambda p: module.forward(p, np.ones((1, 4096, 1), np.float32), products="bfloat16")[0].sum())(params)
    single = jax.grad(lambda p: module.forward(p, np.ones((1, 1, 1), np.float32), products="bfloat16")[0].sum())(params)
    assert parity.relative_error(db.Wx, 4096 * np.asarray(single.Wx)) < 1e-5


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "mingru"])
def test_the_plain_scan_rounds_the_same_products(cell):
    case = parity.make_case(cell, T=5, dtype=np.float32, ragged=False)
    forward = getattr(fast, cell).forward
    ys, plain = (forward(case.params, case.xs, case.state, plain=p, products="bfloat16")[0] for p in (False, True))
    exact, _ = forward(case.params, case.xs, case.state)
    assert parity.relative_error(plain, ys) < 0.1 * parity.relative_error(plain, exact)


@pytest.mark.parametrize("cell", parity.CELLS)
def test_the_gradient_of_a_rounded_product_is_not_rounded(cell):
    """It is a sum over all steps, in the type of the weights."""
    case = parity.make_case(cell, T=5, dtype=np.float32, ragged=False)
    forward = getattr(fast, cell).forward
    dparams = jax.grad(lambda p: jnp.sin(forward(p, case.xs, case.state, products="bfloat16")[0]).sum())(case.params)
    rounded = dparams.Wx.astype(jnp.bfloat16).astype(np.float32)
    assert (rounded != dparams.Wx).mean() > 0.5


# ---------------------------------------------------------------- other platforms


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("cell", parity.CELLS)
def test_the_train_step_lowers_for_accelerators(cell, platform):
    """Lowering only: what is traced for an accelerator (hoisted product, joined directions) is valid there."""
    described = Network((Recurrent(cell, 8, bidirectional=True, save="states", products="bfloat16"),), 2, "last")
    params = jax.tree.map(jnp.asarray, init_network(0, described, 3))
    optimizer = optax.adam(1e-3)

    def train_step(params, state, xs, lengths, targets):
        def loss(params):
            return ((network.forward(described, params, xs, lengths=lengths)[0] - targets) ** 2).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    shapes = [jax.ShapeDtypeStruct((6, 4, 3), jnp.float32), jax.ShapeDtypeStruct((4,), jnp.int32)]
    shapes.append(jax.ShapeDtypeStruct((4, 2), jnp.float32))
    with platforms.compiling_for("gpu" if platform == "cuda" else "tpu"):
        exported = jax.export.export(jax.jit(train_step), platforms=[platform])(params, optimizer.init(params), *shapes)
    assert exported.platforms == (platform,)
    text = exported.mlir_module()
    assert "bf16" in text
    # One loop for both directions: forwards, and twice backwards (a whole block and the blocks around it).
    if cell not in ("mingru", "minlstm"):
        assert re.search(r"tensor<2x4x8xf32>", text)


@pytest.mark.parametrize("cell", parity.CELLS)
def test_joined_directions_change_nothing(cell, rng, x64, monkeypatch):
    inside = 0.0 if cell in ("mingru", "minlstm") else 0.4
    described = Network((Recurrent(cell, 4, bidirectional=True, recurrent_dropout=inside),), 2, "steps")
    params = init_network(1, described, 3, np.float64)
    xs, lengths = rng.standard_normal((5, 3, 3)), np.array([5, 0, 2])

    def results(joined):
        monkeypatch.setattr(platforms, "joins_directions", lambda: joined)
        run = lambda p: network.forward(described, p, xs, lengths=lengths, dropout_key=3)  # noqa: E731
        return run(params), jax.grad(lambda p: (run(p)[0] ** 2).sum())(params)

    for a, b in zip(jax.tree.leaves(results(True)), jax.tree.leaves(results(False))):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
