"""What there is to read, and its rows: an equation, its lines in NumPy, its lines in JAX or who derives them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from minirnn import params
from minirnn.equations import EQUATIONS, Equation
from minirnn.learn.reading.latex import Symbol, parse, symbols
from minirnn.learn.reading.source import Piece, Sources
from minirnn.learn.reading.symbols import Meaning, meaning

# Name of the modules in both halves -> title. The cells come first.
CELLS = {
    "rnn": "the vanilla RNN",
    "lstm": "the LSTM",
    "gru": "the GRU that resets after the product",
    "gru_reset_before": "the GRU that resets before the product",
    "gru_two_state": "the GRU with two states",
    "lstm_single_state": "the LSTM with a single state",
    "mingru": "the minGRU",
    "minlstm": "the minLSTM",
}
OTHERS = {
    "engine": ("P", "the products, the same for every cell"),
    "linear": ("H", "the recurrence of the cells whose gates do not read h"),
    "layers": ("V", "the other layers of a network"),
    "attention": ("A", "attention"),
    "seq2seq": ("Q", "the encoder-decoder"),
    "losses": ("E", "losses"),
    "optimizers": ("O", "optimisers"),
}
SUBJECTS = {**CELLS, **{name: title for name, (_, title) in OTHERS.items()}}

# JAX's half of an optimiser is the library optax.
OPTAX = {
    "O1": "clip_by_global_norm",
    "O2": "sgd",
    "O3": "adam",
    "O4": "adam",
    "O5": "adam",
    "O6": "adamw",
    "O7": "cosine_decay_schedule",
}
ROUNDED = "where `products` rounds the factors; elsewhere derived by JAX"
ADDS_P1 = "the product with W_h comes from the engine (P1)"
# Where a line of the NumPy engine calls a helper for its product -> the helper.
_HELPERS = {"P1": "_products_backward", "P4": "_recurrent_gradient"}
_REMARKS = {"P6": "P4 gives the other blocks of W_h"}


class UnknownSubjectError(ValueError):
    """A name that there is nothing to read about; one line that says what there is."""


@dataclass(frozen=True)
class Half:
    """One half's lines of an equation.

    Args:
      pieces: the lines that compute it.
      before: lines that form what these read.
      note: who computes it where no line does, or what else is to be known.
      see: where that happens.
    """

    pieces: tuple[Piece, ...] = ()
    before: tuple[Piece, ...] = ()
    note: str = ""
    see: Piece | None = None


@dataclass(frozen=True)
class Row:
    """One equation in three columns."""

    equation: Equation
    numpy: Half
    jax: Half
    symbols: tuple[tuple[Symbol, Meaning], ...]
    remark: str = ""

    @property
    def number(self) -> str:
        """The equation's number."""
        return self.equation.id


@dataclass(frozen=True)
class Section:
    """Rows under a heading, and what is to be known before they are read."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """Everything that a page shows of one subject.

    Args:
      name: of the modules in both halves.
      title: in words.
      about: the docstring of the NumPy half.
      blocks: G, the number of blocks of columns; None where there is no cell.
      gates: names of the blocks of columns, in the order of storage; empty where there are none.
      sections: forward, backward, products.
      listings: the functions of both halves that hold the equations, whole: a tuple for each half.
    """

    name: str
    title: str
    about: str
    blocks: int | None
    gates: tuple[str, ...]
    sections: tuple[Section, ...]
    listings: tuple[tuple[Piece, ...], tuple[Piece, ...]]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in order."""
        return tuple(row for section in self.sections for row in section.rows)


