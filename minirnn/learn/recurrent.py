"""The worked answers of the recurrent exercises, written by the equations themselves.

For each of four cells: one step forward, one step backward, and the walk back through a sequence. Every line that
computes an equation is translated from :mod:`minirnn.equations`; above the lines of a backward step stands the forward
equation that they differentiate.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from minirnn.equations import Equation, select
from minirnn.learn.formulas import python_line


@dataclass(frozen=True)
class Lesson:
    """What sets one cell's exercises apart.

    Args:
      module: its name in both halves of the library.
      title: in words.
      forward: span of its forward equations.
      backward: spans of its backward equations, products included, in the order of computing.
      state: parts of the state that are carried from step to step.
      weights: arrays of weights, by name.
      cache: what one backward step is given, by name.
      split: lines after the equation of this number that cut arrays into gates.
      join: lines after the equation of this number that put gradients of gates together, with their labels.
      renamed: names, or pieces of text, that the lesson writes otherwise.
    """

    module: str
    title: str
    forward: str
    backward: str
    state: tuple[str, ...]
    weights: tuple[str, ...]
    cache: tuple[str, ...]
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    join: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def gradients(self) -> tuple[str, ...]:
        """The gradients of the weights."""
        return tuple(f"d{name}" for name in self.weights)


_ONE = {"dzx": "dz", "dzh": "dz"}  # zx and zh occur only as their sum: one gradient
LESSONS = {
    "rnn": Lesson(
        module="rnn",
        title="vanilla RNN",
        forward="R1-R2",
        backward="R3-R4, P1-P5",
        state=("h",),
        weights=("Wx", "Wh", "b"),
        cache=("x", "h_prev", "z", "h", "Wx", "Wh"),
        renamed={**_ONE, r"\phi'(z)": "(1 - h**2)", r"\phi(z)": "np.tanh(z)"},
    ),
    "lstm": Lesson(
        module="lstm",
        title="LSTM",
        forward="L1-L7",
        backward="L8-L18, P1-P5",
        state=("h", "c"),
        weights=("Wx", "Wh", "b"),
        cache=("x", "h_prev", "c_prev", "i", "f", "g", "o", "c", "h", "Wx", "Wh"),
        split={"L1": ("z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)",)},
        join={"L17": ("dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)  # [order of the gates]",)},
        renamed=_ONE,
    ),
    "gru": Lesson(
        module="gru",
        title="GRU that resets after the product",
        forward="G1-G5",
        backward="G6-G15, P2-P5",
        state=("h",),
        weights=("Wx", "Wh", "b", "b_hn"),
        cache=("x", "h_prev", "r", "z", "n", "zh_n", "h", "Wx", "Wh", "b_hn"),
        split={
            "G1": ("zx_r, zx_z, zx_n = np.split(zx, 3, axis=-1)", "zh_r, zh_z, zh_n = np.split(zh, 3, axis=-1)"),
        },
        join={
            "G13": (
                "dzx = np.concatenate([dzx_r, dzx_z, dzx_n], axis=-1)  # [order of dzx]",
                "dzh = np.concatenate([dzx_r, dzx_z, dzh_n], axis=-1)  # [order of dzh]",
            )
        },
    ),
    "gru_reset_before": Lesson(
        module="gru_reset_before",
        title="GRU that resets before the product",
        forward="B1-B6",
        backward="B7-B15, P2-P6",
        state=("h",),
        weights=("Wx", "Wh", "b"),
        cache=("x", "h_prev", "r", "z", "n", "u", "h", "Wx", "Wh_rz", "Wh_n"),
        split={
            "B1": ("zx_r, zx_z, zx_n = np.split(zx, 3, axis=-1)", "zh_r, zh_z = np.split(zh, 2, axis=-1)"),
        },
        join={
            "B14": (
                "dz_rz = np.concatenate([dz_r, dz_z], axis=-1)  # [order of dz_rz]",
                "dzx = np.concatenate([dz_r, dz_z, dz_n], axis=-1)  # [order of dzx]",
            ),
            "P6": ("dWh = np.concatenate([dWh_rz, dWh_n], axis=-1)",),
        },
        renamed={"dWh =": "dWh_rz =", "dzh": "dz_rz"},
    ),
}

_SHAPES = {
    "x": "(B, D)", "h_prev": "(B, H)", "c_prev": "(B, H)", "h": "(B, H)", "c": "(B, H)", "z": "(B, H)", "b_hn": "(H,)",
    "zh_n": "(B, H)", "u": "(B, H)", "n": "(B, H)",
}  # fmt: skip
_MEANINGS = {
    "x": "input", "h_prev": "h before the step", "c_prev": "memory cell before the step", "h": "h after the step",
    "c": "memory cell after the step", "i": "input gate", "f": "forget gate", "g": "candidate memory",
    "o": "output gate", "r": "reset gate", "z": "update gate", "n": "candidate state",
    "zh_n": "the candidate's block of h_prev @ Wh", "u": "r * h_prev", "b_hn": "bias inside of the reset",
    "Wx": "input weights", "Wh": "recurrent weights", "b": "bias", "Wh_rz": "recurrent weights of r and z",
    "Wh_n": "recurrent weights of the candidate",
}  # fmt: skip


def _line(lesson: Lesson, number: str) -> str:
    line = python_line(number)
    for name, other in lesson.renamed.items():
        line = re.sub(rf"\b{name}\b", other, line) if name.isidentifier() else line.replace(name, other)
    return line


def _blocks(lesson: Lesson) -> int:
    return {"rnn": 1, "lstm": 4}.get(lesson.module, 3)


def _shape(lesson: Lesson, name: str) -> str:
    G = {1: "", 3: "3", 4: "4"}[_blocks(lesson)]
    weights = {"Wx": f"(D, {G}H)", "Wh": f"(H, {G}H)", "b": f"({G}H,)", "Wh_rz": "(H, 2H)", "Wh_n": "(H, H)"}
    return weights.get(name) or _SHAPES.get(name, "(B, H)")


def _described(lesson: Lesson, names: tuple[str, ...]) -> list[str]:
    meanings = {**_MEANINGS, **({"z": "pre-activation"} if lesson.module == "rnn" else {})}
    width = max(map(len, names))
    return [f"      {name:<{width}}  {_shape(lesson, name):<8} {meanings[name]}" for name in names]


def step_text(lesson: Lesson) -> str:
    """One step forward: ``step(x, h_prev, ..., Wx, Wh, b) -> {name: array}``."""
    given = ("x", *(f"{part}_prev" for part in lesson.state), *lesson.weights)
    code: list[str] = []
    names: list[str] = []
    for equation in select(lesson.forward):
        code.append(f"    # {equation.id}  {equation.plain}")
        line = _line(lesson, equation.id)
        code.append(f"    {line}  # {equation.id}")
        names += line.split(" = ")[0].split(", ")
        rows, last = _unpacked_weights(lesson, equation.id), lesson.split.get(equation.id, ())
        code[-2:-2] = [f"    {row}" for row in rows]
        code += [f"    {row}" for row in last]
    returned = list(dict.fromkeys(names))
    return "\n".join(
        [
            f"def step({', '.join(given)}):",
            f'    """One step of the {lesson.title}: every intermediate by name.',
            "",
            *_described(lesson, given),
            '    """',
            *code,
            f"    return {_as_dict(returned)}",
            "",
        ]
    )


