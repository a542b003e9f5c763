"""Small changes to what a Python module does, one at a time: another comparison, another sign, one more, a call or an answer left out.

Constants outside of functions stay, and what people are told: a test that repeats them proves nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
}  # fmt: skip
TOLD = ("log", "metrics")


@dataclass(frozen=True)
class PythonMutant:
    """The ``number``-th place of a file that can be changed, and what is changed there."""

    file: str
    number: int
    line: int
    old: str
    new: str


@dataclass
class Changer(ast.NodeTransformer):
    """Counts the places of a module that can be changed, and changes the chosen one."""

    chosen: int | None = None
    found: list[tuple[int, str, str]] = field(default_factory=list)
    depth: int = 0

    def _change(self, old: ast.expr | ast.stmt, new: ast.AST) -> ast.AST:
        """The new node at the chosen place, the old one elsewhere."""
        if not self.depth:
            return old
        self.found.append((old.lineno, ast.unparse(old), ast.unparse(new)))
        return ast.copy_location(new, old) if len(self.found) - 1 == self.chosen else old

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """What a function does, not how it is called, typed and decorated."""
        self.depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self.depth -= 1
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value else None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return self._change(node, ast.Compare(node.left, [_swapped(node.ops[0]), *node.ops[1:]], node.comparators))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return self._change(node, ast.BoolOp(_swapped(node.op), node.values))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in SWAPPED and _may_be_number(node.left) and _may_be_number(node.right):
            return self._change(node, ast.BinOp(node.left, _swapped(node.op), node.right))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return self._change(node, node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool):
            return self._change(node, ast.Constant(not node.value))
        return self._change(node, ast.Constant(node.value + 1)) if isinstance(node.value, int) else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        is_told = any(word in ast.unparse(node).partition("(")[0] for word in TOLD)
        return self._change(node, ast.Pass()) if isinstance(node.value, ast.Call) and not is_told else node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        is_nothing = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        return node if is_nothing else self._change(node, ast.Return(ast.Constant(None)))


def mutants_of(file: str, source: str) -> list[PythonMutant]:
    """Every change there is."""
    changer = Changer()
    changer.visit(ast.parse(source))
    return [PythonMutant(file, number, *place) for number, place in enumerate(changer.found)]


def mutated(source: str, number: int) -> str:
    """The module with that one change, and without its comments."""
    return ast.unparse(ast.fix_missing_locations(Changer(number).visit(ast.parse(source)))) + "\n"


def _swapped(operator: ast.AST) -> Any:
    return SWAPPED[type(operator)]()


def _may_be_number(side: ast.expr) -> bool:
    """As far as can be seen: no text, and no sequence."""
    return not isinstance(side, ast.List | ast.Tuple | ast.JoinedStr) and not (
        isinstance(side, ast.Constant) and not isinstance(side.value, int)
    )