def find(name: str) -> tuple[str, str]:
    """The subject that a name or the number of an equation belongs to: (subject, number or nothing).

    >>> find("lstm"), find("L10"), find("gru-reset-before")
    (('lstm', ''), ('lstm', 'L10'), ('gru_reset_before', ''))

    Raises:
      UnknownSubjectError: neither.
    """
    wanted = name.lower().replace("-", "_")
    if wanted in SUBJECTS:
        return wanted, ""
    number = name.upper()
    if number in EQUATIONS:
        return next(subject for subject in SUBJECTS if letter(subject) == number[0]), number
    near = difflib.get_close_matches(wanted, SUBJECTS, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownSubjectError(
        f"there is nothing to read about {name!r}: expected an equation's number, or {', '.join(SUBJECTS)}{hint}"
    )


def read(name: str, sources: Sources | None = None) -> Reading:
    """Reads one subject from the source files.

    Args:
      name: one of SUBJECTS.
      sources: the files; None stands for those of the installed package.

    Raises:
      MissingEquationError: an equation's number is missing in a half where it must stand.
      UnknownSymbolError: a symbol of an equation that nobody explains.
    """
    sources = sources or Sources()
    reader = _Cell(name, sources) if name in CELLS else _Other(name, sources)
    about = sources.file(f"readable/{name}.py").docstring
    sections = tuple(Section(title, tuple(rows), reader.note(title)) for title, rows in reader.sections() if rows)
    return Reading(name, SUBJECTS[name], about, reader.blocks, reader.gates, sections, reader.listings())


def letter(name: str) -> str:
    """The letter of a subject's own equations."""
    return OTHERS[name][0] if name in OTHERS else _module(name).step.equations[0].id[0]


def _module(name: str):
    return importlib.import_module(f"minirnn.readable.{name}")


class _Other:
    """Modules that are no cells: every equation of one letter."""

    gates: tuple[str, ...] = ()

    def __init__(self, name: str, sources: Sources) -> None:
        self.name, self.sources = name, sources
        self.blocks: int | None = None

    def sections(self) -> Iterator[tuple[str, list[Row]]]:
        equations = [e for e in EQUATIONS.values() if e.id[0] == OTHERS[self.name][0]]
        if self.name == "optimizers":
            yield "Updates", [self.row(e) for e in equations]
            return
        yield "Forward", [self.row(e) for e in equations if e.where in ("both", "search")]
        yield "Backward", [self.row(e) for e in equations if e.where in ("readable", "engines")]

    def note(self, title: str) -> str:
        return ""

    def listings(self) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        return (), ()

    def row(self, equation: Equation) -> Row:
        told = {}
        for symbol in symbols(parse(equation.latex)):
            told[symbol.latex] = (symbol, meaning(symbol, equation.id, self.blocks))
        return Row(
            equation, self.numpy(equation), self.jax(equation), tuple(told.values()), _REMARKS.get(equation.id, "")
        )

    def numpy(self, equation: Equation) -> Half:
        if equation.where == "search":
            return Half(tuple(self.sources.file("search.py").required(equation.id)), note="shared by both halves")
        return self.engine("readable", equation.id, self.name)

    def jax(self, equation: Equation) -> Half:
        if equation.where == "search":
            return self.numpy(equation)
        if equation.id in OPTAX:
            return Half(note=f"`optax.{OPTAX[equation.id]}` computes it")
        if equation.where == "readable":
            return Half(note="derived by `jax.grad` from the forward lines")
        return self.engine("fast", equation.id, self.name)

    def engine(self, half: str, number: str, walker: str) -> Half:
        """The lines of an equation in a module's file, or in the engine's where the module is one."""
        file = self.sources.file("fast/scan.py" if (half, walker) == ("fast", "engine") else f"{half}/{walker}.py")
        pieces = tuple(file.required(number))
        if walker == "engine" and half == "fast" and number in ("P3", "P4", "P5"):
            return Half(pieces, before=tuple(file.assigned("_products", "joined")))
        if walker == "engine" and half == "readable" and number in _HELPERS:
            helper = _HELPERS[number]
            return Half(pieces, note=f"the product stands in `{helper}`", see=file.whole(helper))
        return Half(pieces)


class _Cell(_Other):
    """A cell: its own equations, and those of the engine that walks it."""

    def __init__(self, name: str, sources: Sources) -> None:
        super().__init__(name, sources)
        module = _module(name)
        spans = {e.id: e for e in (*module.step.equations, *module.backward.equations)}
        self.equations = tuple(spans.values())
        self.linear = any(e.id[0] == "H" for e in self.equations)
        self.walker = "linear" if self.linear else "engine"
        cell = module.CELL if hasattr(module, "CELL") else module.cell()
        self.blocks = cell.blocks
        self.adds = getattr(cell, "adds", False)
        # The blocks are named by the constant of the cell's family; an RNN has one block, and no name for it.
        orders = {"lstm": "LSTM_GATES", "lstm_single_state": "LSTM_GATES", "gru": "GRU_GATES"}
        orders |= {"gru_reset_before": "GRU_GATES"}
        constant = orders.get(name, f"{name.upper()}_GATES")
        self.gates = tuple(getattr(params, constant, ()))

    def sections(self) -> Iterator[tuple[str, list[Row]]]:
        forward = [e for e in self.equations if e.where == "both"]
        backward = [e for e in self.equations if e.where != "both" and e.id[0] != "P"]
        yield "Forward", [self.row(e) for e in forward]
        yield "Backward", [self.row(e) for e in backward]
        yield "Products", [self.row(e) for e in self.equations if e.id[0] == "P"]

    def note(self, title: str) -> str:
        if title == "Backward":
            return (
                "From the last step to the first. A superscript + marks what arrives at step t from step t+1; dy is "
                "the gradient of the loss with respect to each output alone."
            )
        if title == "Products" and self.adds:
            sums = "da" if self.name == "gru_two_state" else "dz"
            return (
                f"In this cell zx = x Wx + b and zh = h Wh occur only as their sum, so dzx = dzh = {sums}. "
                "A sum over t is also one over the sequences of the batch."
            )
        return "A sum over t is also one over the sequences of the batch." if title == "Products" else ""

    def listings(self) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        forward = "coefficients" if self.linear else "update"
        readable = self.sources.file(f"readable/{self.name}.py")
        fast = self.sources.file(f"fast/{self.name}.py")
        return (readable.whole(forward), readable.whole(f"{forward}_backward")), (fast.whole(forward),)

    def numpy(self, equation: Equation) -> Half:
        number = equation.id
        if number[0] in "PH":
            return self.engine("readable", number, self.walker)
        pieces = tuple(self.sources.file(f"readable/{self.name}.py").required(number))
        before = self._before("readable", equation)
        if before and not self.linear:
            see = self.sources.file("readable/engine.py").calling("np.matmul")
            return Half(pieces, before, note="of a whole sequence zx is one product for all steps", see=see)
        return Half(pieces, before, **self._product("readable", equation))

    def jax(self, equation: Equation) -> Half:
        number = equation.id
        if number[0] in "PH":
            if self.linear and number == "P5":  # the bias is added outside of the gradient that is written by hand
                return Half(note="derived by JAX, which sums the gradient of `+ params.b`", see=self._bias())
            found = self.engine("fast", number, self.walker)
            # The gradient of our own only serves products whose factors are rounded.
            return replace(found, note=ROUNDED) if self.linear and number in ("P2", "P3") else found
        if equation.where == "both":
            pieces = tuple(self.sources.file(f"fast/{self.name}.py").required(number))
            before = self._before("fast", equation)
            if before and not self.linear:
                see = self.sources.file("fast/scan.py").whole("_forward_step")
                return Half(pieces, before, note="of a whole sequence `_forward_step` forms both", see=see)
            return Half(pieces, before)
        if self.linear:
            see = self.sources.file(f"fast/{self.name}.py").whole("coefficients")
            return Half(note="derived by `jax.grad` from the lines of `coefficients`", see=see)
        scan = self.sources.file("fast/scan.py")
        by_hand = tuple(scan.find(number))
        if by_hand:
            return Half(by_hand, note="this product is not left to `jax.vjp`")
        product = self._product("fast", equation)
        derived = "derived by `jax.vjp` of `update`"
        note = f"{derived}; {product['note']}" if product else derived
        return Half(product.get("pieces", ()), note=note, see=scan.calling("jax.vjp"))

    def _bias(self) -> Piece:
        return self.sources.file("fast/linear.py").assigned("_run", "zx")[0]

    def _before(self, half: str, equation: Equation) -> tuple[Piece, ...]:
        """The lines of the engine that form the pre-activations, for the equation that speaks of them."""
        if equation.where != "both" or not any(s.latex == "W_x" for s in symbols(parse(equation.latex))):
            return ()
        if self.linear:
            return tuple(self.sources.file(f"{half}/linear.py").assigned("step", "a"))
        function = "step" if half == "readable" else "_step"
        return tuple(self.sources.file(f"{half}/engine.py").assigned(function, "zx", "zh"))

    def _product(self, half: str, equation: Equation) -> dict:
        """Of an equation that ends in a product with W_h, that product: the engine adds it."""
        if equation.where != "readable" or not equation.latex.startswith(r"dh^{+}_{t-1}"):
            return {}
        pieces = self.engine(half, "P1", self.walker).pieces
        if half == "readable":  # the cell's own line comes first
            return {"note": ADDS_P1, "see": pieces[-1]}
        return {"note": ADDS_P1, "pieces": pieces}
