"""Wrong ways with JAX: a scan over time, a map over networks, a gradient of one's own, a parallel scan."""

from __future__ import annotations

from minirnn.learn.mistakes.mistake import entries

_TRACED = "jit runs the Python code once and writes down every operation: a loop is written out step by step"
_OWN_KEY = "a key gives the same numbers each time: whatever is to be independent needs a key of its own"
_COLLECTS = "a scan hands the carry to the next step; what it stacks is the second thing that the step returns"
_TWO_STEPS = "a2 (a1 h + u1) + u2 = (a1 a2) h + (a2 u1 + u2): the first step's u passes through the second step"
_AFTER = "h_t reaches the loss by itself and through h_{t+1} = a_{t+1} h_t + u_{t+1}"
_SLOPE = "the slope of tanh at z is 1 - tanh(z)², and h is tanh(z)"
_RESIDUALS = "the backward function gets the residuals in the order in which the forward function put them"

SCAN = entries(
    ("jax_scan",),
    "general",
    [
        ("jax.scan.python-loop", "[scan]",
         "h, kept = h0, []\n"
         "for x in xs:\n"
         "    h, _ = one_step(h, x)\n"
         "    kept.append(h)\n"
         "h_T, hs = h, jnp.stack(kept)",
         "a Python loop stands where lax.scan belongs", _TRACED + ", and to compile that takes ever longer",
         {"equation": "G5", "seen": "lists of common mistakes"}),
        ("jax.scan.not-compiled", "[jit]", "", "jax.jit is missing",
         "without it Python hands every operation to JAX by itself", {"equation": "G5"}),
        ("jax.scan.carry-not-updated", "[carry and output]", "return h_prev, h", "the old state is carried on",
         "every step then starts from the initial state", {"equation": "G5"}),
        ("jax.scan.output-one-late", "[carry and output]", "return h, h_prev",
         "the state before the step is kept, not the one after it", "output t is h_t", {"equation": "G5"}),
        ("jax.scan.input-for-state", "[scan]", "h_T, hs = lax.scan(one_step, jnp.zeros_like(h0), xs)",
         "the initial state is zero", "the walk begins with the state that it was given", {"equation": "G5"}),
        ("jax.scan.reversed", "[scan]", "h_T, hs = lax.scan(one_step, h0, xs, reverse=True)", "walked from the end",
         "reverse=True begins with the last input", {"equation": "G5"}),
        ("jax.scan.first-step-left-out", "[scan]",
         "h_T, hs = lax.scan(one_step, h0, jnp.concatenate([xs[1:], xs[-1:]]))", "the inputs are one step early",
         "step t reads x_t", {"equation": "G5"}),
        ("jax.scan.last-only", "[scan]",
         "h_T, hs = lax.scan(one_step, h0, xs)\n"
         "hs = jnp.broadcast_to(h_T, hs.shape)", "every output is the last state", _COLLECTS, {"equation": "G5"}),
        ("jax.scan.dtype-fixed", "[scan]",
         "h_T, hs = lax.scan(lambda h, x: tuple(a.astype(jnp.float32) for a in one_step(h, x)), "
         "h0.astype(jnp.float32), xs)",
         "the state is made float32 whatever comes in",
         "a carry keeps its dtype, so everything is rounded to the one that is written there",
         {"equation": "G5"}),
        ("jax.scan.state-added", "[step]", "h = h_prev + step(h_prev, x, Wx, Wh, b, b_hn)", "h_prev is added",
         "the step returns the whole new state", {"equation": "G5"}),
    ],
)  # fmt: skip

