r"""What every symbol of an equation means there, and its shape.

:data:`minirnn.equations.SYMBOLS` explains most. A few letters mean different things in different places (z is an update
gate in a GRU, pre-activations in an LSTM); those are told apart here, by equation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from minirnn.equations import SYMBOLS
from minirnn.learn.reading.latex import Number, Operator, Row, Symbol


class UnknownSymbolError(LookupError):
    """A symbol that nobody has explained; the message says where to do so."""


@dataclass(frozen=True)
class Meaning:
    """What a symbol stands for.

    Args:
      key: the name without its time, such as ``"h_t"`` for ``h_{t-1}`` too.
      words: what it is.
      shape: as in ``"(B, 4H)"``; ``"()"`` is a number, ``"(...)"`` any shape.
    """

    key: str
    words: str
    shape: str

    @property
    def short(self) -> str:
        """The shape without brackets, for the small line below a symbol; empty where it says nothing."""
        return "" if "..." in self.shape else self.shape.strip("()").rstrip(",")

    @property
    def transposed(self) -> Meaning:
        """The same with rows and columns exchanged."""
        first, _, second = self.shape.strip("()").partition(", ")
        return replace(self, shape=f"({second}, {first})")


# Letters or numbers of equations -> symbol -> meaning and shape, where it is not that of SYMBOLS or not in it.
# Of attention the equations are those of one sequence: one query is a row.
_OWN: dict[str, dict[str, tuple[str, str]]] = {
    "R L S": {"z_t": ("pre-activations", "(B, GH)")},
    "G B T M": {"z_t": ("update gate", "(B, H)")},
    "R L G B T P H": {"h_t": ("hidden state, and the output of the layer", "(B, H)")},
    "S": {"h_t": ("hidden state, which here is the memory", "(B, H)")},
    "L T": {"c_t": ("memory cell", "(B, H)")},
    "M N": {"n_t": ("candidate state", "(B, H)")},
    "T": {"a_t": ("pre-activations", "(B, GH)"), "n_t": ("candidate memory", "(B, H)")},
    "M N H": {
        "a_t": ("share of the state that is kept", "(B, H)"),
        "u_t": ("what the step adds to the state", "(B, H)"),
    },
    "B": {
        "zh_t": ("recurrent part of the pre-activations, blocks r and z", "(B, 2H)"),
        "W_{hrz}": ("blocks r and z of the recurrent weights", "(H, 2H)"),
    },
    "B P": {
        "W_{hn}": ("last block of the recurrent weights", "(H, H)"),
        "u_t": ("what the last block of the recurrent weights multiplies", "(B, H)"),
    },
    "V": {
        r"\epsilon": ("a small number", "()"),
        "N": ("length of a sequence", "(B, 1)"),
        "x": ("input", "(B, D)"),
        "y": ("output", "(B, D)"),
        "m": ("1 where a feature is kept, 0 where it is dropped", "(B, D)"),
        "n": ("input, normalised", "(B, D)"),
        "r": ("standard deviation of the features", "(B, 1)"),
        "g": ("gain", "(D,)"),
        r"\lambda": ("dropout rate", "()"),
        "W_k": ("weights of the k-th step that is read", "(D, O)"),
        "W": ("weights", "(D, O)"),
        "E_{x_t}": ("rows x_t of the embedding", "(B, E)"),
        "E_v": ("row v of the embedding", "(E,)"),
        "z_t": ("pre-activations", "(B, O)"),
        "z": ("pre-activations", "(B, O)"),
    },
    "V1 V8": {"x_t": ("symbols, as integers", "(B,)"), "y_t": ("output", "(B, E)")},
    "V2 V9 V10": {"y_t": ("output", "(B, O)")},
    "V2 V7": {"b": ("bias", "(O,)")},
    "V4": {"b": ("bias", "(D,)")},
    "V6": {"x": ("all steps of the input", "(T, B, D)")},
    "V7": {"y": ("output", "(B, O)")},
    "A": {
        "q_t": ("query", "(1, Q)"),
        "e_t": ("how well the query fits each key", "(1, S)"),
        "a_t": ("weights of the values", "(1, S)"),
        "a^{out}_t": ("gradient that the weights receive from elsewhere", "(1, S)"),
        "c_t": ("context", "(1, V)"),
        "u_t": ("what each key and the query become", "(S, A)"),
        "z_t": ("pre-activations of u_t", "(S, A)"),
        "W": ("weights", "(Q, K)"),
        "W_q": ("weights of the query", "(Q, A)"),
        "W_k": ("weights of the keys", "(K, A)"),
        "v_a": ("weights of the answer", "(1, A)"),
        "b": ("bias", "(A,)"),
    },
    "A1 A10 A11": {"q_t": ("query, as long as a key", "(1, K)")},
    "Q": {
        "x_t": ("embedded symbol", "(B, E)"),
        "h_S": ("final state of the encoder", "(B, H)"),
        "h_0": ("first state of the decoder", "(B, H)"),
        "h_t": ("state of the decoder", "(B, H)"),
        "c_t": ("context of the attention", "(B, K)"),
        "j_t": ("context and state side by side", "(B, K + H)"),
        "o_t": ("what the head reads", "(B, H)"),
        "p_t": ("logits", "(B, V)"),
        "z_t": ("pre-activations of o_t", "(B, H)"),
        "z_0": ("pre-activations of h_0", "(B, H)"),
        "W_b": ("weights of the bridge", "(H, H)"),
        "b_b": ("bias of the bridge", "(H,)"),
        "W_c": ("weights that combine", "(K + H, H)"),
        "b_c": ("their bias", "(H,)"),
        "W_o": ("weights of the head", "(H, V)"),
        "b_o": ("bias of the head", "(V,)"),
        "m": ("score of a sequence", "()"),
        "l": ("log-probability of a sequence", "()"),
        "n": ("number of its symbols", "()"),
        r"\alpha": ("how much length counts", "()"),
    },
    "E": {
        "L": ("loss", "()"),
        r"\ell": ("loss of one element", "(..., O)"),
        r"\delta": ("where the square becomes a line", "()"),
        r"\alpha": ("share of the target that is spread out", "()"),
        r"\epsilon": ("a small number", "()"),
        "K": ("number of classes, or of quantiles", "()"),
        "p_q": ("logit of the label", "(...)"),
        "p_1": ("lowest quantile", "(...)"),
        "p_k": ("k-th quantile", "(...)"),
        "p_{k-1}": ("the quantile below", "(...)"),
        r"p_{j \ge k}": ("this quantile and those above", "(...)"),
        "a_1": ("first raw number", "(...)"),
        "a_k": ("k-th raw number", "(...)"),
    },
    "E5": {r"\tau": ("level of the quantile", "()")},
    "O": {
        "d": ("gradient of one array", "(...)"),
        "m": ("running mean of the gradients", "(...)"),
        "v": ("running mean of their squares", "(...)"),
        "u": ("what is added to the weights", "(...)"),
        "s": ("number of steps taken", "()"),
        "S": ("number of steps until the rate is zero", "()"),
        r"\eta_0": ("first learning rate", "()"),
        r"\beta_1": ("memory of the mean", "()"),
        r"\beta_2": ("memory of the squares", "()"),
        r"\mu": ("momentum", "()"),
        r"\epsilon": ("a small number", "()"),
        r"\lambda": ("decay of the weights", "()"),
    },
    "O1": {"m": ("largest norm", "()")},
    "O2": {"v": ("running sum of the gradients", "(...)")},
}


def _by_number() -> dict[str, dict[str, tuple[str, str]]]:
    """The table by a single letter or number."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for scope, told in _OWN.items():
        for where in scope.split():
            found.setdefault(where, {}).update(told)
    return found


