"""The printed equations: numbered once, marked where they are computed, and true of what the code computes."""

import math
import re
from pathlib import Path

import numpy as np
import parity
import pytest

import minirnn
from minirnn import readable, search
from minirnn.equations import EQUATIONS, SYMBOLS, plain, select
from minirnn.params import (
    GRU_GATES,
    GRU_TWO_STATE_GATES,
    LSTM_GATES,
    MINGRU_GATES,
    MINLSTM_GATES,
    ConvolutionParams,
    DenseParams,
    EmbeddingParams,
    EncoderDecoder,
    LayerNormParams,
    extra,
    gate_block,
)
from minirnn.readable import layers, losses, optimizers, special
from minirnn.readable.activations import ACTIVATIONS, sigmoid
from minirnn.readable.optimizers import tree_map

ROOT = Path(minirnn.__file__).parent


def numbers_in(path: Path) -> set[str]:
    """Equation numbers in the comments of a file."""
    comments = re.findall(r"#(.*)", path.read_text())
    return {number for comment in comments for number in re.findall(r"\b[A-Z]\d+\b", comment)}


FILES = {
    "R": "rnn.py",
    "L": "lstm.py",
    "G": "gru.py",
    "S": "lstm_single_state.py",
    "B": "gru_reset_before.py",
    "T": "gru_two_state.py",
    "V": "layers.py",
    "A": "attention.py",
    "Q": "seq2seq.py",
    "M": "mingru.py",
    "N": "minlstm.py",
    "H": "linear.py",
    "P": "engine.py",
    "E": "losses.py",
    "O": "optimizers.py",
}


def file_of(half: str, number: str) -> Path:
    """The module that computes an equation: the gradient's products stand in an engine, in JAX in its scan."""
    name = "scan.py" if (half, number[0]) == ("fast", "P") else FILES[number[0]]
    return ROOT / half / name


SPLIT = ("L1", "S1", "T1")  # computed and split into gates in one line


@pytest.mark.parametrize("number", EQUATIONS)
def test_a_number_stands_on_the_line_that_computes_it(number):
    equation = EQUATIONS[number]
    halves = {"both": ("readable", "fast"), "engines": ("readable", "fast"), "readable": ("readable",), "search": ()}[
        equation.where
    ]
    for half in ("readable", "fast"):
        path = file_of(half, number)
        found = path.exists() and number in numbers_in(path)
        assert found == (half in halves), f"{number} in {half}/{path.name}"
    assert (number in numbers_in(ROOT / "search.py")) == (equation.where == "search")


@pytest.mark.parametrize(
    "number", [n for n, e in EQUATIONS.items() if re.match(r"d?[a-z]_t =", e.latex) and n not in SPLIT and n[0] != "V"]
)
@pytest.mark.parametrize("half", ["readable", "fast"])
def test_the_marked_line_assigns_what_the_equation_defines(number, half):
    equation = EQUATIONS[number]
    if (half == "fast" and equation.where != "both") or equation.where in ("engines", "search"):
        return
    name = equation.latex.split("_t")[0]
    lines = file_of(half, number).read_text().splitlines()
    marked = [line.strip() for line in lines if re.search(rf"#.*\b{number}\b", line)]
    assert any(re.match(rf"([\w, ]+, )?{name}(, [\w, ]+)? = ", line) for line in marked), marked


def test_no_comment_cites_a_number_that_does_not_exist():
    for path in [*(ROOT / "readable").glob("*.py"), *(ROOT / "fast").glob("*.py")]:
        unknown = {n for n in numbers_in(path) if n[0] in FILES} - set(EQUATIONS)
        assert not unknown, f"{path.name}: {unknown}"


# ---------------------------------------------------------------- evaluating the LaTeX