VMAP = entries(
    ("jax_vmap",),
    "general",
    [
        ("jax.vmap.one-key-for-all", "[keys]",
         "weight_keys, noise_keys = (jnp.stack([each] * count) for each in jax.random.split(key))",
         "every network has the same key", _OWN_KEY + "; this ensemble is one network, count times"),
        ("jax.vmap.key-used-twice", "[keys]", "weight_keys = noise_keys = jax.random.split(key, count)",
         "weights and noise are drawn with the same key", _OWN_KEY + ""),
        ("jax.vmap.keys-exchanged", "[keys]", "noise_keys, weight_keys = jax.random.split(key, (2, count))",
         "the two rows of keys are exchanged", "the first row is for the weights"),
        ("jax.vmap.one-noise-for-all", "[noise]", "noise = jnp.stack([noisy(noise_keys[0], xs)] * count)",
         "every network sees the same noise", _OWN_KEY + ""),
        ("jax.vmap.no-noise", "[noise]", "noise = jnp.stack([xs] * count)", "the noise is missing",
         "every network sees inputs with noise of its own"),
        ("jax.vmap.one-network", "[weights]",
         "weights = jax.tree.map(lambda a: jnp.stack([a] * count), initial(weight_keys[0], D, H))",
         "all networks have the first one's weights", "initial is to be mapped over the keys"),
        ("jax.vmap.targets-not-mapped", "[sequences]",
         "by_sequence = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 1, None))",
         "every sequence is compared with all targets", "in_axes=None hands over the whole array: it is broadcast",
         {"seen": "lists of common mistakes"}),
        ("jax.vmap.first-sequence-only", "[sequences]",
         "by_sequence = jax.vmap(lambda w, x, y: jax.value_and_grad(loss)(w, xs[:, 0], y), in_axes=(None, 1, 0))",
         "every network reads the first sequence, without noise", "what is mapped is x, not xs"),
        ("jax.vmap.python-loop", "[members]",
         "each = [by_sequence(jax.tree.map(lambda a: a[n], weights), noise[n], targets) for n in range(count)]\n"
         "losses, gradients = jax.tree.map(lambda *parts: jnp.stack(parts), *each)",
         "a Python loop over networks stands where vmap belongs", _TRACED + ""),
    ],
)  # fmt: skip

VJP = entries(
    ("jax_custom_vjp",),
    "general",
    [
        ("jax.vjp.not-used", ("[decorator]", "[plug in]"), ("", ""), "the function has no gradient of its own",
         "without custom_vjp and defvjp JAX derives the gradient, and step_bwd is never called", {"equation": "R4"}),
        ("jax.vjp.residuals-mixed-up", "[residuals]", "residuals = x, h, h_prev, Wx, Wh",
         "h and h_prev are exchanged in the residuals", _RESIDUALS, {"equation": "R4"}),
        ("jax.vjp.state-before-kept", "[residuals]", "residuals = x, h_prev, h_prev, Wx, Wh",
         "h_prev is kept where h belongs", _RESIDUALS, {"equation": "R4"}),
        ("jax.vjp.weights-forgotten", "[gradients]", "return dx, dh_prev, None, None, None",
         "the weights get no gradient", "None stands for zero: JAX believes it, and nothing is learnt",
         {"equation": "P3"}),
        ("jax.vjp.input-forgotten", "[gradients]", "return None, dh_prev, dWx, dWh, db", "the input gets no gradient",
         "None stands for zero: JAX believes it, and the layer below learns nothing", {"equation": "P2"}),
        ("jax.vjp.state-forgotten", "[gradients]", "return dx, None, dWx, dWh, db", "the state gets no gradient",
         "None stands for zero: JAX believes it, and the gradient ends at the last step", {"equation": "P1"}),
        ("jax.vjp.dz.no-slope", "R4", "dz = dh", "the slope 1 - h² is missing", _SLOPE),
        ("jax.vjp.dz.activated-twice", "R4", "dz = dh * (1 - jnp.tanh(h)**2)", "tanh is taken of h, which is tanh(z)",
         _SLOPE),
        ("jax.vjp.dz.slope-unsquared", "R4", "dz = dh * (1 - h)", "the square is missing in 1 - h²", _SLOPE),
        ("jax.vjp.dh_prev.not-transposed", "P1", "dh_prev = dz @ Wh", "Wh is not transposed",
         "z = h Wh gives dh = dz Whᵀ; a square matrix hides it, since the shapes fit"),
        ("jax.vjp.dWh.new-h", "P4", "dWh = h.T @ dz", "h_t stands where h_{t-1} belongs",
         "Wh multiplies the state that enters the step"),
        ("jax.vjp.dWx.mean", "P3", "dWx = x.T @ dz / len(x)", "divided by the batch size",
         "a mean is in the loss already, if at all"),
        ("jax.vjp.db.mean", "P5", "db = dz.mean(axis=0)", "a mean over the batch where a sum belongs",
         "b is the same number for all sequences: their gradients add up"),
    ],
)  # fmt: skip

