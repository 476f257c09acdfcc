"""Wrong derivations of the GRU that resets before the product: one step forward, one step backward, the walk back."""

from __future__ import annotations

from minirnn.learn.mistakes.mistake import entries

_SIGMOID = "sigma'(z) = sigma(z) (1 - sigma(z)), and the gate already is sigma(z)"
_SKIP = "h_prev also enters h directly, times 1 - z"
_NEW = "in h = (1 - z) h_prev + z n the candidate is multiplied by z"
_MIX = "in h = (1 - z) h_prev + z n the gate z stands on both sides"
_BEFORE = "r multiplies h_prev before the product: u = r h_prev is what Wh_n multiplies"
_CONVENTION = "papers and libraries differ in what z = 1 means; here z admits the new"

FORWARD = entries(
    ("gru_reset_before_step",),
    "gru_reset_before",
    [
        ("z.opposite", "B6", "h = z * h_prev + (1 - z) * n", "z and 1 - z are exchanged", _CONVENTION,
         {"seen": "books against their code"}),
        ("n.reset-after", "B5", "n = np.tanh(zx_n + r * (h_prev @ Wh_n))", "r multiplies the product",
         "that is the GRU that resets after the product: another network", {"seen": "issues of several libraries"}),
        ("u.no-reset", "B4", "u = h_prev", "r is missing", "the reset gate lets the candidate forget"),
        ("u.update-gate", "B4", "u = z * h_prev", "z stands where r belongs", "r resets, z updates"),
        ("u.complement", "B4", "u = (1 - r) * h_prev", "1 - r stands where r belongs", "r = 1 keeps the whole state"),
        ("n.sigmoid", "B5", "n = sigmoid(zx_n + u @ Wh_n)", "sigma where tanh belongs",
         "the candidate lies between -1 and 1"),
        ("h.no-memory", "B6", "h = z * n", "the part (1 - z) h_prev is missing", _SKIP),
        ("h.added", "B6", "h = h_prev + z * n", "the factor 1 - z is missing", _SKIP),
        ("r.swapped-with-z", ("B2", "B3"), ("r = sigmoid(zx_z + zh_z)", "z = sigmoid(zx_r + zh_r)"),
         "the blocks of r and z are exchanged", "the blocks are stored in the order r, z, n",
         {"seen": "issues of several libraries"}),
    ],
)  # fmt: skip

