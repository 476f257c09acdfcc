"""The printed equations: numbered once, marked where they are computed, and true of what the code computes."""

import re
from pathlib import Path

import numpy as np
import parity
import pytest

import minirnn
from minirnn import readable
from minirnn.equations import EQUATIONS, SYMBOLS, plain, select
from minirnn.params import GRU_GATES, LSTM_GATES, MINGRU_GATES, MINLSTM_GATES, gate_block
from minirnn.readable import losses, optimizers
from minirnn.readable.activations import ACTIVATIONS, sigmoid

ROOT = Path(minirnn.__file__).parent


def numbers_in(path: Path) -> set[str]:
    """Equation numbers in the comments of a file."""
    comments = re.findall(r"#(.*)", path.read_text())
    return {number for comment in comments for number in re.findall(r"\b[A-Z]\d+\b", comment)}


FILES = {
    "R": "rnn.py", "L": "lstm.py", "G": "gru.py", "M": "mingru.py", "N": "minlstm.py", "H": "linear.py",
    "P": "engine.py", "E": "losses.py", "O": "optimizers.py",
}  # fmt: skip


@pytest.mark.parametrize("number", EQUATIONS)
def test_a_number_stands_on_the_line_that_computes_it(number):
    equation = EQUATIONS[number]
    halves = {"both": ("readable", "fast"), "engines": ("readable", "fast"), "readable": ("readable",)}[equation.where]
    for half in ("readable", "fast"):
        path = ROOT / half / FILES[number[0]]
        found = path.exists() and number in numbers_in(path)
        assert found == (half in halves), f"{number} in {half}/{path.name}"


@pytest.mark.parametrize("number", [n for n, e in EQUATIONS.items() if re.match(r"d?[a-z]_t =", e.latex) and n != "L1"])
@pytest.mark.parametrize("half", ["readable", "fast"])
def test_the_marked_line_assigns_what_the_equation_defines(number, half):
    equation = EQUATIONS[number]
    if (half == "fast" and equation.where != "both") or equation.where == "engines":
        return
    name = equation.latex.split("_t")[0]
    lines = (ROOT / half / FILES[number[0]]).read_text().splitlines()
    marked = [line.strip() for line in lines if re.search(rf"#.*\b{number}\b", line)]
    assert any(line.startswith(f"{name} = ") for line in marked), marked


def test_no_comment_cites_a_number_that_does_not_exist():
    for path in [*(ROOT / "readable").glob("*.py"), *(ROOT / "fast").glob("*.py")]:
        unknown = {n for n in numbers_in(path) if n[0] in FILES} - set(EQUATIONS)
        assert not unknown, f"{path.name}: {unknown}"


# ---------------------------------------------------------------- evaluating the LaTeX

_TRANSLATION = [
    (r"\\quad", ";"),
    (r"\\leftarrow", "="),
    (r"\\\|d\\\|", "norm(d)"),
    (r"\|([^|]+)\|", r"abs(\1)"),
    (r"\\sqrt\{([^}]*)\}", r"sqrt(\1)"),
    (r"\\odot", "*"),
    (r"\\,", "@"),
    (r"\\ell'\(p\)", "ell_prime"),
    (r"\\phi'", "dphi"),
    (r"\\sum_t", " "),
    (r"([A-Za-z]+(?:_(?:\w|\{[^}]*\}))*)\^\\top", r"T(\1)"),
    (r"\\(sigma|tanh|phi|min|max|exp|log|sum|delta|tau|eta|mu|rho|beta|epsilon|ell)", r"\1"),
    (r"\^\{([a-z+]+)\}", lambda m: "_" + m[1].replace("+", "next")),
    (r"_\{t-1\}", "_before"),
    (r"_\{(\w+)\}", r"_\1"),
    (r"\^", "**"),
]


def python_of(latex: str) -> list[tuple[str, str]]:
    """The assignments of an equation as (name, Python expression)."""
    for pattern, replacement in _TRANSLATION:
        latex = re.sub(pattern, replacement, latex)
    return [tuple(part.strip(" ,") for part in assignment.split("=", 1)) for assignment in latex.split(";")]


FUNCTIONS = {
    "sigma": sigmoid, "tanh": np.tanh, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sum": np.sum,
    "min": np.minimum, "max": np.maximum, "norm": optimizers.global_norm, "T": np.transpose,
}  # fmt: skip


def check(span: str, known: dict, computed: dict, rtol=1e-12) -> set[str]:
    """Evaluates the equations in order: what the code also computed must be equal, the rest is defined for later."""
    scope, compared = dict(known), set()
    for equation in select(span):
        for name, expression in python_of(equation.latex):
            value = eval(expression, {"__builtins__": {}}, {**FUNCTIONS, **scope})
            if name in computed:
                np.testing.assert_allclose(value, computed[name], rtol=rtol, atol=1e-15, err_msg=equation.plain)
                compared.add(equation.id)
            scope[name] = computed.get(name, value)
    return compared