_TRANSLATION = [
    (r"\\mathrm\{mean\}", "mean"),
    (r"\\lambda", "rate"),
    (r"\\quad", ";"),
    (r"\\leftarrow", "="),
    (r"\\\|d\\\|", "norm(d)"),
    (r"\|([^|]+)\|", r"abs(\1)"),
    (r"\\sqrt\{([^}]*)\}", r"sqrt(\1)"),
    (r"\\odot", "*"),
    (r"\\,", "@"),
    (r"_\{j \\ge k\}", "_from_k"),
    (r"_\{k-1\}", "_below"),
    (r"\\ell'\(p\)", "ell_prime"),
    (r"\\phi'", "dphi"),
    (r"\\sum_t", " "),
    (r"([A-Za-z]+(?:_(?:\w|\{[^}]*\}))*)\^\\top", r"T(\1)"),
    (
        r"\\(sigma|tanh|phi|min|max|exp|log|cos|theta|sum|delta|tau|alpha|eta|mu|nu|rho|beta|epsilon|ell|pi|psi|Gamma)",
        r"\1",
    ),
    (r"\[([^]]+)\]", r"join(\1)"),
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
    "sigma": sigmoid, "tanh": np.tanh, "cos": np.cos, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs,
    "sum": np.sum, "pi": np.pi, "psi": special.digamma, "Gamma": np.vectorize(math.gamma),
    "min": np.minimum, "max": np.maximum, "norm": optimizers.global_norm, "T": np.transpose, "mean": np.mean,
    "join": lambda *parts: np.concatenate(parts, axis=-1),
    "sum_s": lambda rows: rows.sum(axis=0, keepdims=True),
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
    width = p.Wh.shape[0]
    second = (lambda d: d @ p.Wh[:, -width:].T,) if cache.cell.second else ()
    dzx, dzh, *_ = cache.cell.update_backward(
        case.dys[0], case.dstate, cache.gates, cache.zh, case.state, extra(p), *second
    )
    dgates = module.gate_gradients(case.dys, case.dstate, parity.readable_forward(case)[2])
    state, dstate = parity.named("", case.state), parity.named("", case.dstate)
    known = {
        "x_t": case.xs[0], "W_x": p.Wx, "W_h": p.Wh, "b": p.b, "h_before": state["h"], "c_before": state.get("c"),
        "dy_t": case.dys[0], "dh_next_t": dstate["h"], "dc_next_t": dstate.get("c"), "dzx_t": dzx, "dzh_t": dzh,
    }  # fmt: skip
    computed = {
        "y_t": y, "h_t": y, "dx_t": dx, "dW_x": dparams.Wx, "dW_h": dparams.Wh, "db": dparams.b[None],
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


def test_lstm_single_state_equations_hold():
    case, known, computed, _, (dzx, _) = one_step("lstm_single_state")
    H = case.params.Wh.shape[0]
    z = known["x_t"] @ known["W_x"] + known["h_before"] @ known["W_h"] + known["b"]
    computed["z_t"] = z
    known |= {f"z_{g}_t": z[:, gate_block(g, LSTM_GATES, H)] for g in LSTM_GATES}
    computed |= {f"dz_{g}_t": dzx[:, gate_block(g, LSTM_GATES, H)] for g in LSTM_GATES}
    assert check("S1-S17", known, computed) == {e.id for e in select("S1-S17")}
    products = {k: v for k, v in computed.items() if k != "dh_next_before"}
    assert check("P2-P5", known, products) == {"P2", "P3", "P4", "P5"}


def test_gru_reset_before_equations_hold():
    case, known, computed, _, (dzx, _) = one_step("gru_reset_before")
    p, H = case.params, case.params.Wh.shape[0]
    zx, zh = known["x_t"] @ p.Wx + p.b, known["h_before"] @ p.Wh[:, : 2 * H]
    known |= {"W_hrz": p.Wh[:, : 2 * H], "W_hn": p.Wh[:, 2 * H :], "dz_rz_t": dzx[:, : 2 * H]}
    known |= {"zh_r_t": zh[:, :H], "zh_z_t": zh[:, H:]}
    for gate in GRU_GATES:
        block = gate_block(gate, GRU_GATES, H)
        known |= {f"zx_{gate}_t": zx[:, block]}
        computed |= {f"dz_{gate}_t": dzx[:, block]}
    computed |= {"zx_t": zx, "zh_t": zh}
    assert check("B1-B15", known, computed) == {e.id for e in select("B1-B15")} - {"B4", "B7", "B11"}
    # The last block of dWh is a sum over u, the others over h.
    u, dWh = computed["r_t"] * known["h_before"], computed["dW_h"]
    known |= {"u_t": u, "dz_n_t": dzx[:, 2 * H :]}
    assert check("P6", known, {"dW_hn": dWh[:, 2 * H :]}) == {"P6"}
    np.testing.assert_allclose(dWh[:, : 2 * H], known["h_before"].T @ dzx[:, : 2 * H], rtol=1e-12)


def test_gru_two_state_equations_hold():
    case, known, computed, dbefore, (dzx, _) = one_step("gru_two_state")
    H = case.params.Wh.shape[0]
    a = known["x_t"] @ known["W_x"] + known["h_before"] @ known["W_h"] + known["b"]
    computed |= {"a_t": a, "dc_next_before": dbefore.c}
    for gate in GRU_TWO_STATE_GATES:
        block = gate_block(gate, GRU_TWO_STATE_GATES, H)
        known |= {f"a_{gate}_t": a[:, block]}
        computed |= {f"da_{gate}_t": dzx[:, block]}
    known["da_t"] = dzx
    assert check("T1-T16", known, computed) == {e.id for e in select("T1-T16")} - {"T7"}
    products = {k: v for k, v in computed.items() if k != "dh_next_before"}
    assert check("P2-P5", known, products) == {"P2", "P3", "P4", "P5"}


def test_layer_equations_hold(rng):
    """Normalisation, dropout, mean and dense map: one step (row vectors)."""
    D, O = 4, 3
    x, dy, g, b = (rng.standard_normal((1, 1, D)) for _ in range(4))
    y, (_, n, r) = layers.layer_norm(LayerNormParams(g[0, 0], b[0, 0]), x, 1e-3)
    _, dx = layers.layer_norm_backward(dy, (LayerNormParams(g[0, 0], b[0, 0]), n, r))
    known = {"x": x, "dy": dy, "g": g, "b": b, "epsilon": 1e-3}
    assert check("V3-V4", known, {"r": r, "n": n, "y": y}) == {"V3", "V4"}
    assert check("V11-V12", {**known, "n": n, "r": r}, {"dx": dx}) == {"V12"}
    m = np.array([[1.0, 0.0, 1.0, 1.0]])
    y, scale = layers.dropout(x, m / (1 - 0.2))
    known = {"x": x, "dy": dy, "m": m, "rate": 0.2}
    assert check("V5", known, {"y": y}) == {"V5"}
    assert check("V13", known, {"dx": layers.dropout_backward(dy, scale)}) == {"V13"}
    xs = rng.standard_normal((5, 1, 1))
    assert check("V6", {"x": xs, "N": 5}, {"y": layers.mean_over_steps(xs, np.array([5]))[0][0, 0]}) == {"V6"}
    params = DenseParams(rng.standard_normal((D, O)), rng.standard_normal(O))
    y, cache = layers.dense(params, x[0], "tanh")
    dparams, dx = layers.dense_backward(np.ones((1, O)), cache)
    known = {"x": x[0], "W": params.W, "b": params.b, "phi": np.tanh, "dz": 1 - y**2}
    assert check("V7", known, {"y": y}) == {"V7"}
    assert check("V14", known, {"dW": dparams.W, "dx": dx}) == {"V14"}


@pytest.mark.parametrize("padding", ["causal", "same"])
def test_equations_of_embedding_and_convolution_hold(padding, rng):
    """Those with sums over k or t: their LaTeX, term by term."""
    T, K, D, O, V = 6, 4, 3, 2, 5
    s = K - 1 if padding == "causal" else (K - 1) // 2
    params = ConvolutionParams(rng.standard_normal((K, D, O)), rng.standard_normal(O))
    xs, dys = rng.standard_normal((T, 1, D)), rng.standard_normal((T, 1, O))
    ys, cache = layers.convolution(params, xs, padding, "tanh")
    dparams, dxs = layers.convolution_backward(dys, cache)
    dzs = dys * (1 - ys**2)
    symbols, E, des = np.array([3, 0, 3, 4, 1, 3]), rng.standard_normal((V, D)), rng.standard_normal((T, 1, D))
    rows, seen = layers.embedding(EmbeddingParams(E), symbols[:, None])
    dE = layers.embedding_backward(des, seen).E

    def at(array):  # zero outside of the sequence
        return lambda t: array[t] if 0 <= t < len(array) else np.zeros_like(array[0])

    def value(number, **free):
        text = EQUATIONS[number].latex.split("=", 1)[1]
        for pattern, replacement in [
            (r"\\sum_\{t: x_t = v\} (.*)", r"sum(\1 for t in range(T) if symbols[t] == v)"),
            (r"\\sum_k (.*?)(?=\)$|$)", r"sum(\1 for k in range(K))"),
            (r"\\sum_t (.*)", r"sum(\1 for t in range(T))"),
            (r"E_\{x_t\}", "E[symbols[t]]"),
            (r"\b(x|dz|dy|W)_\{?([a-z+-]+)\}?", r"\1(\2)"),
            (r"\^\\top", ".T"),
            (r"\\,", "@"),
            (r"\\phi", "np.tanh"),
        ]:
            text = re.sub(pattern, replacement, text)
        scope = {"x": at(xs), "dz": at(dzs), "dy": at(des), "W": at(params.W), "b": params.b, "E": E, "np": np}
        scope |= {"symbols": symbols, "sum": sum, "range": range, "T": T, "K": K, "s": s}
        return eval(text, {**scope, **free})

    for t in range(T):
        np.testing.assert_allclose(value("V1", t=t), rows[t, 0])
        np.testing.assert_allclose(value("V2", t=t), ys[t], rtol=1e-12)
        np.testing.assert_allclose(value("V10", t=t), dxs[t], rtol=1e-12)
    for k in range(K):
        np.testing.assert_allclose(value("V9", k=k), dparams.W[k], rtol=1e-12)
    for v in (0, 1, 3, 4):
        np.testing.assert_allclose(value("V8", v=v)[0], dE[v], rtol=1e-12)
    assert not dE[2].any()  # a symbol that does not occur


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


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "binary_cross_entropy"])
def test_smoothing_equation_holds(name, rng):
    """The gradient shows the smoothed target: it is (what the model says - target)."""
    logits, alpha = rng.standard_normal((1, 4)), 0.3
    smooth = name == "softmax_cross_entropy"
    target = np.array([2]) if smooth else rng.uniform(0, 1, (1, 4))
    _, gradient = getattr(losses, name)(logits, target, label_smoothing=alpha)
    if smooth:
        known = {"q": np.eye(4)[2], "K": 4}
        q = np.exp(logits[0]) / np.exp(logits[0]).sum() - gradient[0]
    else:
        known = {"q": target[0], "K": 2}
        q = sigmoid(logits[0]) - 4 * gradient[0]
    assert check("E9", {**known, "alpha": alpha}, {"q": q}) == {"E9"}


