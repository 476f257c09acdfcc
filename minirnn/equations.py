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
      where: ``"both"`` halves, ``"readable"`` only, or the ``"engines"`` of both halves.
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
    r"h_t": ("hidden state, the output of the layer", "(B, H)"),
    r"c_t": ("memory cell of an LSTM", "(B, H)"),
    r"y_t": ("output of the layer; y_t = h_t", "(B, H)"),
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
    r"a_t": ("what a step keeps of h, in a cell whose gates do not read h", "(B, H)"),
    r"u_t": ("what a step adds to h, in a cell whose gates do not read h", "(B, H)"),
    r"p": ("prediction, or logits where a softmax or a sigmoid follows", "(..., O)"),
    r"q": ("target", "(..., O)"),
    r"w": ("weight or mask of each element", "(..., O)"),
}

_RNN = "Elman 1990, Finding structure in time"
_LSTM = "Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000"
_GRU = "Cho et al. 2014, arXiv 1406.1078v1; the form that resets after the product, as in cuDNN and PyTorch"
_MIN = "Feng et al. 2024, arXiv 2410.01201, Were RNNs All We Needed?, in the form without logarithms"
_BPTT = "Werbos 1990, Backpropagation through time"
_LOSS = "textbook definition"
_ADAM = "Kingma and Ba 2015, arXiv 1412.6980"

_TABLE = [
    # The vanilla RNN. phi is tanh, relu or sigma.
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
    # The products, the same for every cell. For RNN and LSTM dzx = dzh = dz.
    ("P1", r"dh^{+}_{t-1} = dzh_t \, W_h^\top", "engines", _BPTT),
    ("P2", r"dx_t = dzx_t \, W_x^\top", "engines", _BPTT),
    ("P3", r"dW_x = \sum_t x_t^\top \, dzx_t", "engines", _BPTT),
    ("P4", r"dW_h = \sum_t h_{t-1}^\top \, dzh_t", "engines", _BPTT),
    ("P5", r"db = \sum_t dzx_t", "engines", _BPTT),
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
    # Optimisers. eta is the learning rate, d the gradient of one array.
    ("O1", r"d \leftarrow d \odot \min(1, m / \|d\|)", "readable", "Pascanu et al. 2013, arXiv 1211.5063"),
    ("O2", r"v \leftarrow \mu \odot v + d, \quad u = -\eta \odot v", "readable", "Polyak 1964; Sutskever et al. 2013"),
    ("O3", r"m \leftarrow \beta_1 \odot m + (1 - \beta_1) \odot d", "readable", _ADAM),
    ("O4", r"v \leftarrow \beta_2 \odot v + (1 - \beta_2) \odot d^2", "readable", _ADAM),
    ("O5", r"u = -\eta \odot (m / (1 - \beta_1^s)) / (\sqrt{v / (1 - \beta_2^s)} + \epsilon)", "readable", _ADAM),
]  # fmt: skip

EQUATIONS = {row[0]: Equation(*row) for row in _TABLE}

_PLAIN = [
    (r"\\sigma", "σ"), (r"\\phi", "φ"), (r"\\delta", "δ"), (r"\\tau", "τ"), (r"\\eta", "η"), (r"\\mu", "μ"),
    (r"\\beta", "β"), (r"\\epsilon", "ε"), (r"\\ell", "ℓ"), (r"\\sum", "Σ"), (r"\\odot", "⊙"), (r"\\top", "ᵀ"),
    (r"\^ᵀ", "ᵀ"), (r"\\leftarrow", "←"), (r"\\quad", " "), (r"\\,", " "), (r"\\sqrt\{([^}]*)\}", r"√(\1)"),
    (r"\\rho", "ρ"), (r"\\\|", "‖"), (r"\\(tanh|min|max|exp|log)", r"\1"), (r"\{([^{}-]*)\}", r"\1"), (r" +", " "),
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
    for part in span.split(","):
        first, _, last = part.strip().partition("-")
        found += [EQUATIONS[k] for k in ids[ids.index(first) : ids.index(last or first) + 1]]
    return tuple(found)


def numbered(span: str) -> Callable[[Function], Function]:
    """Decorator: appends the equations of a span to a docstring, so that no equation is typed twice.

    The decorated function gets an attribute ``equations`` with the Equation objects.
    """

    def decorate(function: Function) -> Function:
        equations = select(span)
        lines = "".join(f"\n      {e.id:<4} {e.plain}" for e in equations)
        function.__doc__ = f"{(function.__doc__ or '').rstrip()}\n\n    Equations:{lines}\n    "
        function.equations = equations  # type: ignore[attr-defined]
        return function

    return decorate
