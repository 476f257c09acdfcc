"""Cells that the library does not have: exercises whose answers are nowhere in it, for grades.

Each brings its forward pass; the student derives the backward pass. What is right is found by nudging the forward pass
(:mod:`minirnn.learn.exercises.nudging`), so that no derivation stands here.
"""

from __future__ import annotations

import functools
import re
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.learn.exercises import nudging
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.sizes import draw
from minirnn.learn.programs import Function

_SHAPES = {"x": "(B, D)", "b": "({G}H,)", "Wx": "(D, {G}H)", "Wh": "(H, {G}H)"}


@dataclass(frozen=True)
class Variant:
    """A cell without a derivation.

    Args:
      name: of the exercise.
      title: in words, for a heading.
      source: where the cell comes from.
      forward: its step as Python: assignments, one idea a line.
      blocks: of H columns in Wx and b.
      shapes: of the arguments that are neither (B, H) nor Wx, Wh, b as usual.
      asked: the names of the gradients that the student writes, without d, in an order in which they can be computed.
      required: the gradients without which an answer is none.
    """

    name: str
    title: str
    source: str
    forward: str
    blocks: int
    asked: tuple[str, ...]
    required: tuple[str, ...]
    shapes: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def function(self) -> Function:
        """The forward pass, compiled."""
        return Function(self.forward)

    @property
    def state(self) -> tuple[str, ...]:
        """Parts of the state."""
        return tuple(name.removesuffix("_prev") for name in self.function.arguments if name.endswith("_prev"))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the weights."""
        return tuple(name for name in self.function.arguments if name != "x" and not name.endswith("_prev"))

    @functools.cached_property
    def cache(self) -> Any:
        """The named tuple that one backward step is given: everything that the forward step knows."""
        computed = [name for statement in self.function.statements or () for name in statement.assigned]
        kept = [name for name in computed if not re.match(r"z", name)]
        return namedtuple("Cache", [*self.function.arguments[: 1 + len(self.state)], *kept, *self.parameters])

    def shape(self, name: str) -> str:
        """The shape of an argument, in words."""
        G = "" if self.blocks == 1 else str(self.blocks)
        return dict(self.shapes).get(name) or _SHAPES.get(name, "(B, H)").format(G=G)

    def given(self) -> str:
        """The forward pass as it stands in the student's file."""
        width = max(map(len, self.function.arguments))
        rows = [f"      {name:<{width}}  {self.shape(name)}" for name in self.function.arguments]
        head, body = self.forward.split("\n", 1)
        words = f'    """One step of the {self.title}.\n\n' + "\n".join(rows) + '\n    """\n'
        return f"{head}\n{words}{body}"

    def stub(self) -> str:
        """What the student fills in: above each group of blanks the lines that they differentiate."""
        arrives = [f"d{part}_next" for part in self.state]
        parts = {"h": "output h", "c": "memory cell c"}
        rows = [
            "      dy       (B, H)   gradient of the loss with respect to the output h of this step alone",
            *(f"      {name}  (B, H)   what arrives at this step's {parts[name[1]]} from step t+1" for name in arrives),
            f"      cache             of the forward step: {', '.join(self.cache._fields)}",
        ]
        lines, above = [], None
        for name in self.asked:
            heading = self._reads(name)
            if name == "h":
                heading = "# h is the output of this step, and it enters the next one: two gradients arrive."
            if heading != above:
                lines += [f"    {line}" for line in heading.splitlines()]
                above = heading
            lines.append(f"    d{name} = ...")
        returned = ",\n        ".join(
            ", ".join(f'"d{name}": d{name}' for name in self.asked[k : k + 6]) for k in range(0, len(self.asked), 6)
        )
        return (
            f"def step_backward(dy, {', '.join(arrives)}, cache):\n"
            f'    """One step of the {self.title} backward: every gradient by name.\n\n'
            + "\n".join(rows)
            + f'\n    """\n    {", ".join(self.cache._fields)} = cache\n'
            + "\n".join(lines)
            + f"\n    return {{\n        {returned},\n    }}\n"
        )

    def _reads(self, name: str) -> str:
        """The lines of the forward pass in whose right side a quantity stands."""
        lines = [line.strip() for line in self.forward.splitlines()[1:] if " = " in line]
        return "\n".join(f"# {line}" for line in lines if re.search(rf"\b{name}\b", line.split(" = ", 1)[1]))

    def cases(self, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
        """Random numbers, none of them zero."""
        _, B, D, H = draw(rng)
        sizes = {"B": B, "D": D, "H": H}
        given = {}
        for name in self.function.arguments:
            letters = re.findall(r"(\d*)([BDH])", self.shape(name))
            size = [int(times or 1) * sizes[letter] for times, letter in letters]
            given[name] = rng.standard_normal(size) * (0.6 if name.startswith("W") else 1.0)
        known = nudging.values(self.function, given)
        arrives = {f"d{part}_next": rng.standard_normal((B, H)) for part in self.state}
        cache = self.cache(*(known[name] for name in self.cache._fields))
        return {"values": {"dy": rng.standard_normal((B, H)), **arrives, "cache": cache}}

    def truth(self, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
        """Every gradient, by nudging."""
        given = {name: getattr(arguments["cache"], name) for name in self.function.arguments}
        return nudging.gradients(self.function, given, nudging.added(self._arrives(arguments)), self.asked)

    def ways(self, arguments: dict[str, Any], gradient: str) -> list[nudging.Way]:
        """What comes back to a quantity on each way."""
        given = {name: getattr(arguments["cache"], name) for name in self.function.arguments}
        return nudging.ways(self.function, given, self._arrives(arguments), gradient[1:])

    def _arrives(self, arguments: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
        """The gradients that arrive from outside, by the part of the state at which they do."""
        arrives = {part: {f"d{part}_next": arguments[f"d{part}_next"]} for part in self.state}
        return {**arrives, "h": {"dy": arguments["dy"], **arrives["h"]}}


VARIANTS = (
    Variant(
        name="leaky_unit",
        title="leaky unit",
        source="Jaeger et al. 2007, Optimization and applications of echo state networks with leaky-integrator neurons",
        forward="""def step(x, h_prev, Wx, Wh, b, v):
    a = sigmoid(v)
    z = x @ Wx + h_prev @ Wh + b
    n = np.tanh(z)
    h = (1 - a) * h_prev + a * n
    return h
""",
        blocks=1,
        shapes=(("v", "(H,)"),),
        asked=("h", "n", "a", "v", "z", "h_prev", "x", "Wx", "Wh", "b"),
        required=("dh_prev", "dx", "dWx", "dWh", "db", "dv"),
    ),
    Variant(
        name="coupled_gates",
        title="LSTM with coupled gates",
        source="Greff et al. 2017, LSTM: a search space odyssey, arXiv 1503.04069",
        forward="""def step(x, h_prev, c_prev, Wx, Wh, b):
    z = x @ Wx + h_prev @ Wh + b
    z_f, z_g, z_o = np.split(z, 3, axis=-1)
    f = sigmoid(z_f)
    g = np.tanh(z_g)
    o = sigmoid(z_o)
    c = f * c_prev + (1 - f) * g
    h = o * np.tanh(c)
    return h, c
""",
        blocks=3,
        asked=("h", "o", "c", "f", "g", "z_f", "z_g", "z_o", "z", "c_prev", "h_prev", "x", "Wx", "Wh", "b"),
        required=("dc_prev", "dh_prev", "dx", "dWx", "dWh", "db"),
    ),
    Variant(
        name="minimal_gated_unit",
        title="minimal gated unit",
        source="Zhou et al. 2016, Minimal gated unit for recurrent neural networks, arXiv 1603.09420",
        forward="""def step(x, h_prev, Wx, Wh_f, Wh_n, b):
    z = x @ Wx + b
    z_f, z_n = np.split(z, 2, axis=-1)
    f = sigmoid(z_f + h_prev @ Wh_f)
    u = f * h_prev
    n = np.tanh(z_n + u @ Wh_n)
    h = (1 - f) * h_prev + f * n
    return h
""",
        blocks=2,
        shapes=(("Wh_f", "(H, H)"), ("Wh_n", "(H, H)")),
        asked=("h", "n", "z_n", "u", "f", "z_f", "z", "h_prev", "x", "Wx", "Wh_f", "Wh_n", "b"),
        required=("dh_prev", "dx", "dWx", "dWh_f", "dWh_n", "db"),
    ),
    Variant(
        name="peephole",
        title="LSTM with peepholes",
        source="Gers and Schmidhuber 2000, Recurrent nets that time and count",
        forward="""def step(x, h_prev, c_prev, Wx, Wh, b, p_i, p_f, p_o):
    z = x @ Wx + h_prev @ Wh + b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    i = sigmoid(z_i + p_i * c_prev)
    f = sigmoid(z_f + p_f * c_prev)
    g = np.tanh(z_g)
    c = f * c_prev + i * g
    o = sigmoid(z_o + p_o * c)
    h = o * np.tanh(c)
    return h, c
""",
        blocks=4,
        shapes=(("p_i", "(H,)"), ("p_f", "(H,)"), ("p_o", "(H,)")),
        asked=(
            *("h", "o", "z_o", "c", "i", "f", "g", "z_i", "z_f", "z_g", "z", "c_prev", "h_prev", "x", "Wx", "Wh", "b"),
            *("p_i", "p_f", "p_o"),
        ),
        required=("dc_prev", "dh_prev", "dx", "dWx", "dWh", "db", "dp_i", "dp_f", "dp_o"),
    ),
)

_TASK = (
    "This cell is not in the library, and its derivation is not either ({source}). Its forward step stands below; "
    "derive the backward step. Above each group of lines stand the lines of the forward step in which the quantity is "
    "read: its gradient has a term for each time that it is. The check tells which quantity is wrong first, which "
    "of its terms is missing, and what your own line computes, as far as the numbers tell. It does not tell the right "
    "line: that is written down nowhere."
)
_HINTS = {
    "leaky_unit": (
        "h_prev stands in two lines: once directly, once inside of z. So its gradient has two terms.",
        "a is one number for each unit, shared by all sequences of the batch: what each of them says is added up.",
        "h moves with a by the difference of what a mixes. And a is a sigma: its slope is written with a alone.",
    ),
    "coupled_gates": (
        "One gate does the work of two: f stands twice in the line of c.",
        "c moves with f by the difference of what f mixes. Compare with the update gate of a GRU.",
        "z has three blocks, f, g, o, and dz has to have them in this order. All else is as in the LSTM.",
    ),
    "minimal_gated_unit": (
        "f stands in two lines, u and h: its gradient has a term from each.",
        "Go from n to its pre-activation, from there through Wh_n to u, and from u to f and to h_prev.",
        "h_prev is read three times: directly in h, in u, and inside of f.",
    ),
    "peephole": (
        "c is read twice in its own step: by h, and by the output gate. And once more in the next step.",
        "So the output gate comes first: what arrives at z_o goes through p_o to c. c_prev is read three times.",
        "p_i, p_f and p_o are one number for each unit: their gradient is summed over the batch.",
    ),
}
_DIFFICULTY = {"leaky_unit": (2, 20), "coupled_gates": (3, 30), "minimal_gated_unit": (4, 40), "peephole": (5, 60)}


def _exercise(variant: Variant) -> Exercise:
    difficulty, minutes = _DIFFICULTY[variant.name]
    before = {"leaky_unit": "rnn", "minimal_gated_unit": "gru_reset_before"}.get(variant.name, "lstm")
    return Exercise(
        name=variant.name,
        title=f"{variant.title[0].upper()}{variant.title[1:]}: one step backward",
        task=_TASK.format(source=variant.source),
        difficulty=difficulty,
        minutes=minutes,
        before=(f"{before}_step_backward",),
        equations="",
        text=variant.stub,
        function="step_backward",
        cases=variant.cases,
        required=variant.required,
        upstream=("dy", *(f"d{part}_next" for part in variant.state)),
        hints=_HINTS[variant.name],
        errors="float64 arrays agree to about 1e-15 (||yours - right|| / ||right||); 1e-7 if you compute in float32.",
        needs_sigmoid=True,
        solved=False,
        truth=variant.truth,
        ways=variant.ways,
        given=variant.given(),
    )


EXERCISES = tuple(_exercise(variant) for variant in VARIANTS)
