"""The grammar of conditions: text in, checked condition out, or a sentence that points at it.

    condition   = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation    = "not" negation | comparison
    comparison  = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum
                      | ["not"] "in" "(" literal {"," literal} ")"]
    sum         = product {("+" | "-") product}
    product     = unary {("*" | "/") unary}
    unary       = "-" unary | atom
    atom        = number | text | "true" | "false" | name | function "(" ... ")"
                | "(" condition ")"

Owns parsing, kinds and bounds: everything that can be wrong with a condition is found here, when
somebody submits it. What it means stands in `shared.model.condition`.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared import limits
from shared.errors import MistakeError, nearest
from shared.model.condition import (
    COMPARISONS,
    EQUALITY,
    FUNCTIONS,
    Arithmetic,
    Comparison,
    Condition,
    Junction,
    Kind,
    Literal,
    Name,
    Node,
    Not,
    Vocabulary,
)

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number> (?: \d+ (?:\.\d+)? | \.\d+ ) (?:[eE][+-]?\d+)? (?![\w.]) )
    | (?P<text>   '[^'\n]*' | "[^"\n]*" )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_-]* (?: \. [A-Za-z0-9_-]+ )* )
    | (?P<sign>   == | != | <= | >= | [-+*/<>(),] )
    )""",
    re.VERBOSE,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false"})
_CALLS: Final = frozenset({"abs", "min", "max"})


@dataclass(frozen=True, slots=True)
class _Token:
    sort: str
    """number, text, name, sign, word or end."""
    text: str
    column: int
    """From 0."""


