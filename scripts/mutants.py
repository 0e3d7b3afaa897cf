"""Makes mutants: one small change each to the text of a module, at a place where a test should notice it.

Left out by rule is what no result depends on: docstrings, annotations and types, imports, decorators, class headers,
texts for people (label, help, messages of settings), and how much is remembered (lru_cache, _REMEMBERED_...).
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

Edit = tuple[int, int, str]
"""From, to (offsets in the text), and what stands there instead."""

_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Pow: ("**", "*"),
}
_OTHER_FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min"}
_CLEANING_METHODS = {"strip", "lstrip", "lower", "upper", "removeprefix", "removesuffix", "isspace"}

_LOOKS_LIKE_A_PATTERN = re.compile(r"\[.+\]|\(\?|\\[dsSZA]")
_PIECES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=[\])}a-zA-Z0-9])\+"), "*"),
    (re.compile(r"(?<=[\])}a-zA-Z0-9])\*"), "+"),
    (re.compile(r"(?<=[\])}])\?"), ""),
    (re.compile(r"\[\^"), "["),
    (re.compile(r"\[(?!\^)"), "[^"),
    (re.compile(r"\\d"), r"\\D"),
    (re.compile(r"\\s"), r"\\S"),
    (re.compile(r"\\S"), r"\\s"),
    (re.compile(r"\\[ZA]"), ""),
    (re.compile(r"0-9"), "0-8"),
    (re.compile(r"1-9"), "0-9"),
    (re.compile(r"a-z"), "b-z"),
    (re.compile(r"A-Z"), "B-Z"),
    (re.compile(r"(?<=\(\?)!"), "="),
)
_TIMES = re.compile(r"(?<=[{,])[0-9]+(?=[},])")

_TYPE_MAKERS = {"TypeVar", "TypeVarTuple", "NewType", "PydanticCustomError", "lru_cache", "ConfigDict"}
_TYPE_FORMS = {"Literal", "Annotated", "Callable", "Mapping"}
_ORDERLESS = {"frozenset", "set", "isinstance", "startswith", "endswith", "min", "max"}


class Mutant(NamedTuple):
    """One change.

    line, before, after: where it begins, and that line before and after. within: the function, class or table that has
    it. kind: of what is changed, in the words of Python's `ast`. text: the whole module, changed.
    """

    file: Path
    line: int
    before: str
    after: str
    within: str
    kind: str
    text: str


def list_mutants(file: Path) -> list[Mutant]:
    """Every mutant of a module, in the order of its text."""
    text = file.read_text(encoding="utf-8")
    found = sorted(set(_Finder(text).find_edits(ast.parse(text), "")))
    return [_apply(file, text, *edit) for edit in found]


def _apply(file: Path, text: str, edit: Edit, within: str, kind: str) -> Mutant:
    start, end, replacement = edit
    changed = text[:start] + replacement + text[end:]
    lines, changed_lines = text.splitlines(), changed.splitlines()
    line = next(number for number, (old, new) in enumerate(zip(lines, changed_lines, strict=False)) if old != new)
    return Mutant(file, line + 1, lines[line].strip(), changed_lines[line].strip(), within, kind, changed)


class _Finder:
    """Walks the tree of one module and yields the edits of each node."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.splitlines(keepends=True)
        self._line_starts = [0]
        for line in self._lines:
            self._line_starts.append(self._line_starts[-1] + len(line))

    def find_edits(self, node: ast.AST, within: str) -> Iterator[tuple[Edit, str, str]]:
        """The edits below a node, each with what it is within and its kind."""
        kind = type(node).__name__
        make = getattr(self, f"_of_{kind.lower()}", None)
        if make is not None:
            yield from ((edit, within, kind) for edit in make(node) if self._text[edit[0] : edit[1]] != edit[2])
        for child in _list_children(node):
            yield from self.find_edits(child, within or _find_own_name(child))

    def _place(self, line: int, column_in_bytes: int) -> int:
        before = self._lines[line - 1].encode()[:column_in_bytes].decode()
        return self._line_starts[line - 1] + len(before)

    def _start(self, node: Any) -> int:
        return self._place(node.lineno, node.col_offset)

    def _end(self, node: Any) -> int:
        return self._place(node.end_lineno, node.end_col_offset)

    def _read(self, node: ast.AST) -> str:
        return self._text[self._start(node) : self._end(node)]

    def _replace(self, node: ast.AST, replacement: str) -> Edit:
        return self._start(node), self._end(node), replacement

    def _replace_between(self, left: ast.AST, right: ast.AST, old: str, new: str) -> Edit:
        start = self._text.index(old, self._end(left), self._start(right))
        return start, start + len(old), new

    def _swap(self, nodes: list[Any]) -> Iterator[Edit]:
        for one, two in pairwise(nodes):
            middle = self._text[self._end(one) : self._start(two)]
            yield self._start(one), self._end(two), self._read(two) + middle + self._read(one)

    def _of_compare(self, node: ast.Compare) -> Iterator[Edit]:
        for operator, (left, right) in zip(node.ops, pairwise([node.left, *node.comparators]), strict=True):
            yield self._replace_between(left, right, *_COMPARISONS[type(operator)])

    def _of_boolop(self, node: ast.BoolOp) -> Iterator[Edit]:
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in pairwise(node.values):
            yield self._replace_between(left, right, *words)

    def _of_binop(self, node: ast.BinOp) -> Iterator[Edit]:
        if type(node.op) in _ARITHMETIC:
            yield self._replace_between(node.left, node.right, *_ARITHMETIC[type(node.op)])

    def _of_unaryop(self, node: ast.UnaryOp) -> Iterator[Edit]:
        if isinstance(node.op, ast.Not):
            yield self._replace(node, f"({self._read(node.operand)})")

    def _of_if(self, node: ast.If | ast.IfExp) -> Iterator[Edit]:
        yield from self._negate(node.test)

    _of_ifexp = _of_if

    def _of_comprehension(self, node: ast.comprehension) -> Iterator[Edit]:
        for test in node.ifs:
            yield from self._negate(test)

    def _negate(self, test: ast.expr) -> Iterator[Edit]:
        if not isinstance(test, ast.Compare | ast.UnaryOp):  # these are turned round by their own edit
            yield self._replace(test, f"(not ({self._read(test)}))")

    def _of_return(self, node: ast.Return) -> Iterator[Edit]:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value in {None, False}):
            yield self._replace(node.value, "None")  # which is as false as False

    def _of_expr(self, node: ast.Expr) -> Iterator[Edit]:
        yield self._replace(node, "pass")

    _of_continue = _of_raise = _of_augassign = _of_expr

    def _of_assign(self, node: ast.Assign) -> Iterator[Edit]:
        if isinstance(node.targets[0], ast.Subscript | ast.Attribute):
            yield self._replace(node, "pass")

    def _of_slice(self, node: ast.Slice) -> Iterator[Edit]:
        for bound in (node.lower, node.upper):
            if bound is not None:
                yield self._replace(bound, "")

    def _of_tuple(self, node: ast.Tuple | ast.List) -> Iterator[Edit]:
        if isinstance(node.ctx, ast.Load):
            yield from self._swap(node.elts)

    _of_list = _of_tuple

    def _of_dict(self, node: ast.Dict) -> Iterator[Edit]:
        if None not in node.keys:
            for one, two in pairwise(node.values):
                first, second = self._read(one), self._read(two)
                middle = self._text[self._end(one) : self._start(two)]
                yield self._start(one), self._end(two), second + middle + first

    def _of_call(self, node: ast.Call) -> Iterator[Edit]:
        name = _name_of(node.func)
        if name in _OTHER_FUNCTIONS:
            yield self._replace(node.func, _OTHER_FUNCTIONS[name])
        if isinstance(node.func, ast.Attribute) and name in _CLEANING_METHODS:
            yield self._replace(node, self._read(node.func.value))
        if name not in _ORDERLESS | _TYPE_MAKERS:
            yield from self._swap(node.args)

    def _of_constant(self, node: ast.Constant) -> Iterator[Edit]:
        match node.value:
            case bool():
                yield self._replace(node, str(not node.value))
            case int():
                yield self._replace(node, str(node.value + 1))
                yield self._replace(node, str(node.value - 1))
            case str() if _LOOKS_LIKE_A_PATTERN.search(node.value):
                yield from self._of_joinedstr(node)
            case str() if "\n" in node.value:
                for word in re.finditer(r"[^\s:\"]+", self._read(node)):
                    start = self._start(node) + word.start()
                    yield start, start + len(word[0]), word[0][1:]
            case str():
                shorter = node.value[1:] if len(node.value) > 1 else "" if node.value == "~" else "~"
                yield self._replace(node, repr(shorter))

    def _of_joinedstr(self, node: ast.Constant | ast.JoinedStr) -> Iterator[Edit]:
        written, start = self._read(node), self._start(node)
        if not _LOOKS_LIKE_A_PATTERN.search(written):
            return
        for piece, replacement in _PIECES:
            for found in piece.finditer(written):
                yield start + found.start(), start + found.end(), found.expand(replacement)
        for found in _TIMES.finditer(written):
            yield start + found.start(), start + found.end(), str(int(found[0]) + 1)

    def _of_attribute(self, node: ast.Attribute) -> Iterator[Edit]:
        if _name_of(node.value) == "re" and node.attr.isupper():
            yield self._replace(node, "re.NOFLAG")