STEP = entries(
    ("gru_reset_before_step_backward", "gru_reset_before_backward"),
    "gru_reset_before",
    [
        ("dh.carry-dropped", "B7", "dh = dy", "dh_next is missing",
         "h_t is also an input of step t+1, and what comes back from there is added"),
        ("dh.output-dropped", "B7", "dh = dh_next", "dy is missing",
         "the loss also sees h_t directly, as the output of step t"),
        ("dz.new-side-only", "B8", "dz = dh * n", "the side of h_prev is missing", _MIX),
        ("dz.old-side-only", "B8", "dz = -dh * h_prev", "the side of n is missing", _MIX),
        ("dz.sign", "B8", "dz = dh * (h_prev - n)", "the sign is turned round", _CONVENTION),
        ("dz.uses-h", "B8", "dz = dh * (n - h)", "h_t stands where h_{t-1} belongs", "z mixes n with the state before"),
        ("dn.complement", "B9", "dn = dh * (1 - z)", "1 - z stands where z belongs", _CONVENTION),
        ("dn.no-gate", "B9", "dn = dh", "the factor z is missing", _NEW),
        ("dz_n.no-slope", "B10", "dz_n = dn", "the slope 1 - n² is missing", "n is the output of a tanh"),
        ("dz_n.sigmoid-slope", "B10", "dz_n = dn * n * (1 - n)", "the slope of sigma stands where that of tanh belongs",
         "n is the output of a tanh"),
        ("dz_n.activated-twice", "B10", "dz_n = dn * (1 - np.tanh(n)**2)", "tanh is taken of n, which is tanh(z)",
         "n is the output of a tanh"),
        ("du.not-transposed", "B11", "du = dz_n @ Wh_n", "Wh_n is not transposed",
         "n reads u Wh_n, so du = dz_n Wh_nᵀ; a square block hides it, since the shapes fit"),
        ("du.reset-early", "B11", "du = (dz_n * r) @ Wh_n.T", "r multiplies before the product with Wh_nᵀ",
         "that is the GRU that resets after the product; here r multiplies h_prev, on the other side of Wh_n",
         {"seen": "issues of several libraries"}),
        ("dr.without-product", "B12", "dr = dz_n * h_prev", "dz_n stands where du belongs", _BEFORE),
        ("dr.uses-h", "B12", "dr = du * h", "h_t stands where h_{t-1} belongs", _BEFORE),
        ("dr.reset-after", "B12", "dr = dz_n * (h_prev @ Wh_n)", "the formula of the GRU that resets after the product",
         _BEFORE, {"seen": "issues of several libraries"}),
        ("dr.missing", "B12", "dr = 0 * du", "nothing arrives at r", "r reaches the loss through u and n"),
        ("dr.uses-u", "B12", "dr = du * u", "u stands where h_prev belongs", "u = r h_prev holds r already"),
        ("dz_r.no-slope", "B13", "dz_r = dr", "the slope r (1 - r) is missing", "r = sigma(...)"),
        ("dz_r.half-slope", "B13", "dz_r = dr * r", "the factor 1 - r is missing", _SIGMOID),
        ("dz_r.activated-twice", "B13", "dz_r = dr * sigmoid(r) * (1 - sigmoid(r))",
         "sigma is taken of r, which is sigma(z)",
         _SIGMOID),
        ("dz_z.no-slope", "B14", "dz_z = dz", "the slope z (1 - z) is missing", "z = sigma(...)"),
        ("dz_z.half-slope", "B14", "dz_z = dz * z", "the factor 1 - z is missing", _SIGMOID),
        ("dz_z.activated-twice", "B14", "dz_z = dz * sigmoid(z) * (1 - sigmoid(z))",
         "sigma is taken of z, which is sigma(z)",
         _SIGMOID),
        ("dz.order-z-r-n", ("[order of dz_rz]", "[order of dzx]"),
         ("dz_rz = np.concatenate([dz_z, dz_r], axis=-1)", "dzx = np.concatenate([dz_z, dz_r, dz_n], axis=-1)"),
         "the blocks are put together as z, r, n", "backward has to use the order of forward: r, z, n",
         {"equation": "B1", "seen": "issues of several libraries"}),
        ("dh_prev.no-skip", "B15", "dh_prev = du * r + dz_rz @ Wh_rz.T",
         "the path dh (1 - z) past the gates is missing", _SKIP),
        ("dh_prev.skip-by-z", "B15", "dh_prev = dh * z + du * r + dz_rz @ Wh_rz.T", "z stands where 1 - z belongs",
         _CONVENTION),
        ("dh_prev.candidate-without-reset", "B15", "dh_prev = dh * (1 - z) + du + dz_rz @ Wh_rz.T", "r is missing",
         _BEFORE),
        ("dh_prev.without-n", "B15", "dh_prev = dh * (1 - z) + dz_rz @ Wh_rz.T", "the candidate's part is missing",
         _BEFORE),
        ("dh_prev.without-gates", "B15", "dh_prev = dh * (1 - z) + du * r", "the part of r and z is missing",
         "h_prev enters both gates"),
        ("dh_prev.without-r", "B15",
         "dh_prev = dh * (1 - z) + du * r + np.concatenate([0 * dz_r, dz_z], axis=-1) @ Wh_rz.T",
         "the reset gate's part is missing", "h_prev enters both gates"),
        ("dWx.mean", "P3", "dWx = x.T @ dzx / len(x)", "divided by the batch size",
         "a mean is in the loss already, if at all"),
        ("dWh_rz.new-h", "P4", "dWh_rz = h.T @ dz_rz", "h_t stands where h_{t-1} belongs",
         "Wh multiplies the state that enters the step"),
        ("db.mean", "P5", "db = dzx.mean(axis=0)", "a mean over the batch where a sum belongs",
         "b is the same number for all sequences: their gradients add up"),
        ("dWh_n.no-reset", "P6", "dWh_n = h_prev.T @ dz_n", "h_prev stands where u belongs", _BEFORE),
        ("dWh_n.reset-after", "P6", "dWh_n = h_prev.T @ (dz_n * r)", "r multiplies dz_n instead of h_prev",
         "that is the GRU that resets after the product", {"seen": "issues of several libraries"}),
    ],
)  # fmt: skip

MISTAKES = FORWARD + STEP