def parse_condition(text: str, known: Vocabulary, *, where: str = "condition") -> Condition:
    """Return the condition that `text` stands for.

    Raises:
        MistakeError: it is none, names a fact that does not exist, compares what cannot be
            compared, or is too long; the sentence points at the column.
    """
    parser = _Parser(text, known, where)
    root = parser.whole()
    return Condition(text, root, frozenset(parser.names))


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, known: Vocabulary, where: str) -> None:
        self.names: set[str] = set()
        self._text, self._known, self._where = text, known, where
        if len(text) > limits.CONDITION_CHARS:
            raise self._mistake(
                limits.CONDITION_CHARS, f"it has more than {limits.CONDITION_CHARS} characters"
            )
        self._tokens = self._tokenise()
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        """Return the whole text as one condition."""
        if self._now.sort == "end":
            raise self._mistake(0, "it is empty")
        root = self._condition()
        if self._now.sort != "end":
            raise self._mistake(self._now.column, f"nothing may follow before {self._now.text!r}")
        self._expect(root, Kind.TRUTH, 0)
        return root

    def _tokenise(self) -> list[_Token]:
        found: list[_Token] = []
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if match is None:
                blank = len(self._text[position:]) - len(self._text[position:].lstrip())
                column = position + blank
                raise self._mistake(column, f"{self._text[column]!r} is not understood")
            sort = match.lastgroup or ""
            text = match.group(sort)
            is_word = sort == "name" and text in _WORDS
            found.append(_Token("word" if is_word else sort, text, match.start(sort)))
            position = match.end()
        if len(found) > limits.CONDITION_TOKENS:
            raise self._mistake(
                found[limits.CONDITION_TOKENS].column,
                f"it has more than {limits.CONDITION_TOKENS} parts",
            )
        return [*found, _Token("end", "the end", end)]

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> _Token | None:
        """Return the present sign or word and step on, if it is one of these."""
        token = self._now
        if token.sort in {"sign", "word"} and token.text in texts:
            self._at += 1
            return token
        return None

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._mistake(self._now.column, f"{text!r} is missing before {self._now.text!r}")

    def _condition(self) -> Node:
        self._depth += 1
        if self._depth > limits.CONDITION_DEPTH:
            raise self._mistake(self._now.column, "it is nested too deeply")
        node = self._junction("or", lambda: self._junction("and", self._negation))
        self._depth -= 1
        return node

    def _junction(self, word: str, part: Callable[[], Node]) -> Node:
        column = self._now.column
        parts = [part()]
        while self._take(word):
            column_of_next = self._now.column
            if len(parts) == 1:
                self._expect(parts[0], Kind.TRUTH, column)
            parts.append(part())
            self._expect(parts[-1], Kind.TRUTH, column_of_next)
        return parts[0] if len(parts) == 1 else Junction(word == "or", tuple(parts))

    def _negation(self) -> Node:
        count = 0
        while self._take("not"):
            count += 1
        column = self._now.column
        node = self._comparison()
        if count:
            self._expect(node, Kind.TRUTH, column)
        return Not(node) if count % 2 else node

    def _comparison(self) -> Node:
        column = self._now.column
        left = self._sum()
        if sign := self._take(*COMPARISONS):
            right_column = self._now.column
            right = self._sum()
            wanted = left.kind if sign.text in EQUALITY else Kind.NUMBER
            self._expect(left, wanted, column)
            self._expect(right, wanted, right_column)
            if self._now.text in COMPARISONS:
                raise self._mistake(self._now.column, "comparisons cannot be chained: use 'and'")
            return Comparison(sign.text, left, right)
        negated = self._now.text == "not" and self._tokens[self._at + 1].text == "in"
        if negated:
            self._at += 1
        if self._take("in"):
            choices = self._choices(left.kind)
            equal = Junction(
                decisive=True, parts=tuple(Comparison("==", left, each) for each in choices)
            )
            return Not(equal) if negated else equal
        return left

    def _choices(self, kind: Kind) -> tuple[Node, ...]:
        self._need("(")
        choices: list[Node] = []
        while True:
            column = self._now.column
            choice = self._unary()
            if not isinstance(choice, Literal):
                raise self._mistake(column, "a list after 'in' holds numbers and texts only")
            self._expect(choice, kind, column)
            choices.append(choice)
            if not self._take(","):
                break
        self._need(")")
        return tuple(choices)

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._unary)

    def _chain(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        column = self._now.column
        node = part()
        while sign := self._take(*signs):
            self._expect(node, Kind.NUMBER, column)
            right_column = self._now.column
            right = part()
            self._expect(right, Kind.NUMBER, right_column)
            node = Arithmetic(sign.text, (node, right))
        return node

    def _unary(self) -> Node:
        count = 0
        while self._take("-"):
            count += 1
        column = self._now.column
        node = self._atom()
        if count:
            self._expect(node, Kind.NUMBER, column)
        if count % 2 == 0:
            return node
        if isinstance(node, Literal) and isinstance(node.constant, int | float):
            return Literal(-node.constant)
        return Arithmetic("negative", (node,))

    def _atom(self) -> Node:
        token = self._now
        if self._take("("):
            node = self._condition()
            self._need(")")
            return node
        self._at += 1
        match token.sort:
            case "number":
                return self._number(token)
            case "text":
                return Literal(token.text[1:-1])
            case "word" if token.text in {"true", "false"}:
                return Literal(token.text == "true")
            case "name":
                return self._named(token)
        raise self._mistake(token.column, f"a value is missing before {token.text!r}")

    def _number(self, token: _Token) -> Node:
        value = int(token.text) if token.text.isdigit() else float(token.text)
        # Signed documents carry no larger integers, so no point could ever have such a value.
        bound = limits.INT_MAX if isinstance(value, int) else sys.float_info.max
        if value > bound:
            raise self._mistake(token.column, f"{token.text} is beyond the range of numbers here")
        return Literal(value)

    def _named(self, token: _Token) -> Node:
        if self._now.text == "(" and token.text in _CALLS:
            return self._call(token)
        kind = self._known.kind(token.text)
        if kind is None:
            close = nearest(token.text, sorted(self._known.names))
            meant = f"; did you mean {close!r}?" if close else ""
            raise self._mistake(token.column, f"there is no {token.text!r}{meant}")
        self.names.add(token.text)
        return Name(token.text, kind)

    def _call(self, token: _Token) -> Node:
        self._need("(")
        operands: list[Node] = []
        while True:
            column = self._now.column
            operands.append(self._condition())
            self._expect(operands[-1], Kind.NUMBER, column)
            if not self._take(","):
                break
        self._need(")")
        function = FUNCTIONS[token.text]
        if not function.least <= len(operands) <= function.most:
            least, most = function.least, function.most
            wanted = f"{least} value" if least == most else f"{least} to {most} values"
            raise self._mistake(token.column, f"{token.text} takes {wanted}, not {len(operands)}")
        return Arithmetic(token.text, tuple(operands))

    def _expect(self, node: Node, kind: Kind, column: int) -> None:
        if not node.kind.fits(kind):
            raise self._mistake(column, f"{kind.value} is needed here, this is {node.kind.value}")

    def _mistake(self, column: int, what: str) -> MistakeError:
        begin = max(0, column - 20)
        near = self._text[begin : column + 20]
        return MistakeError(
            f"{what} (column {column + 1}, near {near!r})",
            where=self._where,
            mend="write for example: pressure > 4.2 and not device.running",
        )