def one_step(cell, options=None):
    """A step of one sequence (row vectors), forward and backward, with everything that the code computed, by name."""
    case = parity.make_case(cell, options, T=1, B=1, ragged=False)
    module, p = getattr(readable, cell), case.params
    y, new, cache = module.step(p, case.xs[0], case.state, **case.options)
    dparams, dx, dbefore = module.step_backward(case.dys[0], case.dstate, cache)
    dzx, dzh, *_ = cache.cell.update_backward(
        case.dys[0], case.dstate, cache.gates, cache.zh, case.state, params_extra(p)
    )
    dgates = module.gate_gradients(case.dys, case.dstate, parity.readable_forward(case)[2])
    state, dstate = parity.named("", case.state), parity.named("", case.dstate)
    known = {
        "x_t": case.xs[0], "W_x": p.Wx, "W_h": p.Wh, "b": p.b, "h_before": state["h"], "c_before": state.get("c"),
        "dy_t": case.dys[0], "dh_next_t": dstate["h"], "dc_next_t": dstate.get("c"), "dzx_t": dzx, "dzh_t": dzh,
    }  # fmt: skip
    computed = {
        "h_t": y, "dx_t": dx, "dW_x": dparams.Wx, "dW_h": dparams.Wh, "db": dparams.b[None],
        "dh_next_before": parity.named("", dbefore)["h"],
        **{f"{name}_t": g for name, g in parity.named("", cache.gates).items()},
        **{f"d{name}_t": g[0] for name, g in parity.named("", dgates).items()},
    }  # fmt: skip
    return case, known, computed, dbefore, (dzx, dzh)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_rnn_equations_hold(activation):
    case, known, computed, _, (dzx, _) = one_step("rnn", {"activation": activation})
    phi, derivative = ACTIVATIONS[activation]
    known |= {"phi": phi, "dphi": lambda z: derivative(phi(z))}
    assert check("R1-R4", known, {**computed, "dz_t": dzx}) == {"R2", "R3", "R4"}
    assert check("P1-P5", known, computed) == {"P1", "P2", "P3", "P4", "P5"}


def test_lstm_equations_hold():
    case, known, computed, dbefore, (dzx, _) = one_step("lstm")
    H = case.params.Wh.shape[0]
    z = known["x_t"] @ known["W_x"] + known["h_before"] @ known["W_h"] + known["b"]
    computed |= {"z_t": z, "dc_next_before": dbefore.c}
    known |= {f"z_{g}_t": z[:, gate_block(g, LSTM_GATES, H)] for g in LSTM_GATES}
    computed |= {f"dz_{g}_t": dzx[:, gate_block(g, LSTM_GATES, H)] for g in LSTM_GATES}
    # dh_t is not returned by the code; it is checked through do_t.
    assert check("L1-L18", known, computed) == {e.id for e in select("L1-L18")} - {"L8"}
    assert check("P1-P5", known, computed) == {"P1", "P2", "P3", "P4", "P5"}


def test_gru_equations_hold():
    case, known, computed, _, (dzx, dzh) = one_step("gru")
    p, H = case.params, case.params.Wh.shape[0]
    zx, zh = known["x_t"] @ p.Wx + p.b, known["h_before"] @ p.Wh
    known["b_hn"] = p.b_hn
    for gate in GRU_GATES:
        block = gate_block(gate, GRU_GATES, H)
        known |= {f"zx_{gate}_t": zx[:, block], f"zh_{gate}_t": zh[:, block]}
        computed |= {f"dzx_{gate}_t": dzx[:, block]}
    computed |= {"zx_t": zx, "zh_t": zh, "dzh_n_t": dzh[:, gate_block("n", GRU_GATES, H)]}
    dparams = parity.by_hand(case)
    computed["db_hn"] = dparams["b_hn"][None]
    assert check("G1-G15", known, computed) == {e.id for e in select("G1-G15")} - {"G6"}
    # P1 is the part of G15 that goes through the product.
    products = {k: v for k, v in computed.items() if k != "dh_next_before"}
    assert check("P2-P5", known, products) == {"P2", "P3", "P4", "P5"}