def test_gaussian_equations_hold(rng):
    raw, q, w = rng.standard_normal((6, 2)), rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    _, gradient = losses.gaussian_nll(raw, q, w)
    p, s = losses.gaussian_parameters(raw)
    one_by_one = np.array([losses.gaussian_nll(raw[k], q[k])[0] for k in range(6)])
    known = {"p": p, "q": q, "w": w, "a": raw[:, 1], "epsilon": 1e-3}
    computed = {"s": s, "ell": one_by_one, "dp": gradient[:, 0], "da": gradient[:, 1]}
    # ds is not returned by the code; it is checked through da.
    assert check("E10-E14", known, computed) == {"E10", "E11", "E12", "E14"}


def test_student_t_equations_hold(rng):
    raw, q, w = rng.standard_normal((6, 3)), rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    _, gradient = losses.student_t_nll(raw, q, w)
    p, s, nu = losses.student_t_parameters(raw)
    one_by_one = np.array([losses.student_t_nll(raw[k], q[k])[0] for k in range(6)])
    known = {"p": p, "q": q, "w": w, "a": raw[:, 1], "c": raw[:, 2], "epsilon": 1e-3}
    computed = {"s": s, "nu": nu, "ell": one_by_one, "dp": gradient[:, 0], "dc": gradient[:, 2]}
    assert check("E10, E15-E20", known, computed) == {"E10", "E15", "E16", "E17", "E20"}
    # ds and dnu are checked through da and dc.
    known |= {"u": (p - q) / s, "nu": nu, "s": s}
    assert check("E18, E14", known, {"da": gradient[:, 1]}) == {"E14"}


