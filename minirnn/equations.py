r"""Every numbered equation once: its LaTeX in the orientation in which it is computed, its symbols and its source.

Vectors are rows, so a product reads ``x_t W_x``. In the LaTeX, ``\,`` stands for a matrix product and ``\odot`` for an
elementwise one. A superscript names a gate's block of columns, as in ``z^{i}_t``; ``d`` in front of a name is the
gradient of the loss with respect to it. ``dh^{+}_t`` and ``dc^{+}_t`` are what arrives at step t from step t+1.

The line of code that computes an equation carries its number in a comment. Forward numbers stand in both halves;
backward numbers of gates stand in ``readable`` (in ``fast`` JAX derives them); those of the products (P) and of the
linear recurrence (H) stand in the engines of both halves. The tests hold this, and evaluate the LaTeX below against
what the code computes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)


@dataclass(frozen=True)
class Equation:
    """One numbered equation.

    Args:
      id: its number, e.g. ``"L6"``.
      latex: the equation itself.
      where: ``"both"`` halves, ``"readable"`` only, the ``"engines"`` of both halves, or ``"search"``.
      source: the paper or document that it is taken from.
    """

    id: str
    latex: str
    where: str
    source: str

    @property
    def plain(self) -> str:
        """The equation in one line of plain text, for docstrings and terminals."""
        return plain(self.latex)


# Symbol -> (meaning, shape). T time steps, B batch, D inputs, H hidden units, G gates.
SYMBOLS = {
    r"x_t": ("input at step t", "(B, D)"),
    r"dh^{+}_t": ("gradient that arrives at h_t from step t+1", "(B, H)"),
    r"dc^{+}_t": ("gradient that arrives at c_t from step t+1", "(B, H)"),
    r"\phi": ("an activation, elementwise: tanh, relu, sigma or the identity", "(...)"),
    r"\rho_t": ("log f_t - log i_t of a minLSTM", "(B, H)"),
    r"\lambda": ("dropout rate; decay of the weights (AdamW)", "()"),
    r"\theta": ("weights", "(...)"),
    r"\eta": ("learning rate", "()"),
    r"h_t": ("hidden state, and the output of every layer but the LSTM with a single state", "(B, H)"),
    r"c_t": ("memory cell of an LSTM, (B, H); context of an attention", "(B, V)"),
    r"y_t": ("output of the layer, h_t unless an equation says otherwise", "(B, H)"),
    r"W_x": ("input weights", "(D, GH)"),
    r"W_h": ("recurrent weights", "(H, GH)"),
    r"b": ("bias", "(GH,)"),
    r"b_{hn}": ("bias of the candidate's recurrent part (GRU)", "(H,)"),
    r"z_t": ("pre-activations (RNN, LSTM), (B, GH); update gate (GRU)", "(B, H)"),
    r"zx_t": ("input part of the pre-activations", "(B, GH)"),
    r"zh_t": ("recurrent part of the pre-activations", "(B, GH)"),
    r"i_t": ("input gate", "(B, H)"),
    r"f_t": ("forget gate", "(B, H)"),
    r"g_t": ("candidate memory of an LSTM", "(B, H)"),
    r"o_t": ("output gate", "(B, H)"),
    r"r_t": ("reset gate", "(B, H)"),
    r"n_t": ("candidate state of a GRU", "(B, H)"),
    r"s_t": ("symbol, as a row of zeros and one 1", "(B, V)"),
    r"E": ("embedding of the symbols", "(V, E)"),
    r"q_t": ("query of the attention", "(B, Q)"),
    r"k": ("keys of one sequence", "(S, K)"),
    r"v": ("values of one sequence", "(S, V)"),
    r"d_k": ("size K of a key", "()"),
    r"e_t": ("how well a query fits each key", "(B, S)"),
    r"p": ("prediction, or logits where a softmax or a sigmoid follows", "(..., O)"),
    r"q": ("target", "(..., O)"),
    r"a": ("raw scale, or raw quantiles a_1 to a_K", "(..., O)"),
    r"s": ("scale of a distribution", "(..., O)"),
    r"c": ("raw degrees of freedom", "(..., O)"),
    r"\nu": ("degrees of freedom", "(..., O)"),
    r"u": ("error in units of the scale", "(..., O)"),
    r"\tau": ("level of each quantile", "(K,)"),
    r"w": ("weight or mask of each element", "(..., O)"),
}

_RNN = "Elman 1990, Finding structure in time"
_LSTM = "Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000"
_GRU = "Cho et al. 2014, arXiv 1406.1078v1 (resets after the product, as cuDNN does); z as in Chung et al. 2014"
_SINGLE = "an LSTM that feeds its memory back, from lecture notes; compare Hochreiter and Schmidhuber 1997"
_GRU_BEFORE = "Cho et al. 2014, arXiv 1406.1078v3; z as in Chung et al. 2014, arXiv 1412.3555"
_TWO_STATE = "a GRU with a memory cell of its own, from lecture notes; compare Cho et al. 2014"
_MIN = "Feng et al. 2024, arXiv 2410.01201, Were RNNs All We Needed?, in the form without logarithms"
_BPTT = "Werbos 1990, Backpropagation through time"
_NORM = "Ba et al. 2016, arXiv 1607.06450"
_DROPOUT = "Srivastava et al. 2014; one mask for each sequence: Gal and Ghahramani 2016, arXiv 1512.05287"
_DOT = "Vaswani et al. 2017, arXiv 1706.03762; without the root: Luong et al. 2015, arXiv 1508.04025"
_BILINEAR = "Luong et al. 2015, arXiv 1508.04025 (there called general)"
_ADDITIVE = "Bahdanau et al. 2015, arXiv 1409.0473"
_SEQ2SEQ = "Sutskever et al. 2014, arXiv 1409.3215; Cho et al. 2014, arXiv 1406.1078"
_LOSS = "textbook definition"
_SOFTPLUS = "Dugas et al. 2001, Incorporating second-order functional knowledge for better option pricing"
_GAUSS = "Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution"
_STUDENT = "Lange, Little and Taylor 1989, Robust statistical modeling using the t distribution"
_QUANTILES = "Park et al. 2022, Learning quantile functions without quantile crossing, arXiv 2111.06581"
_ADAM = "Kingma and Ba 2015, arXiv 1412.6980"
_ADAMW = "Loshchilov and Hutter 2019, Decoupled weight decay regularization, arXiv 1711.05101"

_TABLE = [
    # The vanilla RNN. phi is tanh, relu, sigma or the identity.
    ("R1", r"z_t = x_t \, W_x + h_{t-1} \, W_h + b", "both", _RNN),
    ("R2", r"h_t = \phi(z_t)", "both", _RNN),
    ("R3", r"dh_t = dy_t + dh^{+}_t", "readable", _BPTT),
    ("R4", r"dz_t = dh_t \odot \phi'(z_t)", "readable", _BPTT),
    # The LSTM.
    ("L1", r"z_t = x_t \, W_x + h_{t-1} \, W_h + b", "both", _LSTM),
    ("L2", r"i_t = \sigma(z^{i}_t)", "both", _LSTM),
    ("L3", r"f_t = \sigma(z^{f}_t)", "both", _LSTM),
    ("L4", r"g_t = \tanh(z^{g}_t)", "both", _LSTM),
    ("L5", r"o_t = \sigma(z^{o}_t)", "both", _LSTM),
    ("L6", r"c_t = f_t \odot c_{t-1} + i_t \odot g_t", "both", _LSTM),
    ("L7", r"h_t = o_t \odot \tanh(c_t)", "both", _LSTM),
    ("L8", r"dh_t = dy_t + dh^{+}_t", "readable", _BPTT),
    ("L9", r"do_t = dh_t \odot \tanh(c_t)", "readable", _BPTT),
    ("L10", r"dc_t = dc^{+}_t + dh_t \odot o_t \odot (1 - \tanh(c_t)^2)", "readable", _BPTT),
    ("L11", r"di_t = dc_t \odot g_t", "readable", _BPTT),
    ("L12", r"df_t = dc_t \odot c_{t-1}", "readable", _BPTT),
    ("L13", r"dg_t = dc_t \odot i_t", "readable", _BPTT),
    ("L14", r"dz^{i}_t = di_t \odot i_t \odot (1 - i_t)", "readable", _BPTT),
    ("L15", r"dz^{f}_t = df_t \odot f_t \odot (1 - f_t)", "readable", _BPTT),
    ("L16", r"dz^{g}_t = dg_t \odot (1 - g_t^2)", "readable", _BPTT),
    ("L17", r"dz^{o}_t = do_t \odot o_t \odot (1 - o_t)", "readable", _BPTT),
    ("L18", r"dc^{+}_{t-1} = dc_t \odot f_t", "readable", _BPTT),
    # The GRU. Here z is the update gate, and the pre-activations come in two parts, zx and zh.
    ("G1", r"zx_t = x_t \, W_x + b, \quad zh_t = h_{t-1} \, W_h", "both", _GRU),
    ("G2", r"r_t = \sigma(zx^{r}_t + zh^{r}_t)", "both", _GRU),
    ("G3", r"z_t = \sigma(zx^{z}_t + zh^{z}_t)", "both", _GRU),
    ("G4", r"n_t = \tanh(zx^{n}_t + r_t \odot (zh^{n}_t + b_{hn}))", "both", _GRU),
    ("G5", r"h_t = (1 - z_t) \odot h_{t-1} + z_t \odot n_t", "both", _GRU),
    ("G6", r"dh_t = dy_t + dh^{+}_t", "readable", _BPTT),
    ("G7", r"dz_t = dh_t \odot (n_t - h_{t-1})", "readable", _BPTT),
    ("G8", r"dn_t = dh_t \odot z_t", "readable", _BPTT),
    ("G9", r"dzx^{n}_t = dn_t \odot (1 - n_t^2)", "readable", _BPTT),
    ("G10", r"dzh^{n}_t = dzx^{n}_t \odot r_t", "readable", _BPTT),
    ("G11", r"dr_t = dzx^{n}_t \odot (zh^{n}_t + b_{hn})", "readable", _BPTT),
    ("G12", r"dzx^{r}_t = dr_t \odot r_t \odot (1 - r_t)", "readable", _BPTT),
    ("G13", r"dzx^{z}_t = dz_t \odot z_t \odot (1 - z_t)", "readable", _BPTT),
    ("G14", r"db_{hn} = \sum_t dzh^{n}_t", "readable", _BPTT),
    ("G15", r"dh^{+}_{t-1} = dh_t \odot (1 - z_t) + dzh_t \, W_h^\top", "readable", _BPTT),
    # The LSTM with a single state: h is the memory, and y what the next layer sees.
    ("S1", r"z_t = x_t \, W_x + h_{t-1} \, W_h + b", "both", _SINGLE),
    ("S2", r"i_t = \sigma(z^{i}_t)", "both", _SINGLE),
    ("S3", r"f_t = \sigma(z^{f}_t)", "both", _SINGLE),
    ("S4", r"g_t = \tanh(z^{g}_t)", "both", _SINGLE),
    ("S5", r"o_t = \sigma(z^{o}_t)", "both", _SINGLE),
    ("S6", r"h_t = f_t \odot h_{t-1} + i_t \odot g_t", "both", _SINGLE),
    ("S7", r"y_t = o_t \odot \tanh(h_t)", "both", _SINGLE),
    ("S8", r"do_t = dy_t \odot \tanh(h_t)", "readable", _BPTT),
    ("S9", r"dh_t = dh^{+}_t + dy_t \odot o_t \odot (1 - \tanh(h_t)^2)", "readable", _BPTT),
    ("S10", r"di_t = dh_t \odot g_t", "readable", _BPTT),
    ("S11", r"df_t = dh_t \odot h_{t-1}", "readable", _BPTT),
    ("S12", r"dg_t = dh_t \odot i_t", "readable", _BPTT),
    ("S13", r"dz^{i}_t = di_t \odot i_t \odot (1 - i_t)", "readable", _BPTT),
    ("S14", r"dz^{f}_t = df_t \odot f_t \odot (1 - f_t)", "readable", _BPTT),
    ("S15", r"dz^{g}_t = dg_t \odot (1 - g_t^2)", "readable", _BPTT),
    ("S16", r"dz^{o}_t = do_t \odot o_t \odot (1 - o_t)", "readable", _BPTT),
    ("S17", r"dh^{+}_{t-1} = dh_t \odot f_t + dzh_t \, W_h^\top", "readable", _BPTT),
    # The GRU that resets before the product. zh has the blocks r and z only; u is what the last block multiplies.
    ("B1", r"zx_t = x_t \, W_x + b, \quad zh_t = h_{t-1} \, W_{hrz}", "both", _GRU_BEFORE),
    ("B2", r"r_t = \sigma(zx^{r}_t + zh^{r}_t)", "both", _GRU_BEFORE),
    ("B3", r"z_t = \sigma(zx^{z}_t + zh^{z}_t)", "both", _GRU_BEFORE),
    ("B4", r"u_t = r_t \odot h_{t-1}", "both", _GRU_BEFORE),
    ("B5", r"n_t = \tanh(zx^{n}_t + u_t \, W_{hn})", "both", _GRU_BEFORE),
    ("B6", r"h_t = (1 - z_t) \odot h_{t-1} + z_t \odot n_t", "both", _GRU_BEFORE),
    ("B7", r"dh_t = dy_t + dh^{+}_t", "readable", _BPTT),
    ("B8", r"dz_t = dh_t \odot (n_t - h_{t-1})", "readable", _BPTT),
    ("B9", r"dn_t = dh_t \odot z_t", "readable", _BPTT),
    ("B10", r"dz^{n}_t = dn_t \odot (1 - n_t^2)", "readable", _BPTT),
    ("B11", r"du_t = dz^{n}_t \, W_{hn}^\top", "readable", _BPTT),
    ("B12", r"dr_t = du_t \odot h_{t-1}", "readable", _BPTT),
    ("B13", r"dz^{r}_t = dr_t \odot r_t \odot (1 - r_t)", "readable", _BPTT),
    ("B14", r"dz^{z}_t = dz_t \odot z_t \odot (1 - z_t)", "readable", _BPTT),
    ("B15", r"dh^{+}_{t-1} = dh_t \odot (1 - z_t) + du_t \odot r_t + dz^{rz}_t \, W_{hrz}^\top", "readable", _BPTT),
    # The GRU with two states. Here a stands for the pre-activations, since z is a gate.
    ("T1", r"a_t = x_t \, W_x + h_{t-1} \, W_h + b", "both", _TWO_STATE),
    ("T2", r"r_t = \sigma(a^{r}_t)", "both", _TWO_STATE),
    ("T3", r"z_t = \sigma(a^{z}_t)", "both", _TWO_STATE),
    ("T4", r"n_t = \tanh(a^{c}_t)", "both", _TWO_STATE),
    ("T5", r"c_t = z_t \odot c_{t-1} + (1 - z_t) \odot n_t", "both", _TWO_STATE),
    ("T6", r"h_t = r_t \odot h_{t-1} + (1 - r_t) \odot c_t", "both", _TWO_STATE),
    ("T7", r"dh_t = dy_t + dh^{+}_t", "readable", _BPTT),
    ("T8", r"dr_t = dh_t \odot (h_{t-1} - c_t)", "readable", _BPTT),
    ("T9", r"dc_t = dc^{+}_t + dh_t \odot (1 - r_t)", "readable", _BPTT),
    ("T10", r"dz_t = dc_t \odot (c_{t-1} - n_t)", "readable", _BPTT),
    ("T11", r"dn_t = dc_t \odot (1 - z_t)", "readable", _BPTT),
    ("T12", r"da^{r}_t = dr_t \odot r_t \odot (1 - r_t)", "readable", _BPTT),
    ("T13", r"da^{z}_t = dz_t \odot z_t \odot (1 - z_t)", "readable", _BPTT),
    ("T14", r"da^{c}_t = dn_t \odot (1 - n_t^2)", "readable", _BPTT),
    ("T15", r"dc^{+}_{t-1} = dc_t \odot z_t", "readable", _BPTT),
    ("T16", r"dh^{+}_{t-1} = dh_t \odot r_t + da_t \, W_h^\top", "readable", _BPTT),
    # The products, the same for every cell. For RNN and LSTM dzx = dzh = dz.
    ("P1", r"dh^{+}_{t-1} = dzh_t \, W_h^\top", "engines", _BPTT),
    ("P2", r"dx_t = dzx_t \, W_x^\top", "engines", _BPTT),
    ("P3", r"dW_x = \sum_t x_t^\top \, dzx_t", "engines", _BPTT),
    ("P4", r"dW_h = \sum_t h_{t-1}^\top \, dzh_t", "engines", _BPTT),
    ("P5", r"db = \sum_t dzx_t", "engines", _BPTT),
    # Where the last block of W_h multiplies u instead of h (the GRU that resets before the product), P4 holds for the
    # other blocks. With recurrent dropout h and u stand for what is left of them, and P1 is scaled likewise.
    ("P6", r"dW_{hn} = \sum_t u_t^\top \, dz^{n}_t", "engines", _BPTT),
    # The other layers of a network. s is how many of the K steps that a convolution reads lie before the step itself;
    # m is 1 where a feature is kept and 0 where it is dropped, lambda the dropout rate, N a sequence's length.
    ("V1", r"y_t = E_{x_t}", "both", "textbook definition"),
    ("V2", r"y_t = \phi(b + \sum_k x_{t+k-s} \, W_k)", "both", "LeCun et al. 1989; over time: Waibel et al. 1989"),
    ("V3", r"r = \sqrt{\mathrm{mean}((x - \mathrm{mean}(x))^2) + \epsilon}, \quad n = (x - \mathrm{mean}(x)) / r",
     "both", _NORM),
    ("V4", r"y = n \odot g + b", "both", _NORM),
    ("V5", r"y = x \odot m / (1 - \lambda)", "both", _DROPOUT),
    ("V6", r"y = \sum(x) / N", "both", "textbook definition"),
    ("V7", r"y = \phi(x \, W + b)", "both", "textbook definition"),
    ("V8", r"dE_v = \sum_{t: x_t = v} dy_t", "readable", _BPTT),
    ("V9", r"dW_k = \sum_t x_{t+k-s}^\top \, dz_t", "readable", _BPTT),
    ("V10", r"dx_t = \sum_k dz_{t-k+s} \, W_k^\top", "readable", _BPTT),
    ("V11", r"dn = dy \odot g", "readable", _NORM),
    ("V12", r"dx = (dn - \mathrm{mean}(dn) - n \odot \mathrm{mean}(dn \odot n)) / r", "readable", _NORM),
    ("V13", r"dx = dy \odot m / (1 - \lambda)", "readable", _DROPOUT),
    ("V14", r"dW = x^\top \, dz, \quad dx = dz \, W^\top", "readable", _BPTT),
    # Attention of one query q_t over the S keys k and values v of one sequence. Where the mask is False, e_t counts for
    # nothing and a_t is zero. da^{out}_t is the gradient that the weights receive from elsewhere.
    ("A1", r"e_t = q_t \, k^\top / \sqrt{d_k}", "both", _DOT),
    ("A2", r"e_t = q_t \, W \, k^\top", "both", _BILINEAR),
    ("A3", r"u_t = \tanh(q_t \, W_q + k \, W_k + b)", "both", _ADDITIVE),
    ("A4", r"e_t = v_a \, u_t^\top", "both", _ADDITIVE),
    ("A5", r"a_t = \exp(e_t) / \sum(\exp(e_t))", "both", _ADDITIVE),
    ("A6", r"c_t = a_t \, v", "both", _ADDITIVE),
    ("A7", r"da_t = dc_t \, v^\top + da^{out}_t", "readable", _BPTT),
    ("A8", r"dv = \sum_t a_t^\top \, dc_t", "readable", _BPTT),
    ("A9", r"de_t = a_t \odot (da_t - \sum(a_t \odot da_t))", "readable", _BPTT),
    ("A10", r"dq_t = de_t \, k / \sqrt{d_k}", "readable", _BPTT),
    ("A11", r"dk = \sum_t de_t^\top \, q_t / \sqrt{d_k}", "readable", _BPTT),
    ("A12", r"dq_t = de_t \, k \, W^\top", "readable", _BPTT),
    ("A13", r"dk = \sum_t de_t^\top \, q_t \, W", "readable", _BPTT),
    ("A14", r"dW = \sum_t q_t^\top \, de_t \, k", "readable", _BPTT),
    ("A15", r"dz_t = de_t^\top \, v_a \odot (1 - u_t^2)", "readable", _BPTT),
    ("A16", r"dv_a = \sum_t de_t \, u_t", "readable", _BPTT),
    ("A17", r"dq_t = \sum_s(dz_t) \, W_q^\top", "readable", _BPTT),
    ("A18", r"dk = \sum_t dz_t \, W_k^\top", "readable", _BPTT),
    ("A19", r"dW_q = \sum_t q_t^\top \, \sum_s(dz_t)", "readable", _BPTT),
    ("A20", r"dW_k = \sum_t k^\top \, dz_t", "readable", _BPTT),
    ("A21", r"db = \sum_t \sum_s(dz_t)", "readable", _BPTT),
    # The encoder-decoder. s_t is a symbol as a row of zeros and one 1: the code picks the row of E. h_S is a part of
    # the encoder's final state, h_0 of the decoder's first. A sequence of n symbols has the log-probability l.
    ("Q1", r"x_t = s_t \, E", "both", _SEQ2SEQ),
    ("Q2", r"h_0 = \tanh(h_S \, W_b + b_b)", "both", _ADDITIVE),
    ("Q3", r"j_t = [c_t, h_t]", "both", _BILINEAR),
    ("Q4", r"o_t = \tanh(j_t \, W_c + b_c)", "both", _BILINEAR),
    ("Q5", r"p_t = o_t \, W_o + b_o", "both", _SEQ2SEQ),
    ("Q6", r"do_t = dp_t \, W_o^\top", "readable", _BPTT),
    ("Q7", r"dW_o = \sum_t o_t^\top \, dp_t, \quad db_o = \sum_t dp_t", "readable", _BPTT),
    ("Q8", r"dz_t = do_t \odot (1 - o_t^2)", "readable", _BPTT),
    ("Q9", r"dj_t = dz_t \, W_c^\top", "readable", _BPTT),
    ("Q10", r"dW_c = \sum_t j_t^\top \, dz_t, \quad db_c = \sum_t dz_t", "readable", _BPTT),
    ("Q11", r"dz_0 = dh_0 \odot (1 - h_0^2)", "readable", _BPTT),
    ("Q12", r"dh_S = dz_0 \, W_b^\top", "readable", _BPTT),
    ("Q13", r"dW_b = h_S^\top \, dz_0, \quad db_b = dz_0", "readable", _BPTT),
    ("Q14", r"dE = \sum_t s_t^\top \, dx_t", "readable", _BPTT),
    ("Q15", r"m = l / ((5 + n) / 6)^\alpha", "search", "Wu et al. 2016, arXiv 1609.08144, without coverage"),
    # The recurrence of the cells whose gates do not read h. a and u are its coefficients.
    ("H1", r"h_t = a_t \odot h_{t-1} + u_t", "both", _MIN),
    ("H2", r"dh_t = dy_t + dh^{+}_t", "engines", _BPTT),
    ("H3", r"da_t = dh_t \odot h_{t-1}", "engines", _BPTT),
    ("H4", r"du_t = dh_t", "engines", _BPTT),
    ("H5", r"dh^{+}_{t-1} = dh_t \odot a_t", "engines", _BPTT),
    # The minGRU.
    ("M1", r"zx_t = x_t \, W_x + b", "both", _MIN),
    ("M2", r"z_t = \sigma(zx^{z}_t)", "both", _MIN),
    ("M3", r"n_t = zx^{n}_t", "both", _MIN),
    ("M4", r"a_t = 1 - z_t", "both", _MIN),
    ("M5", r"u_t = z_t \odot n_t", "both", _MIN),
    ("M6", r"dz_t = du_t \odot n_t - da_t", "readable", _BPTT),
    ("M7", r"dn_t = du_t \odot z_t", "readable", _BPTT),
    ("M8", r"dzx^{z}_t = dz_t \odot z_t \odot (1 - z_t)", "readable", _BPTT),
    ("M9", r"dzx^{n}_t = dn_t", "readable", _BPTT),
    # The minLSTM. Its gradients go through rho, the logarithm of f / i.
    ("N1", r"zx_t = x_t \, W_x + b", "both", _MIN),
    ("N2", r"f_t = \sigma(zx^{f}_t)", "both", _MIN),
    ("N3", r"i_t = \sigma(zx^{i}_t)", "both", _MIN),
    ("N4", r"n_t = zx^{n}_t", "both", _MIN),
    ("N5", r"\rho_t = \log(f_t) - \log(i_t)", "both", _MIN),
    ("N6", r"a_t = f_t / (f_t + i_t)", "both", _MIN),
    ("N7", r"u_t = i_t / (f_t + i_t) \odot n_t", "both", _MIN),
    ("N8", r"dn_t = du_t \odot (1 - a_t)", "readable", _BPTT),
    ("N9", r"d\rho_t = (da_t - du_t \odot n_t) \odot a_t \odot (1 - a_t)", "readable", _BPTT),
    ("N10", r"dzx^{f}_t = d\rho_t \odot (1 - f_t)", "readable", _BPTT),
    ("N11", r"dzx^{i}_t = -d\rho_t \odot (1 - i_t)", "readable", _BPTT),
    ("N12", r"dzx^{n}_t = dn_t", "readable", _BPTT),
    # Losses of one element; a loss is their mean weighted by w (E1).
    ("E1", r"L = \sum(w \odot \ell) / \sum(w)", "both", _LOSS),
    ("E2", r"\ell = (p - q)^2", "both", _LOSS),
    ("E3", r"\ell = |p - q|", "both", _LOSS),
    ("E4", r"\ell = \min(|p - q|, \delta)^2 / 2 + \delta \odot (|p - q| - \min(|p - q|, \delta))", "both",
     "Huber 1964, Robust estimation of a location parameter"),
    ("E5", r"\ell = \max(\tau \odot (q - p), (\tau - 1) \odot (q - p))", "both",
     "Koenker and Bassett 1978, Regression quantiles"),
    ("E6", r"\ell = \log(\sum(\exp(p))) - p_q", "both", _LOSS),
    ("E7", r"\ell = \max(p, 0) - p \odot q + \log(1 + \exp(-|p|))", "both", _LOSS),
    ("E8", r"dp = w \odot \ell'(p) / \sum(w)", "readable", _LOSS),
    # Label smoothing. Of a softmax q is the row of targets, one at the label, and E6 has sum(q p) where it had p_q. Of
    # a sigmoid q is the target, and K is 2.
    ("E9", r"q \leftarrow (1 - \alpha) \odot q + \alpha / K", "both", "Szegedy et al. 2016, arXiv 1512.00567"),
    # Distributions: p is the mean or the location, s the scale, a and c raw numbers of the head.
    ("E10", r"s = \log(1 + \exp(a)) + \epsilon", "both", _SOFTPLUS),
    ("E11", r"\ell = \log(s) + ((p - q) / s)^2 / 2 + \log(2 \odot \pi) / 2", "both", _GAUSS),
    ("E12", r"dp = w \odot (p - q) / s^2 / \sum(w)", "readable", _GAUSS),
    ("E13", r"ds = w \odot (1 - ((p - q) / s)^2) / s / \sum(w)", "readable", _GAUSS),
    ("E14", r"da = ds \odot \sigma(a)", "readable", _SOFTPLUS),
    ("E15", r"\nu = 2 + \log(1 + \exp(c))", "both", "Salinas et al. 2017, arXiv 1704.04110, with a floor of 2"),
    ("E16", r"u = (p - q) / s, \quad \ell = \log(\Gamma(\nu / 2)) - \log(\Gamma((\nu + 1) / 2)) "
     r"+ \log(\pi \odot \nu) / 2 + \log(s) + (\nu + 1) / 2 \odot \log(1 + u^2 / \nu)", "both", _STUDENT),
    ("E17", r"dp = w \odot (\nu + 1) \odot u / (\nu + u^2) / s / \sum(w)", "readable", _STUDENT),
    ("E18", r"ds = w \odot \nu \odot (1 - u^2) / (\nu + u^2) / s / \sum(w)", "readable", _STUDENT),
    ("E19", r"d\nu = w \odot (\psi(\nu / 2) - \psi((\nu + 1) / 2) + \log(1 + u^2 / \nu) "
     r"+ (1 - u^2) / (\nu + u^2)) / 2 / \sum(w)", "readable", _STUDENT),
    ("E20", r"dc = d\nu \odot \sigma(c)", "readable", _SOFTPLUS),
    # Quantiles p_1 to p_K that do not cross, from raw numbers a_1 to a_K.
    ("E21", r"p_1 = a_1, \quad p_k = p_{k-1} + \log(1 + \exp(a_k))", "both", _QUANTILES),
    ("E22", r"\ell = \sum(\max(\tau \odot (q - p), (\tau - 1) \odot (q - p))) / K", "both",
     "Koenker and Bassett 1978, Regression quantiles"),
    ("E23", r"da_1 = \sum(dp), \quad da_k = \sigma(a_k) \odot \sum(dp_{j \ge k})", "readable", _QUANTILES),
    # Optimisers. eta is the learning rate, d the gradient of one array.
    ("O1", r"d \leftarrow d \odot \min(1, m / \|d\|)", "readable", "Pascanu et al. 2013, arXiv 1211.5063"),
    ("O2", r"v \leftarrow \mu \odot v + d, \quad u = -\eta \odot v", "readable", "Polyak 1964; Sutskever et al. 2013"),
    ("O3", r"m \leftarrow \beta_1 \odot m + (1 - \beta_1) \odot d", "readable", _ADAM),
    ("O4", r"v \leftarrow \beta_2 \odot v + (1 - \beta_2) \odot d^2", "readable", _ADAM),
    ("O5", r"u = -\eta \odot (m / (1 - \beta_1^s)) / (\sqrt{v / (1 - \beta_2^s)} + \epsilon)", "readable", _ADAM),
    # theta are the weights, lambda is their decay; eta_0 is the first rate, and zero is reached after S updates.
    ("O6", r"u \leftarrow u - \eta \odot \lambda \odot \theta", "readable", _ADAMW),
    ("O7", r"\eta = \eta_0 \odot (1 + \cos(\pi \odot \min(s, S) / S)) / 2", "readable",
     "Loshchilov and Hutter 2017, arXiv 1608.03983"),
]  # fmt: skip

EQUATIONS = {row[0]: Equation(*row) for row in _TABLE}

_PLAIN = [
    (r"\\mathrm\{(\w+)\}", r"\1"), (r"\\lambda", "λ"), (r"\\theta", "θ"),
    (r"\\sigma", "σ"), (r"\\phi", "φ"), (r"\\delta", "δ"), (r"\\tau", "τ"), (r"\\alpha", "α"), (r"\\pi", "π"),
    (r"\\nu", "ν"), (r"\\psi", "ψ"), (r"\\Gamma", "Γ"), (r"\\ge", "≥"), (r"\\eta", "η"), (r"\\mu", "μ"),
    (r"\\beta", "β"), (r"\\epsilon", "ε"), (r"\\ell", "ℓ"), (r"\\sum", "Σ"), (r"\\odot", "⊙"), (r"\\top", "ᵀ"),
    (r"\^ᵀ", "ᵀ"), (r"\\leftarrow", "←"), (r"\\quad", " "), (r"\\,", " "), (r"\\sqrt\{([^}]*)\}", r"√(\1)"),
    (r"\\rho", "ρ"), (r"\\\|", "‖"), (r"\\(tanh|min|max|exp|log|cos)", r"\1"), (r"\{([^{}-]*)\}", r"\1"), (r" +", " "),
]  # fmt: skip


def plain(latex: str) -> str:
    r"""The LaTeX of this file as one line of plain text.

    >>> plain(r"c_t = f_t \odot c_{t-1} + i_t \odot g_t")
    'c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t'
    """
    for pattern, replacement in _PLAIN:
        latex = re.sub(pattern, replacement, latex)
    return latex.strip()


def select(span: str) -> tuple[Equation, ...]:
    """The equations of a span such as ``"L1-L7"`` or ``"P1, P3"``.

    >>> [equation.id for equation in select("R1-R2, P5")]
    ['R1', 'R2', 'P5']
    """
    ids = list(EQUATIONS)
    found: list[Equation] = []
    for part in span.split(",") if span else ():
        first, _, last = part.strip().partition("-")
        for number in (first, last or first):
            if number not in EQUATIONS:
                raise ValueError(f"there is no equation {number!r} (in {span!r}); the numbers stand in EQUATIONS")
        found += [EQUATIONS[k] for k in ids[ids.index(first) : ids.index(last or first) + 1]]
    return tuple(found)


def numbered(span: str) -> Callable[[Function], Function]:
    """Decorator: appends the equations of a span to a docstring, so that no equation is typed twice.

    The decorated function gets an attribute ``equations`` with the Equation objects.
    """

    def decorate(function: Function) -> Function:
        equations = select(span)
        lines = "".join(f"\n  {e.id:<4} {e.plain}" for e in equations)
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nEquations:{lines}\n"
        function.equations = equations  # type: ignore[attr-defined]
        return function

    return decorate
