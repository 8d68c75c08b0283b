"""The layers that decide do nothing else, and decide the same way every time. The rules are in `purity.py`."""

import pytest

from tests.arch.layers import Finding, modules, parse
from tests.arch.purity import check_purity, compiled_modules, set_fields


def _findings(name: str, source: str) -> list[Finding]:
    module = parse(name, source)
    return list(check_purity(module, set_fields([module])))


def test_the_deciding_layers_only_decide() -> None:
    fields = set_fields(modules())
    findings = [str(finding) for module in modules() for finding in check_purity(module, fields)]
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize(
    "source",
    [
        "print('role changed')",
        "data = open('log')",
        "order = hash('x')",
        "key = id(object())",
        "eval('1')",
        "setattr(object(), 'x', 1)",
        "async def f(): pass",
        "match 1:\n    case _: pass",
        "class A(metaclass=type): pass",
        "class A(int, Hashable): pass",
        "for x in {1, 2}: pass",
        "for x in set([1]): pass",
        "a: set[int] = make()\nfor x in a: pass",
        "a: Final[frozenset[int]] = make()\nb = list(a)",
        "a: 'set[int]' = make()\nb = [x for x in a]",
        "def f(voters: set[int]) -> None:\n    for v in voters: pass",
        "class C:\n    def f(self):\n        self.v: set[int] = set()\n        return [*self.v]",
        "class C:\n    v: set[int]\ndef f(c: C):\n    for x in c.v: pass",
        "a, b = set(c), 1\nfor x in a: pass",
        "a = {1} | other\nb = tuple(a)",
        "a = set()\nb = a.union(c)\nfor x in b: pass",
        "a = {1}\nb = a.pop()",
        "a = {1}\nb = next(iter(a))",
        "a = {1}\nb = {k: 1 for k in a}",
        "a = {1}\nb = first(x for x in a)",
        "a = {1}\nb.extend(a)",
        "a = {'x'}\nb = ' '.join(a)",
    ],
)
def test_a_planted_violation_is_found(source: str) -> None:
    assert _findings("core.raft", source)


@pytest.mark.parametrize(
    "source",
    [
        "a = {1}\nfor x in sorted(a): pass",
        "a = {1}\nb = sum(x for x in a)",
        "a = {1}\nb = {x + 1 for x in a}",
        "a = {1}\nb = len(a) + (1 in a)",
        "a = {1}\nb = all(x > 0 for x in a)",
        "a = [1]\nfor x in a: pass",
        "a: dict[int, int] = {}\nb = a.pop(1)\nfor x in a: pass",
        "class A:\n    def __hash__(self):\n        return hash((self.term, self.index))",
        "class C:\n    v: set[int]\nclass D:\n    v: list[int]\ndef f(d: D):\n    for x in d.v: pass",
        "class A(Protocol): pass\nclass B(A, Protocol): pass",
    ],
)
def test_what_is_allowed_is_not_found(source: str) -> None:
    assert _findings("core.raft", source) == []


def test_what_setup_names_is_looked_at_too() -> None:
    assert {"node.driver", "storage.wal", "rpc.h2.frames", "core", "core.raft"} <= compiled_modules()
    assert compiled_modules() <= {module.name for module in modules()}
    assert _findings("node.driver", "class A(metaclass=type): pass")
    assert _findings("node.replicated", "class A(metaclass=type): pass") == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("try:\n        f()\n    except E:\n        await g()", 1),
        ("try:\n        f()\n    except E:\n        if x:\n            await g()\n        raise", 1),
        ("try:\n        f()\n    finally:\n        await g()", 1),
        ("async with f():\n        pass", 1),
        ("try:\n        await f()\n    except E as error:\n        failure = error\n    await g(failure)", 0),
        ("try:\n        f()\n    except E:\n        later = lambda: (yield)\n    await g(later)", 0),
    ],
)
def test_compiled_code_does_not_wait_while_it_handles_an_exception(body: str, found: int) -> None:
    assert len(_findings("node.driver", f"async def a():\n    {body}")) == found
    assert _findings("node.replicated", f"async def a():\n    {body}") == []


def test_layers_that_act_may_act() -> None:
    assert _findings("node.driver", "async def f(): print(open('x'))") == []