def test_quantile_equations_hold(rng):
    raw, q = rng.standard_normal(4), np.array(0.3)
    tau = np.array([0.1, 0.4, 0.7, 0.9])
    loss, gradient = losses.quantile_pinball(raw, q, quantiles=tau)
    p = losses.monotone_quantiles(raw)
    for k in range(1, 4):
        known = {"a_1": raw[0], "a_k": raw[k], "p_below": p[k - 1]}
        assert check("E21", known, {"p_1": p[0], "p_k": p[k]}) == {"E21"}
    assert check("E22", {"p": p, "q": q, "tau": tau, "K": 4}, {"ell": loss}) == {"E22"}
    dp = np.where(p < q, -tau, 1 - tau) / 4
    for k in range(1, 4):
        known = {"dp": dp, "dp_from_k": dp[k:], "a_k": raw[k]}
        assert check("E23", known, {"da_1": gradient[0], "da_k": gradient[k]}) == {"E23"}


def test_optimiser_equations_hold(rng):
    d, m, v = rng.standard_normal(5), rng.standard_normal(5), rng.uniform(0.1, 1, 5)
    clipped, _ = optimizers.clip_by_global_norm(0.5).update(d, ())
    assert check("O1", {"d": d, "m": 0.5}, {"d": clipped}) == {"O1"}
    updates, state = optimizers.sgd(0.1, momentum=0.9).update(d, optimizers.MomentumState(v))
    assert check("O2", {"d": d, "v": v, "mu": 0.9, "eta": 0.1}, {"v": state.v, "u": updates}) == {"O2"}
    updates, state = optimizers.adam(0.1, b1=0.8, b2=0.95, eps=1e-3).update(d, optimizers.AdamState(3, m, v))
    known = {"d": d, "m": m, "v": v, "eta": 0.1, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "s": 4}
    assert check("O3-O5", known, {"m": state.m, "v": state.v, "u": updates}) == {"O3", "O4", "O5"}
    theta, decay = rng.standard_normal(5), {"b1": 0.8, "b2": 0.95, "eps": 1e-3, "weight_decay": 0.3}
    decayed, _ = optimizers.adamw(0.1, **decay).update(d, optimizers.AdamState(3, m, v), theta)
    assert check("O6", {"u": updates, "eta": 0.1, "rate": 0.3, "theta": theta}, {"u": decayed}) == {"O6"}
    for s in (0, 3, 7, 9):
        assert check("O7", {"eta_0": 0.1, "s": s, "S": 7}, {"eta": optimizers.cosine_decay(0.1, 7)(s)}) == {"O7"}