_TOLD = _by_number()

BEFORE = ", of the step before"
FUNCTIONS = {
    r"\sigma": "the logistic function, 1 / (1 + exp(-z))",
    r"\phi": SYMBOLS[r"\phi"][0],
    r"\Gamma": "the gamma function",
    r"\psi": "the digamma function, the derivative of log Γ",
}


def key(symbol: Symbol) -> str:
    """The symbol without d, block and time: what the tables know.

    >>> from minirnn.learn.reading.latex import parse
    >>> [key(symbol) for symbol in parse(r"dz^{i}_t h_{t-1} dh^{+}_{t-1} W_{hrz}")]
    ['z_t', 'h_t', 'dh^{+}_t', 'W_{hrz}']
    """
    below = written(symbol.sub)
    below = "t" if below[:1] == "t" else below
    arriving = symbol.label in ("+", "out")
    above = f"^{{{symbol.label}}}" if arriving else ""
    sub = "" if not below else f"_{below}" if len(below) == 1 else f"_{{{below}}}"
    return f"{'d' if symbol.label == '+' else ''}{symbol.name}{above}{sub}"


def written(row: Row) -> str:
    """A subscript as it is written in LaTeX."""
    parts = []
    for node in row:
        if isinstance(node, Symbol):
            parts.append(node.latex)
        elif isinstance(node, Operator):
            parts.append({"−": "-", "≥": r" \ge ", "=": " = ", ":": ": "}.get(node.text, node.text))
        elif isinstance(node, Number):
            parts.append(node.text)
    return "".join(parts)


def meaning(symbol: Symbol, number: str, blocks: int | None = None) -> Meaning:
    """What a symbol means in an equation.

    Args:
      symbol: as parsed.
      number: of the equation.
      blocks: G of the cell that is read, which then stands in the shapes; None keeps the letter.

    Raises:
      UnknownSymbolError: neither SYMBOLS nor this file explains it.
    """
    name = key(symbol)
    for table in (_TOLD.get(number, {}), _TOLD.get(number[0], {}), SYMBOLS):
        if name in table:
            words, shape = table[name]
            break
    else:
        if symbol.name == r"\pi":
            return Meaning(name, "3.14159…", "()")
        raise UnknownSymbolError(
            f"nobody explains {symbol.latex} of equation {number}: add {name!r} to SYMBOLS in minirnn/equations.py"
        )
    block = symbol.label if symbol.label not in ("", "+", "out") else ""
    if block:
        # Of z itself a block is one of pre-activations, where z is a gate too.
        whole = words.partition(",")[0] if symbol.name in ("zx", "zh") else "pre-activations"
        words = f"{'block' if len(block) == 1 else 'blocks'} {' and '.join(block)} of the {whole}"
        shape = "(B, H)" if len(block) == 1 else f"(B, {len(block)}H)"
        name = symbol.latex.removeprefix("d")
    if symbol.gradient and symbol.label != "+":
        words = words if symbol.label == "out" else f"gradient of the loss with respect to it: {words}"
    if symbol.latex.endswith("_{t-1}") or "_{t-1}^" in symbol.latex:
        words += BEFORE
    if blocks is not None:
        shape = shape.replace("GH", "H" if blocks == 1 else f"{blocks}H")
    found = Meaning(name, words, shape)
    return found.transposed if symbol.transposed else found
