"""What the deciding layers may not do, read from their syntax trees: calls, dynamic Python, the bare order of sets."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from tests.arch.layers import PACKAGE, PURE, ROOT, Finding, Module

SETUP = ROOT / "setup.py"
COMPILED = {"base", "core", "mvcc"}  # layers; the rest as setup.py names it

# Calls that act, that depend on the process (`id`, `hash` of a string), or that mypyc's subset does without.
BANNED_CALLS = {
    *("__import__", "breakpoint", "compile", "delattr", "eval", "exec", "globals", "hash", "id", "input", "locals"),
    *("open", "print", "setattr", "vars"),
}
# Consumers whose result does not depend on the order in which a set is visited.
ORDER_FREE = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}
SET_TYPES = {"AbstractSet", "FrozenSet", "MutableSet", "Set", "frozenset", "set"}
SET_METHODS = {"copy", "difference", "intersection", "symmetric_difference", "union"}
VISITORS = {"dict", "enumerate", "iter", "list", "map", "filter", "next", "reversed", "tuple", "zip"}


def check_purity(module: Module, fields: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Everything below, for one module; layers that act are left alone. `fields` is of `set_fields`."""
    if module.layer in PURE:
        yield from _banned_calls(module)
        yield from _bare_set_order(module, fields)
    if module.layer in COMPILED or module.name in compiled_modules():
        yield from _dynamic_python(module)
        yield from _waiting_handlers(module)


@cache
def compiled_modules() -> frozenset[str]:
    """The names of all modules that setup.py has compiled."""
    for node in ast.parse(SETUP.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            patterns: tuple[str, ...] = ast.literal_eval(node.value)
            paths = [path.relative_to(PACKAGE) for pattern in patterns for path in PACKAGE.glob(pattern)]
            return frozenset(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)
    raise AssertionError("setup.py has no COMPILED")


def _banned_calls(module: Module) -> Iterator[Finding]:
    hashing = {id(node) for method in ast.walk(module.tree) if _is_hash(method) for node in ast.walk(method)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            if node.func.id == "hash" and id(node) in hashing:
                continue  # a value that defines __hash__ in terms of its fields' hashes
            yield Finding(module.name, node.lineno, f"{node.func.id}() has no place in {module.layer}")
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield Finding(module.name, node.lineno, f"{module.layer} decides and does not wait: no async")


def _is_hash(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__hash__"


def _dynamic_python(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Match):
            yield Finding(module.name, node.lineno, "dispatch by a dict on type, not by match")
        elif isinstance(node, ast.ClassDef):
            if any(keyword.arg == "metaclass" for keyword in node.keywords):
                yield Finding(module.name, node.lineno, f"{node.name} has a metaclass")
            if len([base for base in node.bases if _head(base) not in {"Generic", "Protocol"}]) > 1:
                yield Finding(module.name, node.lineno, f"{node.name} has several bases")


# --- waiting in handlers ---------------------------------------------------------------------------------------
# A compiled coroutine that waits while it handles an exception leaves that exception as the thread's current one. With
# two of them at once the other's is raised, or none, and its task never ends (design/0002-plain-and-compiled.md).


def _waiting_handlers(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncWith):
            yield Finding(module.name, node.lineno, "compiled, it may wait in __aexit__ while it handles an exception")
        elif isinstance(node, ast.ExceptHandler | ast.Try):
            handler = node.body if isinstance(node, ast.ExceptHandler) else node.finalbody
            for line in sorted({line for statement in handler for line in _waits(statement)}):
                yield Finding(module.name, line, "compiled, it may not wait in an except or finally: leave it first")


def _waits(node: ast.AST) -> Iterator[int]:
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield | ast.YieldFrom):
        yield node.lineno
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _waits(child)


# --- set order -------------------------------------------------------------------------------------------------
# A set is visited in an order that nobody chose, so a decision that depends on it cannot be repeated. An expression
# counts as a set when it is written as one, or is a name or attribute that every annotation or assignment in this
# module gives a set, or a field of a class that declares it as one. What escapes this the randomised tests must find.


def set_fields(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Class name -> its fields that are declared as sets, in the class's body or on `self`."""
    return {
        node.name: {
            item.target.id if isinstance(item.target, ast.Name) else item.target.attr
            for item in ast.walk(node)
            if isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name | ast.Attribute)
            and _head(item.annotation) in SET_TYPES
        }
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }


def _bare_set_order(module: Module, fields: Mapping[str, set[str]]) -> Iterator[Finding]:
    sets = SetNames(module.tree, fields)
    parents = {child: node for node in ast.walk(module.tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(module.tree):
        for expression in _visited(node, parents):
            if sets.is_set(expression):
                yield Finding(module.name, expression.lineno, "visits a set in its own order; sort it first")


def _visited(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> list[ast.expr]:
    """The expressions whose order of elements this node passes on."""
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, ast.Starred):
        return [node.value]
    if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
        order_free = isinstance(node, ast.GeneratorExp) and _called_name(parents.get(node)) in ORDER_FREE
        return [] if order_free else [generator.iter for generator in node.generators]
    if isinstance(node, ast.Call):
        if _called_name(node) in VISITORS:
            return node.args
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"pop", "join", "extend"}:
            return node.args or [node.func.value]
    return []


class SetNames:
    """What is a set in one module: names, dotted names such as `self.voters`, and fields of annotated names."""

    def __init__(self, tree: ast.Module, fields: Mapping[str, set[str]]) -> None:
        self._fields = fields
        self._verdicts: dict[str, bool] = {}
        self._classes: dict[str, set[str]] = {}  # name -> the classes it is annotated with
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign):
                self._note_annotation(node.target, node.annotation)
            elif isinstance(node, ast.arg) and node.annotation:
                self._note_annotation(ast.Name(node.arg), node.annotation)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._note_assignment(target, node.value)

    def _note_annotation(self, target: ast.expr, annotation: ast.expr) -> None:
        self._note(target, _head(annotation) in SET_TYPES)
        self._classes.setdefault(ast.unparse(target), set()).add(_head(annotation))

    def _note_assignment(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._note(one, self.is_set(its_value))
        else:
            self._note(target, self.is_set(value))

    def _note(self, target: ast.expr, verdict: bool) -> None:
        key = ast.unparse(target)
        self._verdicts[key] = verdict and self._verdicts.get(key, True)

    def _is_set_field(self, node: ast.Attribute) -> bool:
        classes = self._classes.get(ast.unparse(node.value), set())
        return bool(classes) and all(node.attr in self._fields.get(name, ()) for name in classes)

    def is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name | ast.Attribute):
            is_field = isinstance(node, ast.Attribute) and self._is_set_field(node)
            return is_field or self._verdicts.get(ast.unparse(node), False)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self.is_set(node.left) or self.is_set(node.right)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS:
                return self.is_set(node.func.value)
            return _called_name(node) in {"set", "frozenset"}
        return False


def _called_name(node: ast.AST | None) -> str | None:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def _head(annotation: ast.expr) -> str:
    """`set` of `set[int]`, `Final[set[int]]`, `typing.Set`, or of any of these in quotes."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript):
        inner = _head(annotation.value)
        return _head(annotation.slice) if inner in {"ClassVar", "Final"} else inner
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    return annotation.id if isinstance(annotation, ast.Name) else ""