@pytest.mark.parametrize(
    ("kind", "span", "unseen"),
    [
        ("dot", "A1, A5-A11", {"A1", "A7", "A9"}),
        ("bilinear", "A2, A5-A9, A12-A14", {"A2", "A7", "A9"}),
        ("additive", "A3-A9, A15-A21", {"A4", "A7", "A9", "A15"}),
    ],
)
def test_attention_equations_hold(kind, span, unseen, rng):
    """One query of one sequence. What the code does not return (e, da, de, dz) is checked through what it does."""
    draw = lambda *shape: rng.standard_normal(shape)  # noqa: E731
    q, k, v, dc, da = draw(1, 1, 3), draw(5, 1, 3), draw(5, 1, 2), draw(1, 1, 2), draw(1, 1, 5)
    params = readable.attention.init(rng, kind, 3, 3, 4 if kind == "additive" else None, np.float64)
    params = type(params)(*(draw(*a.shape) for a in params))
    c, a, cache = readable.attention.forward(params, q, k, v)
    dparams, dq, dk, dv = readable.attention.backward(dc, da, cache)
    known = {"q_t": q[0], "k": k[:, 0], "v": v[:, 0], "d_k": 3, "dc_t": dc[0], "da_out_t": da[0]}
    computed = {"a_t": a[0], "c_t": c[0], "dq_t": dq[0], "dk": dk[:, 0], "dv": dv[:, 0]}
    for name, weight in params._asdict().items():
        symbol = {"Wq": "W_q", "Wk": "W_k", "v": "v_a"}.get(name, name)
        row = weight.ndim == 1
        known[symbol] = weight[None] if row else weight
        computed[f"d{symbol}"] = getattr(dparams, name)[None] if row else getattr(dparams, name)
    if kind == "additive":
        computed["u_t"] = cache.u[0, 0]
    assert check(span, known, computed) == {e.id for e in select(span)} - unseen