def _list_children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node on which results depend."""
    children: list[ast.AST]
    match node:
        case ast.Module() | ast.ClassDef():
            children = list(node.body)
        case ast.FunctionDef():
            children = [*node.args.defaults, *(default for default in node.args.kw_defaults if default), *node.body]
        case ast.AnnAssign():
            children = [node.value] if node.value is not None else []
        case ast.Assign() if _is_uninteresting(node):
            children = []
        case ast.Call() if _name_of(node.func) in _TYPE_MAKERS:
            children = []
        case ast.Call():
            children = [node.func, *node.args, *(word for word in node.keywords if word.arg not in {"label", "help"})]
            if _name_of(node.func) in _ORDERLESS:
                children = [part for child in children for part in getattr(child, "elts", [child])]
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            children = []  # the parts of an f-string have no place of their own before Python 3.12
        case _:
            children = list(ast.iter_child_nodes(node))
    return (child for child in children if not _is_docstring(child))


def _is_uninteresting(node: ast.Assign) -> bool:
    name = _name_of(node.targets[0])
    is_type = isinstance(node.value, ast.Subscript) and _name_of(node.value.value) in _TYPE_FORMS
    return is_type or name == "__slots__" or name.startswith("_REMEMBERED")


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _find_own_name(node: ast.AST) -> str:
    """What a statement of a module defines."""
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign():
            return _name_of(node.targets[0])
        case ast.AnnAssign():
            return _name_of(node.target)
        case _:
            return ""


def _name_of(node: ast.AST) -> str:
    """`find` of `find(...)` and of `table.find(...)`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
