"""Owns patterns of text with wildcards and policy variables, and their matching in linear time.

`*` stands for any run of characters, `?` for any one. `${aws:username}` is replaced by what the request has under that
key, letter by letter: a wildcard in a value is none. `${*}`, `${?}` and `${$}` are those characters themselves; a
variable may have a default, `${aws:username, 'nobody'}` (AWS: IAM policy elements, Variables and tags).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from core.errors import MalformedPolicy

Values = Callable[[str], Sequence[str] | None]
"""What a request has under a condition key in the form of `normal_key`; None for nothing."""

_VARIABLE = re.compile(r"\$\{([^{}$]*|\$)\}")
# Of text without blanks at its ends: two runs of blanks beside each other would take quadratic time to tell apart.
_WITH_DEFAULT = re.compile(r"([^,\s]+)(?:\s*,\s*'([^']*)')?\Z")
_THEMSELVES = frozenset("*?$")


class Wild(Enum):
    """A wildcard in a pattern."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A key whose value of the request belongs here."""

    key: str
    default: str | None


Token = str | Wild | Variable


class Pattern:
    """A pattern as it was written. `has_wildcards` is false for a fixed text (or one with variables alone)."""

    __slots__ = ("_compiled", "has_variables", "has_wildcards", "tokens")

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.tokens = tokens
        self.has_variables = any(isinstance(token, Variable) for token in tokens)
        self.has_wildcards = any(isinstance(token, Wild) for token in tokens)
        self._compiled = None if self.has_variables else _Compiled(tokens)

    def matches(self, text: str, values: Values) -> bool:
        """Whether the whole text meets the pattern. One with a variable that has no value meets nothing."""
        if self._compiled is not None:
            return self._compiled.matches(text)
        tokens = _filled(self.tokens, values)
        return tokens is not None and _Compiled(tokens).matches(text)

    def split(self, separator: str, most: int) -> tuple[Pattern, ...]:
        """The patterns between the first `most` separators that are written out."""
        pieces: list[list[Token]] = [[]]
        for token in self.tokens:
            if not isinstance(token, str):
                pieces[-1].append(token)
                continue
            first, *others = token.split(separator, most - len(pieces) + 1)
            pieces[-1].append(first)
            pieces += [[other] for other in others]
        return tuple(Pattern(tuple(piece)) for piece in pieces)


def parse_pattern(text: str, *, wildcards: bool = True, variables: bool = True) -> Pattern:
    """A pattern from its text. Raises MalformedPolicy for a variable that is none."""
    tokens: list[Token] = []
    position = 0
    for found in _VARIABLE.finditer(text) if variables else ():
        tokens += _literal(text[position : found.start()], wildcards)
        tokens.append(_variable(found[1]))
        position = found.end()
    tokens += _literal(text[position:], wildcards)
    return Pattern(tuple(tokens))


def _literal(text: str, wildcards: bool) -> Sequence[Token]:
    if not text:
        return ()
    if not wildcards:
        return (text,)
    return [
        Wild(piece) if piece in ("*", "?") else piece
        for piece in re.split(r"([*?])", text)
        if piece
    ]


def _variable(inside: str) -> Token:
    if inside in _THEMSELVES:
        return inside
    found = _WITH_DEFAULT.match(inside.strip())
    if found is None:
        raise MalformedPolicy(reason=f"Invalid policy variable: ${{{inside}}}")
    return Variable(normal_key(found[1]), found[2])


def normal_key(key: str) -> str:
    """A condition key as it is compared: without case, but for the key of a tag that it may end with."""
    name, slash, tag = key.partition("/")
    return name.lower() + slash + tag


def _filled(tokens: Sequence[Token], values: Values) -> tuple[Token, ...] | None:
    """The tokens with values for variables; None if one has no single value."""
    filled: list[Token] = []
    for token in tokens:
        if not isinstance(token, Variable):
            filled.append(token)
            continue
        found = values(token.key)
        if found is not None and len(found) == 1:
            filled.append(found[0])
        elif token.default is not None:
            filled.append(token.default)
        else:
            return None
    return tuple(filled)


class _Compiled:
    """A pattern without variables: the runs of text between its `*`, each searched for once, from left to right."""

    __slots__ = ("_parts",)

    def __init__(self, tokens: Sequence[Token]) -> None:
        parts: list[list[Token]] = [[]]
        for token in tokens:
            if token is Wild.MANY:
                parts.append([])
            else:
                parts[-1].append(token)
        self._parts = [_Part(part) for part in parts]

    def matches(self, text: str) -> bool:
        first, *middle = self._parts
        if not middle:
            return len(text) == first.length and first.is_at(text, 0)
        *middle, last = middle
        end = len(text) - last.length
        if end < first.length or not first.is_at(text, 0) or not last.is_at(text, end):
            return False
        position = first.length
        for part in middle:
            position = part.end_in(text, position, end)
            if position < 0:
                return False
        return True


class _Part:
    """A run of characters, some of which may be any."""

    __slots__ = ("_expression", "_source", "_text", "length")

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.length = sum(1 if token is Wild.ONE else len(str(token)) for token in tokens)
        self._text = "".join(str(token) for token in tokens if not isinstance(token, Wild))
        # Characters and dots alone: nothing that could make the search go back.
        self._source = (
            "".join("." if token is Wild.ONE else re.escape(str(token)) for token in tokens)
            if Wild.ONE in tokens
            else ""
        )
        self._expression: re.Pattern[str] | None = None

    def is_at(self, text: str, position: int) -> bool:
        if not self._source:
            return text.startswith(self._text, position)
        return self._compiled().match(text, position) is not None

    def end_in(self, text: str, start: int, end: int) -> int:
        """Where the first occurrence within text[start:end] ends; -1 for none."""
        if not self._source:
            found = text.find(self._text, start, end)
            return found if found < 0 else found + self.length
        match = self._compiled().search(text, start, end)
        return -1 if match is None else match.end()

    def _compiled(self) -> re.Pattern[str]:
        """Made when it is first needed: a policy may hold thousands, and most matches fail at the first."""
        if self._expression is None:
            self._expression = re.compile(self._source, re.DOTALL)
        return self._expression


def glob_matches(pattern: str, text: str) -> bool:
    """Whether a text meets a pattern without variables."""
    return _glob(pattern).matches(text)


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> _Compiled:
    return _Compiled(_literal(pattern, wildcards=True))
