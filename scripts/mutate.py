"""How many small mistakes in the code would the tests notice? A seeded sample of mutants, each run against the tests.

    python scripts/mutate.py [--sample 300] [--seed 1] [--rooms accounts wire guard constrain] [--report FILE]

A mutant is one change of one file: a comparison, an operator, a number or a truth value replaced, a condition turned
round, a call or an error left out. Its module's own tests are run first, and those of the whole room if they pass. A
mutant that no test notices survives, and is shown. Run it alone: a machine that is busy lets mutants time out, and what
times out counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("accounts", "wire", "guard", "constrain")
LIMIT_S = 180
OTHER_TESTS = {"wire": ("tests/wire",), "guard": ("tests/integration/test_redaction.py",)}
"""What besides `tests/unit/ROOM` judges a room."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
_LOGGERS = frozenset({"_log", "logger", "log"})


@dataclass(frozen=True)
class Mutant:
    """One change of a module: what is done where; `number` counts the places of its file."""

    path: Path
    number: int
    line: int
    what: str

    @property
    def source(self) -> str:
        """The module with the change; the places of a tree come in the same order whenever it is read."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        node, _ = list(_places(tree))[self.number]
        _apply(node)
        return ast.unparse(ast.fix_missing_locations(tree))

    @property
    def room(self) -> str:
        """The package that it is in."""
        return self.path.relative_to(ROOT / "src" / "seekd").parts[0]


def main() -> int:
    """Run a sample; 0 whatever the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rooms", nargs="+", default=list(ROOMS), choices=ROOMS)
    parser.add_argument("--report", type=Path, help="also write the outcome to this file")
    options = parser.parse_args()
    every = [mutant for room in options.rooms for mutant in _mutants_of(room)]
    chosen = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    lines = [f"{len(every)} mutants in {', '.join(options.rooms)}; a sample of {len(chosen)} with seed {options.seed}"]
    print(lines[0], flush=True)
    noticed: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="seekd-mutants-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in chosen:
            tried[mutant.room] += 1
            if _is_noticed(mutant, source):
                noticed[mutant.room] += 1
            else:
                lines.append(f"survived: {mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.what}")
                print(lines[-1], flush=True)
            if options.report:
                options.report.write_text("\n".join([*lines, *_score(noticed, tried)]) + "\n", encoding="utf-8")
    print("\n".join(_score(noticed, tried)))
    return 0


def _score(noticed: Counter[str], tried: Counter[str]) -> list[str]:
    rows = [(room, noticed[room], num) for room, num in tried.items()] + [("all", noticed.total(), tried.total())]
    return [f"{room:10} {num_noticed:4} of {num:4} noticed, {num_noticed / num:.1%}" for room, num_noticed, num in rows]


def _is_noticed(mutant: Mutant, source: Path) -> bool:
    place = source / mutant.path.relative_to(ROOT / "src")
    original = place.read_text(encoding="utf-8")
    _write(place, mutant.source)
    try:
        own = ROOT / "tests" / "unit" / mutant.room / f"test_{mutant.path.stem}.py"
        if own.exists() and not _passes([str(own)], source):
            return True
        others = OTHER_TESTS.get(mutant.room, ())
        return not _passes([f"tests/unit/{mutant.room}", *others], source)
    finally:
        _write(place, original)


def _write(place: Path, text: str) -> None:
    place.write_text(text, encoding="utf-8")
    for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*.pyc"):
        compiled.unlink()  # its age is compared in whole seconds


def _passes(tests: Sequence[str], source: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(ROOT)])}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _mutants_of(room: str) -> Iterator[Mutant]:
    for path in sorted((ROOT / "src" / "seekd" / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for number, (node, what) in enumerate(_places(tree)):
            yield Mutant(path=path, number=number, line=node.lineno, what=what)


def _places(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Every node that can be changed, with what happens to it, in the order of the tree."""
    for node in _code(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            yield node, f"{ast.unparse(node)} with the other comparison"
        elif isinstance(node, ast.BoolOp):
            yield node, f"{ast.unparse(node)} with and for or"
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not _is_text(node):
            yield node, f"{ast.unparse(node)} with the other operator"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, f"{ast.unparse(node)} without not"
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
            yield node, f"{node.value} changed"
        elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            yield node, f"{ast.unparse(node)} left out"
        elif isinstance(node, ast.If):
            yield node, f"if {ast.unparse(node.test)} turned round"


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run: no annotations, decorators, imports, log lines or texts of errors."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr) or _is_passive(child):
                continue
            if isinstance(child, ast.keyword) and child.arg in ("kw_only", "frozen", "slots"):
                continue
            yield child
            yield from _code(child)


def _is_passive(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in _LOGGERS
    return isinstance(node, ast.Assert)


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.Constant | ast.JoinedStr) and not _is_number(side) for side in (node.left, node.right)
    )


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _apply(node: ast.expr | ast.stmt) -> None:
    """Change a node in place."""
    match node:
        case ast.Compare():
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.BinOp():
            node.op = _OPERATORS[type(node.op)]()
        case ast.UnaryOp():
            _become(node, ast.Call(func=ast.Name("bool", ast.Load()), args=[node.operand], keywords=[]))
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() as value):
            node.value = value + 1
        case ast.If():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case _:
            _become(node, ast.Pass())


def _become(node: ast.AST, other: ast.AST) -> None:
    place = {name: getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
    node.__dict__.clear()
    node.__class__ = other.__class__  # type: ignore[assignment]  # it keeps its place in its parent
    node.__dict__.update(other.__dict__ | place)


if __name__ == "__main__":
    started_s = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started_s:.0f} s")
    sys.exit(status)