def test_encoder_decoder_equations_hold(rng):
    """One symbol in, one out. dz, do and dj are checked through the gradients of the weights."""
    description = EncoderDecoder(5, 6, "gru", hidden_size=3, embedding_size=2, bridge=True, attention="bilinear")
    params = readable.seq2seq.init(rng, description, np.float64)
    params = tree_map(lambda a: rng.standard_normal(a.shape), params)
    logits, cache = readable.seq2seq.forward(description, params, [[4]], None, [[3]])
    dp = rng.standard_normal((1, 1, 6))
    d = readable.seq2seq.backward(dp, cache)
    h = cache.joined[0, :, 3:]
    context, *_, attention_cache = readable.attention.forward(params.attention, h[None], *[cache.attention.k] * 2)
    dcontext_and_h = dp[0] @ params.output.W.T * (1 - cache.o[0] ** 2) @ params.combine.W.T
    dqueries = readable.attention.backward(dcontext_and_h[None, :, :3], None, attention_cache)[1]
    _, dx, dh_0 = readable.gru.step_backward(
        dcontext_and_h[:, 3:] + dqueries[0],
        None,
        readable.gru.step(params.decoder[0], cache.decoder[0].xs[0], cache.encoder.states[0])[2],
    )
    known = {
        "s_t": np.eye(6)[[3]], "E": params.target_embedding, "h_S": cache.encoder.finals[0], "c_t": context[0],
        "h_t": h, "dp_t": dp[0], "dh_0": dh_0, "dx_t": dx,
    }  # fmt: skip
    computed = {
        "x_t": cache.decoder[0].xs[0], "h_0": cache.encoder.states[0], "j_t": cache.joined[0], "o_t": cache.o[0],
        "p_t": logits[0], "dE": d.target_embedding,
    }  # fmt: skip
    for letter, weights, gradient in (
        ("b", params.bridge[0][0], d.bridge[0][0]),
        ("c", params.combine, d.combine),
        ("o", params.output, d.output),
    ):
        known |= {f"W_{letter}": weights.W, f"b_{letter}": weights.b[None]}
        computed |= {f"dW_{letter}": gradient.W, f"db_{letter}": gradient.b[None]}
    assert check("Q1-Q14", known, computed) == {e.id for e in select("Q1-Q14")} - {"Q6", "Q8", "Q9", "Q11", "Q12"}


def test_length_penalty_equation_holds():
    assert check("Q15", {"l": -3.0, "n": 4, "alpha": 0.6}, {"m": -3.0 / search.penalty(4, 0.6)}) == {"Q15"}


# ---------------------------------------------------------------- what readers see


def test_docstrings_take_their_equations_from_the_table():
    assert "L6   c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t" in readable.lstm.step.__doc__
    assert [e.id for e in readable.gru.forward.equations] == ["G1", "G2", "G3", "G4", "G5"]


def test_an_unknown_number_is_named():
    assert select("") == ()
    with pytest.raises(ValueError, match="there is no equation 'L99'"):
        select("L1-L99")


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=lambda e: e.id)
def test_plain_text_has_no_latex_left(equation):
    assert "\\" not in equation.plain
    assert equation.source


def test_symbols_are_explained_with_their_shape():
    assert all(meaning and shape.startswith("(") for meaning, shape in SYMBOLS.values())
    assert plain(r"h_{t-1}") == "h_{t-1}"
