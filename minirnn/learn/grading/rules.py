"""A look at the text of an answer before it runs: does it import the answer instead of deriving it?

It reads, it does not run: who wants to get around it, can. It is no security sandbox.
"""

from __future__ import annotations

import ast

from minirnn.learn.exercises.exercise import Exercise

ALLOWED = {
    "__future__", "collections", "dataclasses", "functools", "itertools", "math", "numpy", "operator", "typing",
}  # fmt: skip
# What derives by itself, in exercises that allow JAX.
DERIVES = {
    "grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose", "jacfwd", "jacrev", "jacobian", "hessian",
}  # fmt: skip
REACHES = {
    "__import__",
    "eval",
    "exec",
    "compile",
    "open",
    "globals",
    "breakpoint",
    "input",
    "getattr",
    "setattr",
    "vars",
}
HIDDEN = {
    "__builtins__",
    "__globals__",
    "__loader__",
    "__spec__",
    "__subclasses__",
    "__dict__",
    "__code__",
    "f_back",
    "ctypeslib",
    "sys",
    "_sys",
    "modules",
    "builtins",
    "inspect",
}


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a text; None if it is no Python, or nested too deeply to be read."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def broken_rules(text: str, exercise: Exercise) -> str:
    """The first rule that the text breaks, in one line; empty if it breaks none, or is no Python."""
    tree = parsed(text)
    if tree is None:
        return ""
    modules = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    allowed = ALLOWED | set(exercise.imports)
    for node in ast.walk(tree):
        line = f"line {getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."] if not node.level else ["."]
        else:
            names = []
        for name in names:
            if name.split(".")[0] not in allowed:
                may = ", ".join(sorted(allowed - {"__future__"}))
                return f"{line}{name} must not be imported here: the answer is to be derived ({may} may)"
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in modules:
            return f"{line}{ast.unparse(node)} is changed: a module is to be left as it is"
        if isinstance(node, ast.Name) and node.id in REACHES:
            return f"{line}{node.id} is not needed here, and not allowed"
        if isinstance(node, ast.Attribute) and node.attr in HIDDEN:
            return f"{line}{node.attr} is not needed here, and not allowed"
        if "jax" in exercise.imports and isinstance(node, ast.Attribute) and node.attr == "config":
            return f"{line}the settings of JAX stay as they are: checks compute in 64 bits by themselves"
        named = node.attr if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.ImportFrom) and any(alias.name in DERIVES for alias in node.names):
            named = next(alias.name for alias in node.names if alias.name in DERIVES)
        if "jax" in exercise.imports and named in DERIVES and f"jax.{named}" not in exercise.imports:
            return f"{line}{named} derives for you; here you are asked to do so"
    return ""