def _unpacked_weights(lesson: Lesson, number: str) -> tuple[str, ...]:
    if lesson.module == "gru_reset_before" and number == "B1":
        return ("Wh_rz, Wh_n = Wh[:, : 2 * len(Wh)], Wh[:, 2 * len(Wh) :]",)
    return ()


def _as_dict(names) -> str:
    """A dictionary of these names, over several lines where one would be too long."""
    pairs = [f'"{name}": {name}' for name in names]
    if len(", ".join(pairs)) < 90:
        return "{" + ", ".join(pairs) + "}"
    lines = textwrap.wrap(", ".join(pair.replace(" ", "\0") for pair in pairs), 100)
    return "{\n" + "".join(f"        {line}\n" for line in lines).replace("\0", " ") + "    }"


def _asked_by(lesson: Lesson, name: str) -> tuple[Equation, ...]:
    """The forward equations in whose right side stands what ``d<name>`` is the gradient of."""
    forwards = select(lesson.forward)
    wanted = name[1:]  # dh_prev -> h_prev
    if wanted in ("Wh_rz", "Wh_n", "Wh"):
        wanted = {"gru_reset_before": wanted}.get(lesson.module, "Wh")
    found = []
    for equation in forwards:
        line = _line(lesson, equation.id)
        if re.search(rf"\b{wanted}\b", line.split(" = ", 1)[1]):
            found.append(equation)
    return tuple(found)


