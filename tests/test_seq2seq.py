"""The encoder-decoder: a naive transcription, gradients, teacher forcing, greedy choice, beam search."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import oracle
import parity
import pytest

from minirnn import fast, readable, search
from minirnn.params import EncoderDecoder, teacher_forcing_mask
from minirnn.readable import optimizers
from minirnn.readable.optimizers import tree_leaves, tree_map

S, T, B = 5, 4, 6
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([5, 1, 0, 3, 2, 4]), np.array([4, 3, 2, 1, 4, 2])
SIZES = {"source_vocabulary": 8, "target_vocabulary": 7, "hidden_size": 3, "embedding_size": 2}
DESCRIPTIONS = {
    "rnn": EncoderDecoder(cell="rnn", **SIZES),
    "lstm, 2 layers, dot": EncoderDecoder(cell="lstm", num_layers=2, attention="dot", **SIZES),
    "gru, bridge, additive": EncoderDecoder(cell="gru", bridge=True, attention="additive", **SIZES),
    "lstm, 2 layers, both ways, bilinear": EncoderDecoder(
        cell="lstm", num_layers=2, bidirectional=True, bridge=True, attention="bilinear", **SIZES
    ),
    "gru, both ways": EncoderDecoder(cell="gru", bidirectional=True, bridge=True, **SIZES),
}
each = pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
halves = pytest.mark.parametrize("half", [readable.seq2seq, fast.seq2seq], ids=["readable", "fast"])


def setup(description, dtype=np.float64, seed=0):
    """Weights without zeros, a batch of ragged sources and targets, and a cotangent of the logits."""
    rng = np.random.default_rng(seed)
    params = readable.seq2seq.init(rng, description, dtype)
    params = tree_map(lambda a: (a + rng.standard_normal(a.shape) / 2).astype(dtype), params)
    source = rng.integers(0, description.source_vocabulary, (S, B))
    target = rng.integers(3, description.target_vocabulary, (T, B))
    target[TARGET_LENGTHS - 1, np.arange(B)] = description.end
    dlogits = rng.standard_normal((T, B, description.target_vocabulary)).astype(dtype)
    return params, source, target, dlogits


def arrays(tree) -> dict:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def by_hand(description, params, source, target, dlogits, forced=None, lengths=(SOURCE_LENGTHS, TARGET_LENGTHS)):
    """Logits and gradients of the NumPy half."""
    fed = readable.seq2seq.decoder_inputs(description, target)
    logits, cache = readable.seq2seq.forward(description, params, source, lengths[0], fed, lengths[1], forced)
    return {"logits": logits, **arrays(readable.seq2seq.backward(dlogits, cache))}


@functools.partial(jax.jit, static_argnums=0)
def compiled(description, params, source, target, dlogits, forced, lengths):
    fed = fast.seq2seq.decoder_inputs(description, target)
    logits, pullback = jax.vjp(
        lambda p: fast.seq2seq.forward(description, p, source, lengths[0], fed, lengths[1], forced), params
    )
    return logits, pullback(dlogits)[0]


def by_jax(description, params, source, target, dlogits, forced=None, lengths=(SOURCE_LENGTHS, TARGET_LENGTHS)):
    """The same of the JAX half."""
    logits, dparams = compiled(description, params, source, target, dlogits, forced, lengths)
    return jax.tree.map(np.asarray, {"logits": logits, **arrays(dparams)})


def by_complex_step(description, params, source, target, dlogits, forced=None):
    fed = readable.seq2seq.decoder_inputs(description, target)
    leaves, structure = jax.tree.flatten(params)
    exact = []
    for k, leaf in enumerate(leaves):
        gradient = np.zeros_like(leaf)
        for index in np.ndindex(leaf.shape):
            moved = leaf.astype(complex)
            moved[index] += 1j * parity.STEP
            changed = jax.tree.unflatten(structure, [*leaves[:k], moved, *leaves[k + 1 :]])
            logits, _ = readable.seq2seq.forward(
                description, changed, source, SOURCE_LENGTHS, fed, TARGET_LENGTHS, forced
            )
            gradient[index] = (dlogits * logits.imag).sum() / parity.STEP
        exact.append(gradient)
    return arrays(jax.tree.unflatten(structure, exact))


def complex_step_error(description, bound) -> float:
    case = setup(description)
    ours, exact = by_hand(description, *case), by_complex_step(description, *case)
    assert set(ours) == {"logits", *exact}
    return parity.worst({name: ours[name] for name in exact}, exact, bound)


def jax_error(description, dtype, bound) -> float:
    case = setup(description, dtype)
    ours, theirs = by_hand(description, *case), by_jax(description, *case)
    assert {a.dtype for a in [*ours.values(), *theirs.values()]} == {np.dtype(dtype)}
    return parity.worst(ours, theirs, bound)


# ---------------------------------------------------------------- forward and backward


def naive_logits(d, params, source, fed):
    """One sequence, nothing batched, nothing masked: source and fed are lists of symbols."""

    def layer(weights, xs, state):
        """Runs the oracle's cell -> list of outputs, list of the final state's parts (H,)."""
        H = d.hidden_size
        parts = 2 if d.cell == "lstm" else 1
        state = tuple(np.zeros((1, H)) if state is None else np.reshape(state[k], (1, H)) for k in range(parts))
        size = len(weights.Wx)
        stacked = np.reshape(xs, (len(xs), 1, size))
        ys, final, _ = oracle.forward(d.cell, weights, stacked, state, [len(xs)])
        return [y[0] for y in ys], [part[0] for part in final]

    xs, states = [params.source_embedding[s] for s in source], []
    for index, weights in enumerate(params.encoder):
        if d.bidirectional:
            there, last = layer(weights.forward, xs, None)
            back, first = layer(weights.backward, xs[::-1], None)
            xs = [np.concatenate(pair) for pair in zip(there, back[::-1])]
            final = [np.concatenate(pair) for pair in zip(last, first)]
        else:
            xs, final = layer(weights, xs, None)
        if d.bridge:
            final = [np.tanh(part @ dense.W + dense.b) for part, dense in zip(final, params.bridge[index])]
        states.append(final)
    keys, ys = xs, [params.target_embedding[s] for s in fed]
    for weights, state in zip(params.decoder, states):
        ys, _ = layer(weights, ys, state)
    logits = []
    for h in ys:
        o = h
        if d.attention:
            context = np.zeros(len(params.combine.W) - d.hidden_size)
            if keys:
                p = params.attention
                if d.attention == "dot":
                    scores = [h @ k / np.sqrt(len(k)) for k in keys]
                elif d.attention == "bilinear":
                    scores = [h @ p.W @ k for k in keys]
                else:
                    scores = [np.tanh(h @ p.Wq + k @ p.Wk + p.b) @ p.v for k in keys]
                total = sum(np.exp(e) for e in scores)
                context = sum(np.exp(e) / total * k for e, k in zip(scores, keys))
            o = np.tanh(np.concatenate([context, h]) @ params.combine.W + params.combine.b)
        logits.append(o @ params.output.W + params.output.b)
    return np.array(logits)


@each
def test_a_batch_gives_what_each_sequence_gives_alone(description):
    params, source, target, _ = setup(description)
    fed = readable.seq2seq.decoder_inputs(description, target)
    logits, _ = readable.seq2seq.forward(description, params, source, SOURCE_LENGTHS, fed, TARGET_LENGTHS)
    for b in range(B):
        n, t = SOURCE_LENGTHS[b], TARGET_LENGTHS[b]
        expected = naive_logits(description, params, list(source[:n, b]), list(fed[:t, b]))
        assert parity.relative_error(logits[:t, b], expected) < 1e-14
        assert not logits[t:, b].any()


@each
def test_gradients_equal_the_complex_step(description):
    case = setup(description)
    before = tree_map(np.copy, case)
    complex_step_error(description, 1e-12)
    by_hand(description, *case)
    tree_map(np.testing.assert_array_equal, case, before)  # nothing was written into


@each
def test_numpy_equals_jax_in_float64_and_padding_changes_nothing(description, x64):
    jax_error(description, np.float64, 1e-12)
    case = setup(description)
    ours, theirs = by_hand(description, *case), by_jax(description, *case)
    # What stands in the padding is no symbol at all, and no gradient.
    _, source, target, dlogits = case
    past = np.arange(T)[:, None] >= TARGET_LENGTHS
    source[np.arange(S)[:, None] >= SOURCE_LENGTHS] = -7
    target[past], dlogits[past] = 10**6, np.nan
    for judge, clean in ((by_hand, ours), (by_jax, theirs)):
        spoiled = judge(description, *case)
        for name in clean:
            np.testing.assert_array_equal(spoiled[name], clean[name], err_msg=name)


@each
def test_numpy_equals_jax_in_float32(description):
    jax_error(description, np.float32, 1e-5)


def test_without_lengths_everything_is_real(x64):
    description = DESCRIPTIONS["gru, both ways"]
    case = setup(description)
    ours, theirs = (judge(description, *case, lengths=(None, None)) for judge in (by_hand, by_jax))
    parity.worst(ours, theirs, 1e-12)
    parity.worst(by_hand(description, *case, lengths=(np.full(B, S), np.full(B, T))), ours, 1e-14)


@each
def test_steps_of_the_decoder_are_its_sequence(description, x64):
    params, source, target, _ = setup(description)
    fed = readable.seq2seq.decoder_inputs(description, target)
    logits, cache = readable.seq2seq.forward(description, params, source, SOURCE_LENGTHS, fed)
    for half in (readable.seq2seq, fast.seq2seq):
        encoded = half.encode(description, params, source, SOURCE_LENGTHS)
        encoded = encoded[0] if half is readable.seq2seq else encoded
        states = encoded.states
        for t in range(T):
            p, states, weights = half.step(description, params, fed[t], states, encoded)
            assert parity.relative_error(p, logits[t]) < 1e-14
            if description.attention:
                assert parity.relative_error(weights, cache.weights[t]) < 1e-14
            else:
                assert weights is None


# ---------------------------------------------------------------- teacher forcing and the loss


def test_free_running_is_the_same_in_both_halves(x64):
    description = DESCRIPTIONS["gru, bridge, additive"]
    case = setup(description)
    forced = teacher_forcing_mask(5, T, B, 0.5)
    ours = by_hand(description, *case, forced=forced)
    parity.worst(ours, by_jax(description, *case, forced=forced), 1e-12)
    expected = by_complex_step(description, *case, forced=forced)
    parity.worst({n: ours[n] for n in expected}, expected, 1e-12)
    assert parity.relative_error(by_hand(description, *case)["logits"], ours["logits"]) > 1e-3


@halves
def test_what_the_decoder_is_fed(half, x64):
    """All forced is no choice at all; nothing forced is the greedy choice."""
    description = DESCRIPTIONS["gru, bridge, additive"]
    params, source, target, _ = setup(description)
    fed = half.decoder_inputs(description, target)

    forward = half.forward if half is readable.seq2seq else jax.jit(half.forward, static_argnums=0)

    def logits(fed, forced):
        found = forward(description, params, source, SOURCE_LENGTHS, fed, forced=forced)
        return np.asarray(found[0] if half is readable.seq2seq else found)

    np.testing.assert_allclose(logits(fed, np.ones((T, B), bool)), logits(fed, None), rtol=1e-13)
    free = logits(fed, np.zeros((T, B), bool))
    chosen = free.argmax(axis=-1)
    np.testing.assert_allclose(logits(half.decoder_inputs(description, chosen), None), free, rtol=1e-12)
    symbols, lengths, _ = half.greedy(description, params, source, SOURCE_LENGTHS, T)
    real = np.arange(T)[:, None] < lengths
    np.testing.assert_array_equal(np.asarray(symbols)[real], chosen[real])
    mixed = np.array(chosen)
    mixed[2] = target[2]  # true at the step after 2, its own elsewhere
    forced = np.zeros((T, B), bool)
    forced[3] = True
    np.testing.assert_allclose(
        logits(fed, forced), logits(half.decoder_inputs(description, mixed), None), rtol=1e-12, err_msg="step 3"
    )


def test_the_mask_of_teacher_forcing():
    assert teacher_forcing_mask(0, 9, 8, 1.0).all()
    none = teacher_forcing_mask(0, 9, 8, 0.0)
    assert none[0].all()
    assert not none[1:].any()
    np.testing.assert_array_equal(teacher_forcing_mask(3, 9, 8, 0.3), teacher_forcing_mask(3, 9, 8, 0.3))
    share = teacher_forcing_mask(0, 101, 1000, 0.3)[1:].mean()
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 1e5)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        teacher_forcing_mask(0, 9, 8, 1.5)


def test_the_loss_counts_every_real_symbol_and_the_end(x64):
    description = DESCRIPTIONS["lstm, 2 layers, dot"]
    params, source, target, _ = setup(description)
    value, dparams = readable.seq2seq.loss(description, params, source, SOURCE_LENGTHS, target, TARGET_LENGTHS)
    total, count = 0.0, 0
    for b in range(B):
        n, t = SOURCE_LENGTHS[b], TARGET_LENGTHS[b]
        logits = naive_logits(description, params, list(source[:n, b]), [description.start, *target[: t - 1, b]])
        total -= sum(row[s] - np.log(np.exp(row).sum()) for row, s in zip(logits, target[:t, b]))
        count += t
    np.testing.assert_allclose(value, total / count, rtol=1e-13)
    target[np.arange(T)[:, None] >= TARGET_LENGTHS] = description.pad
    theirs = jax.jit(
        jax.value_and_grad(lambda p: fast.seq2seq.loss(description, p, source, SOURCE_LENGTHS, target, TARGET_LENGTHS))
    )(params)
    parity.worst({"loss": value, **arrays(dparams)}, {"loss": theirs[0], **arrays(theirs[1])}, 1e-12)


def test_numpy_learns():
    """A few steps of the NumPy half alone: Adam walks through the weights, empty parts and all."""
    description = DESCRIPTIONS["lstm, 2 layers, dot"]
    params, source, target, _ = setup(description, np.float32)
    optimizer = optimizers.adam(0.02)
    state, values = optimizer.init(params), []
    for _ in range(30):
        value, dparams = readable.seq2seq.loss(description, params, source, SOURCE_LENGTHS, target, TARGET_LENGTHS)
        updates, state = optimizer.update(dparams, state, params)
        params = optimizers.apply_updates(params, updates)
        values.append(value)
    assert values[-1] < 0.6 * values[0]
    assert {a.dtype for a in tree_leaves(params)} == {np.dtype(np.float32)}


# ---------------------------------------------------------------- writing


def writer(description, seed):
    """As :func:`setup`, but what is written depends more on what was written before: some end early, some never."""
    params, source, *_ = setup(description, seed=seed)
    output = params.output._replace(W=3 * params.output.W)
    return params._replace(output=output, target_embedding=3 * params.target_embedding), source


@pytest.mark.parametrize(("name", "seed"), [("rnn", 7), ("gru, bridge, additive", 19)])
def test_greedy_is_the_same_in_both_halves_and_equals_a_beam_of_one(name, seed, x64):
    description = DESCRIPTIONS[name]
    params, source = writer(description, seed)
    symbols, lengths, weights = readable.seq2seq.greedy(description, params, source, SOURCE_LENGTHS, 9)
    assert len(set(lengths)) > 2
    assert lengths.max() == 9
    for b, n in enumerate(lengths):
        assert (symbols[n:, b] == description.pad).all()
        assert description.end not in symbols[: n - 1, b]
        assert n == 9 or symbols[n - 1, b] == description.end
    if description.attention:
        real = (np.arange(9)[:, None] < lengths) & (SOURCE_LENGTHS > 0)
        np.testing.assert_allclose(weights.sum(axis=-1), real, atol=1e-14)
    else:
        assert weights is None
    other = fast.seq2seq.greedy(description, params, source, SOURCE_LENGTHS, 9)
    np.testing.assert_array_equal(other[0], symbols)
    np.testing.assert_array_equal(other[1], lengths)
    if description.attention:
        np.testing.assert_allclose(other[2], weights, rtol=1e-12, atol=1e-15)
    for half in (readable.seq2seq, fast.seq2seq):
        found = half.beam_search(description, params, source, SOURCE_LENGTHS, 9, beam=1)
        np.testing.assert_array_equal(found[0], symbols)
        np.testing.assert_array_equal(found[1], lengths)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(alpha, x64):
    """Every sequence over five symbols of at most four, ended, scored one by one."""
    longest = 4
    sizes = {**SIZES, "target_vocabulary": 5}
    description = EncoderDecoder(cell="gru", bridge=True, attention="bilinear", **sizes)
    params, source = writer(description, 7)
    others = [s for s in range(5) if s != description.end]
    every = [(*body, description.end) for n in range(longest) for body in itertools.product(others, repeat=n)]
    best = []
    for b in range(B):
        column, scores = list(source[: SOURCE_LENGTHS[b], b]), []
        for sequence in every:
            logits = naive_logits(description, params, column, [description.start, *sequence[:-1]])
            logp = sum(row[s] - np.log(np.exp(row).sum()) for row, s in zip(logits, sequence))
            scores.append(logp / ((5 + len(sequence)) / 6) ** alpha)
        best.append((max(scores), every[int(np.argmax(scores))]))
    assert len({len(sequence) for _, sequence in best}) > 1
    options = {"beam": 5**longest, "length_penalty": alpha}
    symbols, lengths, scores = readable.seq2seq.beam_search(
        description, params, source, SOURCE_LENGTHS, longest, **options
    )
    for b, (score, sequence) in enumerate(best):
        assert tuple(symbols[: lengths[b], b]) == sequence
        assert (symbols[lengths[b] :, b] == description.pad).all()
        assert scores[b] == pytest.approx(score, rel=1e-12)
    narrow = [
        half.beam_search(description, params, source, SOURCE_LENGTHS, longest, beam=3, length_penalty=alpha)
        for half in (readable.seq2seq, fast.seq2seq)
    ]
    np.testing.assert_array_equal(narrow[0][0], narrow[1][0])
    np.testing.assert_allclose(narrow[0][2], narrow[1][2], rtol=1e-12)
    ended = narrow[0][0][narrow[0][1] - 1, np.arange(B)] == description.end
    assert ended.any()
    assert (narrow[0][2] <= scores + 1e-12)[ended].all()


PAD, START, END, A, Z = range(5)


def decoder_of(table):
    """A decoder that looks up its next probabilities by all that it has written; counts its calls."""
    calls = []

    def step(symbols, states):
        calls.append(len(symbols))
        (written,) = states
        written = np.concatenate([written, symbols[:, None]], axis=1)
        logits = np.full((len(symbols), 5), -50.0)
        for row, history in zip(logits, written):
            for symbol, probability in table.get(tuple(history[1:]), {END: 1.0}).items():
                row[symbol] = np.log(probability)
        return logits, (written,)

    return step, (np.zeros((1, 0), int),), calls


def run(table, beam, alpha, longest=5):
    step, (written,), calls = decoder_of(table)
    symbols, lengths, scores = search.beam_search(
        step,
        (np.repeat(written, beam, axis=0),),
        1,
        start=START,
        end=END,
        pad=PAD,
        max_length=longest,
        beam=beam,
        length_penalty=alpha,
    )
    return list(symbols[: lengths[0], 0]), float(scores[0]), calls


def test_length_normalisation_changes_the_choice():
    # "A END" has probability 0.36; "Z A A END" 0.4 * 0.85 = 0.34, over four symbols.
    table = {(): {A: 0.6, Z: 0.4}, (A,): {END: 0.6, Z: 0.4}, (Z,): {A: 1.0}, (Z, A): {A: 1.0}}
    table[(Z, A, A)] = {END: 0.85, Z: 0.15}
    assert run(table, 3, 0.0)[0] == [A, END]
    sequence, score, _ = run(table, 3, 1.0)
    assert sequence == [Z, A, A, END]
    assert score == pytest.approx(np.log(0.4 * 0.85) / (9 / 6), rel=1e-6)


def test_a_beam_sees_what_greed_misses():
    table = {(): {A: 0.6, Z: 0.4}, (A,): {A: 0.5, Z: 0.5}, (Z,): {END: 0.9, A: 0.1}}
    assert run(table, 1, 0.0)[0][0] == A
    assert run(table, 2, 0.0)[0] == [Z, END]


def test_the_search_ends_when_nothing_can_improve():
    likely = {(): {END: 0.9, A: 0.1}}
    assert len(run(likely, 3, 0.0)[2]) == 1  # every other hypothesis is below 0.1 already
    # Divided by ((5 + 5) / 6)^8, log(0.1) could still beat log(0.9): the search must go on, and finds it.
    forever = {**likely, (A,): {A: 1.0}, (A, A): {A: 1.0}, (A, A, A): {A: 1.0}}
    sequence, _, calls = run(forever, 3, 8.0)
    assert (sequence, len(calls)) == ([A, A, A, A, END], 5)


def test_a_finished_sequence_is_preferred_to_one_that_does_not_end():
    table = {(): {END: 0.1, A: 0.9}, (A,): {A: 1.0}, (A, A): {A: 1.0}, (A, A, A): {A: 1.0}, (A, A, A, A): {A: 1.0}}
    assert run(table, 2, 0.0)[0] == [END]
    assert run(table, 1, 0.0)[0] == [A] * 5  # as greedy: nothing has ended


# ---------------------------------------------------------------- corners


@halves
def test_no_source_steps_no_target_steps_and_lists(half):
    description = DESCRIPTIONS["lstm, 2 layers, both ways, bilinear"]
    params = half.init(0, description)
    symbols, lengths, weights = half.greedy(description, params, np.zeros((0, 2), int), None, 3)
    assert weights.shape == (3, 2, 0)
    np.testing.assert_array_equal(symbols[:, 0], symbols[:, 1])
    logits = half.forward(description, params, [[3, 4]], [1, 0], np.zeros((0, 2), int))
    assert (logits[0] if half is readable.seq2seq else logits).shape == (0, 2, 7)
    one = half.greedy(description, params, [[3], [4]], [1], 2)[0]  # lists will do; the second symbol is padding
    np.testing.assert_array_equal(one, half.greedy(description, params, [[3]], None, 2)[0])


def test_weights_are_those_of_the_description():
    description = DESCRIPTIONS["lstm, 2 layers, both ways, bilinear"]
    params = readable.seq2seq.init(0, description)
    assert params.source_embedding.shape == (8, 2)
    assert params.target_embedding.shape == (7, 2)
    assert [layer.backward.Wx.shape for layer in params.encoder] == [(2, 12), (6, 12)]
    assert [dense.W.shape for layer in params.bridge for dense in layer] == [(6, 3)] * 4
    assert [layer.Wx.shape for layer in params.decoder] == [(2, 12), (3, 12)]
    assert params.attention.W.shape == (3, 6)
    assert params.combine.W.shape == (9, 3)
    assert params.output.W.shape == (3, 7)
    assert {a.dtype for a in tree_leaves(params)} == {np.dtype(np.float32)}
    for a, b in zip(tree_leaves(params), tree_leaves(fast.seq2seq.init(0, description))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["lstm, 2 layers, both ways, bilinear", "gru, bridge, additive"])
def test_what_is_kept_for_the_gradient_changes_nothing(name, x64):
    description = DESCRIPTIONS[name]
    usual = by_jax(description, *setup(description))
    for save in ("states", "chunks"):
        found = by_jax(dataclasses.replace(description, save=save), *setup(description))
        assert all(parity.relative_error(found[key], usual[key]) < 1e-12 for key in usual)
    rounded = by_jax(dataclasses.replace(description, products="bfloat16"), *setup(description))
    assert 1e-5 < parity.relative_error(rounded["logits"], usual["logits"]) < 3e-2


@pytest.mark.parametrize("cell", readable.cells.CELLS)
def test_every_cell_can_be_bridged(cell):
    description = EncoderDecoder(cell=cell, bridge=True, **SIZES)
    params, source, target, dlogits = setup(description)
    fed = readable.seq2seq.decoder_inputs(description, target)
    _, cache = readable.seq2seq.forward(description, params, source, None, fed)
    dparams = readable.seq2seq.backward(dlogits, cache)
    state = readable.cells.CELLS[cell].initial_state(params.decoder[0], 1)
    parts = len(state) if isinstance(state, tuple) else 1
    assert [len(layer) for layer in params.bridge] == [len(layer) for layer in dparams.bridge] == [parts]
    assert all(np.any(dense.W) for dense in dparams.bridge[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "lstn"}, "unknown cell 'lstn'"),
        ({"attention": "dots"}, "unknown attention 'dots'"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"num_layers": 0}, "num_layers and embedding_size must be at least 1, got 0 and 2"),
        ({"bidirectional": True}, "set bridge=True"),
        ({"bidirectional": True, "bridge": True, "attention": "dot"}, "use bilinear attention"),
        ({"end": 1}, r"must be three symbols below 7, got \(0, 1, 1\)"),
        ({"start": 7}, r"must be three symbols below 7, got \(0, 7, 2\)"),
        ({"source_vocabulary": 3, "pad": 4}, "pad must be a source symbol below 3, got 4"),
        ({"save": "some"}, "unknown save 'some'; expected one of 'all', 'states', 'chunks'"),
        ({"products": "int8"}, "unknown products 'int8'; expected one of None, 'bfloat16'"),
    ],
)
def test_a_description_that_contradicts_itself(changes, message):
    with pytest.raises(ValueError, match=message):
        readable.seq2seq.init(0, EncoderDecoder(**{**SIZES, **changes}))


@halves
def test_what_does_not_fit_is_named(half):
    description = DESCRIPTIONS["rnn"]
    params = half.init(0, description)
    source, fed = np.zeros((S, B), int), np.ones((T, B), int)
    with pytest.raises(ValueError, match="source must lie between 0 and 7, got 0 to 8"):
        half.greedy(description, params, np.where(np.arange(S)[:, None] == 2, 8, source), None, 3)
    with pytest.raises(ValueError, match="target_in must lie between 0 and 6, got -1 to 1"):
        half.forward(description, params, source, None, np.where(np.arange(T)[:, None] == 2, -1, fed))
    with pytest.raises(TypeError, match=r"source holds float\d+; expected integers"):
        half.encode(description, params, source.astype(float))
    with pytest.raises(ValueError, match=r"source has shape \(5,\); expected time-major \(T, B\)"):
        half.encode(description, params, source[:, 0])
    with pytest.raises(ValueError, match=r"expected \(T, B\) with B = 6 of the source"):
        half.forward(description, params, source, None, fed[:, :2])
    with pytest.raises(ValueError, match=r"forced is float\d+ \(6,\); expected bool \(4, 6\)"):
        half.forward(description, params, source, None, fed, forced=np.ones(B))
    with pytest.raises(ValueError, match="lengths must lie between 0 and T = 5, got 1 to 6"):
        half.encode(description, params, source, np.arange(1, 7))
    with pytest.raises(ValueError, match="beam and max_length must be at least 1"):
        half.beam_search(description, params, source, None, 3, beam=0)


def test_compiled_code_turns_an_unknown_symbol_into_nan():
    description = DESCRIPTIONS["rnn"]
    params = fast.seq2seq.init(0, description)
    fed = np.ones((T, B), int)
    logits = jax.jit(lambda s: fast.seq2seq.forward(description, params, s, None, fed))(np.full((S, B), 8))
    assert np.isnan(logits).all()


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_sequence_that_never_ends_is_scored_by_its_length_too(alpha):
    logits = np.log(np.array([1e-9, 1e-9, 1e-300, 0.7, 0.3]))  # pad, start and end are never likely

    def step(symbols, states):
        return np.tile(logits, (len(symbols), 1)), states

    symbols, lengths, scores = search.beam_search(
        step, (), 1, start=1, end=2, pad=0, max_length=4, beam=1, length_penalty=alpha
    )
    assert symbols.T.tolist() == [[3, 3, 3, 3]]
    assert lengths == 4
    np.testing.assert_allclose(scores, 4 * np.log(0.7) / ((5 + 4) / 6) ** alpha, rtol=1e-6)


# ---------------------------------------------------------------- dropout

DROPPING = dataclasses.replace(DESCRIPTIONS["lstm, 2 layers, both ways, bilinear"], dropout=0.4, hidden_size=4)


def dropped_by_hand(description, key, params, source, target, dlogits):
    fed = readable.seq2seq.decoder_inputs(description, target)
    logits, cache = readable.seq2seq.forward(
        description, params, source, SOURCE_LENGTHS, fed, TARGET_LENGTHS, dropout_key=key
    )
    return {"logits": logits, **arrays(readable.seq2seq.backward(dlogits, cache))}


def test_dropout_is_the_same_in_both_halves_and_its_gradient_exact(x64):
    case = setup(DROPPING)
    params, source, target, dlogits = case
    ours = dropped_by_hand(DROPPING, 3, *case)
    fed = readable.seq2seq.decoder_inputs(DROPPING, target)
    logits, pullback = jax.vjp(
        lambda p: fast.seq2seq.forward(DROPPING, p, source, SOURCE_LENGTHS, fed, TARGET_LENGTHS, dropout_key=3), params
    )
    theirs = jax.tree.map(np.asarray, {"logits": logits, **arrays(pullback(dlogits)[0])})
    parity.worst(ours, theirs, 1e-12)
    # Along one direction also by the complex step.
    rng = np.random.default_rng(1)
    direction = tree_map(lambda a: rng.standard_normal(a.shape), params)
    moved = tree_map(lambda a, d: a + 1j * parity.STEP * d, params, direction)
    logits = dropped_by_hand(DROPPING, 3, moved, source, target, dlogits.astype(complex))["logits"]
    exact = (dlogits * logits.imag).sum() / parity.STEP
    slope = sum((ours[name] * d).sum() for name, d in arrays(direction).items())
    assert abs(slope - exact) < 1e-12 * abs(exact)


def test_dropout_drops_what_each_layer_reads_and_nothing_without_a_key():
    case = setup(DROPPING)
    plain = by_hand(dataclasses.replace(DROPPING, dropout=0.0), *case)
    for name, value in by_hand(DROPPING, *case).items():
        np.testing.assert_array_equal(value, plain[name])
    params, source, target, _ = case
    fed = readable.seq2seq.decoder_inputs(DROPPING, target)
    forward = functools.partial(readable.seq2seq.forward, DROPPING, params, source, SOURCE_LENGTHS, fed, TARGET_LENGTHS)
    seen, original = [], readable.seq2seq.layers.dropout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            readable.seq2seq.layers, "dropout", lambda xs, scale: (seen.append(scale), original(xs, scale))[1]
        )
        first, again, other = (forward(None, key)[0] for key in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    E, H = DROPPING.embedding_size, DROPPING.hidden_size
    assert [scale.shape for scale in seen[:4]] == [(B, E), (B, 2 * H), (B, E), (B, H)]  # one mask for all steps
    assert set(np.unique(np.concatenate([scale.ravel() for scale in seen]))) == {0, 1 / 0.6}
    assert not np.array_equal(seen[0], seen[2])


@halves
def test_what_the_decoder_chooses_it_chooses_without_dropout(half):
    params, source, target, _ = setup(DROPPING, np.float32)
    fed = np.asarray(readable.seq2seq.decoder_inputs(DROPPING, target))
    free = np.arange(T)[:, None] < np.ones(B)  # only the start symbol is forced
    chosen = [
        half.forward(description, params, source, None, fed, None, free, key)
        for description, key in ((dataclasses.replace(DROPPING, dropout=0.0), None), (DROPPING, 5))
    ]
    if half is readable.seq2seq:
        np.testing.assert_array_equal(*(cache.symbols for _, cache in chosen))
    else:
        whole = readable.seq2seq.forward(DROPPING, params, source, None, fed, None, free, 5)[0]
        np.testing.assert_allclose(chosen[1], whole, rtol=1e-4, atol=1e-5)