def linear_step(cell, gates):
    """A step of one sequence by a cell whose gates do not read h, with everything that the code computed, by name."""
    case = parity.make_case(cell, T=1, B=1, ragged=False)
    module, p = getattr(readable, cell), case.params
    y, _, cache = module.step(p, case.xs[0], case.state)
    dparams, dx, dbefore = module.step_backward(case.dys[0], case.dstate, cache)
    zx = case.xs[0] @ p.Wx + p.b
    a, u, _ = module.coefficients(zx)
    da, du = (case.dys[0] + case.dstate) * case.state, case.dys[0] + case.dstate
    dzx, dgates = module.coefficients_backward(da, du, a, cache.gates)
    known = {
        "x_t": case.xs[0], "W_x": p.Wx, "b": p.b, "h_before": case.state, "dy_t": case.dys[0],
        "dh_next_t": case.dstate, "dzx_t": dzx,
    }  # fmt: skip
    computed = {
        "h_t": y, "a_t": a, "u_t": u, "da_t": da, "du_t": du, "dh_next_before": dbefore, "zx_t": zx,
        "dx_t": dx, "dW_x": dparams.Wx, "db": dparams.b[None],
        **{f"{name}_t": g for name, g in parity.named("", cache.gates).items()},
        **{f"d{name}_t": g for name, g in parity.named("", dgates).items()},
    }  # fmt: skip
    for gate in gates:
        block = gate_block(gate, gates, len(p.b) // len(gates))
        known[f"zx_{gate}_t"] = zx[:, block]
        computed[f"dzx_{gate}_t"] = dzx[:, block]
    return known, computed


def test_mingru_equations_hold():
    known, computed = linear_step("mingru", MINGRU_GATES)
    span = "M1-M5, H1-H5, M6-M9, P2, P3, P5"
    assert check(span, known, computed) == {e.id for e in select(span)} - {"H2"}  # dh_t is checked through da_t


def test_minlstm_equations_hold():
    known, computed = linear_step("minlstm", MINLSTM_GATES)
    # rho's gradient as the code has it, from that of f.
    computed["drho_t"] = computed["df_t"] * computed["f_t"]
    span = "N1-N7, H1-H5, N8-N12, P2, P3, P5"
    assert check(span, known, computed) == {e.id for e in select(span)} - {"H2", "N5"}
    # The gradients of f and i themselves, by the quotient rule.
    f, i, n = (computed[f"{name}_t"] for name in "fin")
    df = (computed["da_t"] * i - computed["du_t"] * i * n) / (f + i) ** 2
    np.testing.assert_allclose(computed["df_t"], df, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "equation", "options"),
    [
        ("mse", "E2", {}),
        ("mae", "E3", {}),
        ("huber", "E4", {"delta": 0.7}),
        ("pinball", "E5", {"quantile": 0.8}),
        ("binary_cross_entropy", "E7", {}),
    ],
)
def test_loss_equations_hold(name, equation, options, rng):
    p, q, w = rng.standard_normal(6), rng.uniform(0, 1, 6), rng.uniform(0.5, 2, 6)
    loss, gradient = getattr(losses, name)(p, q, w, **options)
    known = {"q": q, "w": w, "delta": options.get("delta"), "tau": options.get("quantile")}
    ((_, expression),) = python_of(EQUATIONS[equation].latex)

    def ell(p):
        return eval(expression, {"__builtins__": {}}, {**FUNCTIONS, **known, "p": p})

    known |= {"p": p, "ell": ell(p), "ell_prime": (ell(p + 1e-6) - ell(p - 1e-6)) / 2e-6}
    assert check("E1", known, {"L": loss}) == {"E1"}
    assert check("E8", known, {"dp": gradient}, rtol=1e-8) == {"E8"}


def test_softmax_equation_holds(rng):
    logits = rng.standard_normal((1, 4))
    loss, _ = losses.softmax_cross_entropy(logits, np.array([2]))
    assert check("E6", {"p": logits[0], "p_q": logits[0, 2]}, {"ell": loss}) == {"E6"}


def test_optimiser_equations_hold(rng):
    d, m, v = rng.standard_normal(5), rng.standard_normal(5), rng.uniform(0.1, 1, 5)
    clipped, _ = optimizers.clip_by_global_norm(0.5).update(d, ())
    assert check("O1", {"d": d, "m": 0.5}, {"d": clipped}) == {"O1"}
    updates, state = optimizers.sgd(0.1, momentum=0.9).update(d, optimizers.MomentumState(v))
    assert check("O2", {"d": d, "v": v, "mu": 0.9, "eta": 0.1}, {"v": state.v, "u": updates}) == {"O2"}
    updates, state = optimizers.adam(0.1, b1=0.8, b2=0.95, eps=1e-3).update(d, optimizers.AdamState(3, m, v))
    known = {"d": d, "m": m, "v": v, "eta": 0.1, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "s": 4}
    assert check("O3-O5", known, {"m": state.m, "v": state.v, "u": updates}) == {"O3", "O4", "O5"}


def params_extra(params):
    return {"b_hn": params.b_hn} if hasattr(params, "b_hn") else {}


# ---------------------------------------------------------------- what readers see


def test_docstrings_take_their_equations_from_the_table():
    assert "L6   c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t" in readable.lstm.step.__doc__
    assert [e.id for e in readable.gru.forward.equations] == ["G1", "G2", "G3", "G4", "G5"]


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=lambda e: e.id)
def test_plain_text_has_no_latex_left(equation):
    assert "\\" not in equation.plain
    assert equation.source


def test_symbols_are_explained_with_their_shape():
    assert all(meaning and shape.startswith("(") for meaning, shape in SYMBOLS.values())
    assert plain(r"h_{t-1}") == "h_{t-1}"