JOIN = entries(
    ("jax_associative_scan",),
    "general",
    [
        ("jax.join.exchanged", "[u]", "u = a1 * u2 + u1", "the two steps are exchanged",
         _TWO_STEPS + "; first is the earlier one", {"equation": "H1"}),
        ("jax.join.u-without-a", "[u]", "u = u1 + u2", "a2 is missing in u", _TWO_STEPS, {"equation": "H1"}),
        ("jax.join.own-a", "[u]", "u = a1 * u1 + u2", "a1 stands where a2 belongs", _TWO_STEPS, {"equation": "H1"}),
        ("jax.join.last-u-only", "[u]", "u = u2", "what the first step adds is missing", _TWO_STEPS,
         {"equation": "H1"}),
        ("jax.join.a-not-multiplied", "[a]", "a = a2", "a1 is missing in a", _TWO_STEPS, {"equation": "H1"}),
        ("jax.join.first-a-only", "[a]", "a = a1", "a2 is missing in a", _TWO_STEPS, {"equation": "H1"}),
        ("jax.join.a-added", "[a]", "a = a1 + a2", "the two a are added where they should be multiplied", _TWO_STEPS,
         {"equation": "H1"}),
        ("jax.join.no-initial-state", "H1", "hs = us", "the initial state is forgotten",
         "the joined steps map h_0 to h_t: they have to be applied to it"),
        ("jax.join.initial-state-added", "H1", "hs = h0 + us", "h0 is not multiplied by the joined a",
         "the joined steps map h_0 to h_t: A h_0 + U"),
        ("jax.join.one-a-only", "H1", "hs = a * h0 + us", "h0 is multiplied by a_t alone",
         "h_0 has passed all the steps up to t: the joined a is their product"),
        ("jax.join.along-the-batch", "[scan]", "As, us = lax.associative_scan(combine, (a, u), axis=1)",
         "joined along the batch", "the recurrence runs along time, the first axis", {"equation": "H1"}),
        ("jax.join.from-the-end", "[scan]", "As, us = lax.associative_scan(combine, (a, u), reverse=True)",
         "joined from the end", "forward the steps are joined from the first one on", {"equation": "H1"}),
        ("jax.join.one-after-another", "[scan]",
         "one = lambda before, now: (combine(before, now),) * 2\n"
         "_, (As, us) = lax.scan(one, (jnp.ones_like(h0), jnp.zeros_like(h0)), (a, u))",
         "lax.scan joins one step after another", "then T steps take T turns: nothing is parallel", {"equation": "H1"}),
        ("jax.join.backward-forwards", "[reverse]", "_, dhs = lax.associative_scan(combine, (a_next, dys))",
         "the gradients are joined from the first step on", "gradients come from the steps after: reverse=True",
         {"equation": "H2"}),
        ("jax.join.backward-same-a", "[a of the step after]", "a_next = a", "a_t stands where a_{t+1} belongs", _AFTER,
         {"equation": "H5"}),
        ("jax.join.backward-a-before", "[a of the step after]",
         "a_next = jnp.concatenate([jnp.ones_like(a[:1]), a[:-1]])", "a_{t-1} stands where a_{t+1} belongs", _AFTER,
         {"equation": "H5"}),
        ("jax.join.first-gradient", "H5", "dh0 = dhs[0]", "a_1 is missing in the gradient of h_0",
         "h_0 enters h_1 multiplied by a_1"),
    ],
)  # fmt: skip

MISTAKES = SCAN + VMAP + VJP + JOIN