def step_backward_text(lesson: Lesson) -> str:
    """One step backward: ``step_backward(dy, dh_next, ..., cache) -> {name: gradient}``."""
    arrives = tuple(f"d{part}_next" for part in lesson.state)
    code, names, above = [], [], None
    for equation in select(lesson.backward):
        line = _line(lesson, equation.id)
        targets = line.split(" = ")[0].split(", ")
        asked = _asked_by(lesson, targets[0])
        heading = [f"    # {e.id}  {e.plain}" for e in asked]
        if targets == ["dh"]:
            heading = ["    # h is the output of this step, and it enters the next one: two gradients arrive."]
        if heading and heading != above:
            code += heading
            above = heading
        code.append(f"    {line}  # {equation.id}")
        names += targets
        for joined in lesson.join.get(equation.id, ()):
            code.append(f"    {joined}")
            names += [joined.split(" = ")[0]]
            above = None
    parts = {"h": "output h", "c": "memory cell c"}
    described = [
        "      dy       (B, H)   gradient of the loss with respect to the output of this step alone",
        *(f"      {name}  (B, H)   what arrives at this step's {parts[name[1]]} from step t+1" for name in arrives),
        f"      cache             of the forward step: {', '.join(lesson.cache)}",
    ]
    return "\n".join(
        [
            f"def step_backward(dy, {', '.join(arrives)}, cache):",
            f'    """One step of the {lesson.title} backward: every gradient by name.',
            "",
            *described,
            '    """',
            f"    {', '.join(lesson.cache)} = cache",
            *code,
            f"    return {_as_dict(names)}",
            "",
        ]
    )


def backward_text(lesson: Lesson) -> str:
    """The walk back: ``backward(dys, dh_T, ..., caches) -> {name: gradient}``, with the step above it."""
    last = [f"d{part}_T" for part in lesson.state]
    carried = [f"d{part}_next" for part in lesson.state]
    handed = [f'step["d{part}_prev"]' for part in lesson.state]
    first = [f"d{part}0" for part in lesson.state]
    sums = ", ".join(f'"{name}"' for name in lesson.gradients)
    words = {"dh_T": "with respect to the last h", "dc_T": "with respect to the last c"}
    walk = [
        f"def backward(dys, {', '.join(last)}, caches):",
        f'    """Backpropagation through time for the {lesson.title}.',
        "",
        "      dys     (T, B, H)  gradient of the loss with respect to each output alone",
        *(f"      {name}    (B, H)     {words[name]}" for name in last),
        "      caches  T of them, caches[t] of the forward step t",
        "",
        f"    Returns dxs (T, B, D), {', '.join(first)} (of the initial state), {', '.join(lesson.gradients)}.",
        '    """',
        "    T = len(caches)",
        f"    dxs, sums = [None] * T, dict.fromkeys([{sums}], 0.0)",
        "    # blank: walk from the last step to the first",
        f"    {', '.join(carried)} = {', '.join(last)}  # [final state]",
        "    for t in reversed(range(T)):",
        "        dy = dys[t]  # [output]",
        "        cache = caches[t]  # [cache]",
        f"        step = step_backward(dy, {', '.join(carried)}, cache)",
        '        dxs[t] = step["dx"]  # [dx]',
        "        sums = {name: sums[name] + step[name] for name in sums}  # [sum]",
        f"        {', '.join(carried)} = {', '.join(handed)}  # [carry]",
        f"    {', '.join(first)} = {', '.join(carried)}  # [initial state]",
        "    # end",
        f'    return {{"dxs": np.stack(dxs), {", ".join(f"{chr(34)}{n}{chr(34)}: {n}" for n in first)}, **sums}}',
        "",
    ]
    return step_backward_text(lesson) + "\n\n" + "\n".join(walk)


# What the vanilla RNN's equations are called in the other cells: dh, dz, and dh before the step.
_SAME = {
    "lstm": {"R3": "L8", "R4": "L9", "P1": "P1"},
    "gru": {"R3": "G6", "R4": "G7", "P1": "G15"},
    "gru_reset_before": {"R3": "B7", "R4": "B8", "P1": "B15"},
}


def number_in(exercise: str, number: str) -> str:
    """The number, in the cell of an exercise, of an equation that every cell has.

    >>> number_in("lstm_backward", "R3"), number_in("rnn_backward", "R3"), number_in("gru_reset_before_backward", "P1")
    ('L8', 'R3', 'B15')
    """
    cell = next((name for name in sorted(_SAME, key=len, reverse=True) if exercise.startswith(name)), "")
    return _SAME.get(cell, {}).get(number, number)
