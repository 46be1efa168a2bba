"""Owns the syntax of regular expressions that come from outside: parsing into a tree, with refusals that say why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidArgument

MAX_PATTERN_CHARS = 1000
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any one character that this class, in Python's syntax, has."""

    source: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place: A (start), Z (end), b or B (at the edge of a word, or not)."""

    kind: str


@dataclass(frozen=True, slots=True)
class Sequel:
    parts: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Node
    least: int
    most: int | None


Node = OneOf | Place | Sequel | Choice | Repeat


def refusal(pattern: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name="pattern", value=pattern[:100], reason=f"bad pattern: {reason}")


# --- syntax ------------------------------------------------------------------------------------------------------

_CLASSES = {letter: "\\" + letter for letter in "dDwWsS"}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a"}
_PLACES = {"A": "A", "z": "Z", "Z": "Z", "b": "b", "B": "B"}
_NAMED = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "space": "\\s",
    "word": "\\w",
    "xdigit": "0-9A-Fa-f",
    "punct": "!-/:-@\\[-`{-~",
}
_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_COUNTS = re.compile(r"\{(\d{1,4})(,?)(\d{0,4})\}")
_GROUP = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")
_FLAGS = re.compile(r"\(\?([is]+)\)")
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")


class Parser:
    """Recursive descent; what is known of a pattern but cannot be matched in linear time is refused by name."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self.flags = 0

    def parse(self) -> Node:
        flags = _FLAGS.match(self._pattern)
        if flags is not None:
            self._at = flags.end()
            for letter in flags[1]:
                self.flags |= re.IGNORECASE if letter == "i" else re.DOTALL
        tree = self._choice()
        if self._at < len(self._pattern):
            raise self._refuse("a ) that closes nothing")
        return tree

    def _refuse(self, reason: str) -> InvalidArgument:
        return refusal(self._pattern, f"{reason} (character {self._at + 1})")

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self, what: str) -> str:
        letter = self._peek()
        if not letter:
            raise self._refuse(f"it ends within {what}")
        self._at += 1
        return letter

    def _choice(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refuse("groups are too deep")
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        self._depth -= 1
        return ways[0] if len(ways) == 1 else Choice(ways)

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repetition(self._atom()))
        return Sequel(parts)

    def _repetition(self, part: Node) -> Node:
        """The part, repeated if it is."""
        bounds = self._bounds()
        if bounds is None:
            return part
        least, most = bounds
        if most is not None and least > most:
            raise self._refuse("a repetition whose bounds are the wrong way round")
        if self._peek() == "?":
            # As few as possible or as many: what is found is the same.
            self._at += 1
        if self._bounds() is not None:
            raise self._refuse("a repetition of a repetition")
        return Repeat(part, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        """How often, if a repetition stands here; then it is passed."""
        sign = self._peek()
        if sign == "{":
            counts = _COUNTS.match(self._pattern, self._at)
            if counts is None:
                return None
            self._at = counts.end()
            least = int(counts[1])
            return least, least if not counts[2] else int(counts[3]) if counts[3] else None
        if sign not in _SIGNS:
            return None
        self._at += 1
        return _SIGNS[sign]

    def _atom(self) -> Node:
        letter = self._next("the pattern")
        match letter:
            case "^":
                return Place("A")
            case "$":
                return Place("Z")
            case ".":
                return OneOf("." if self.flags & re.DOTALL else "[^\\n]")
            case "[":
                return self._class()
            case "(":
                return self._group()
            case "*" | "+" | "?":
                raise self._refuse("a repetition of nothing")
            case "\\":
                escaped = self._next("an escape")
                if escaped in _PLACES:
                    return Place(_PLACES[escaped])
                return OneOf(self._escape(escaped))
            case _:
                return OneOf(re.escape(letter))

    def _group(self) -> Node:
        if self._peek() == "?":
            opening = _GROUP.match(self._pattern, self._at)
            if opening is None:
                raise self._refuse("of groups that begin with (? only (?: and named ones are known")
            self._at = opening.end()
        inner = self._choice()
        if self._next("a group") != ")":
            raise self._refuse("a group is not closed")
        return inner

    def _escape(self, letter: str) -> str:
        """What follows a backslash, in Python's syntax."""
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter in _CONTROLS:
            return re.escape(_CONTROLS[letter])
        if letter == "x":
            code = _HEX.match(self._pattern, self._at - 1)
            if code is None or int(code[1] or code[2], 16) > 0x10FFFF:
                raise self._refuse("a malformed \\x")
            self._at = code.end()
            return re.escape(chr(int(code[1] or code[2], 16)))
        if letter.isdigit():
            raise self._refuse("back references are not known")
        if letter.isalnum():
            raise self._refuse(f"\\{letter} is not known")
        return re.escape(letter)

    def _class(self) -> Node:
        negated = self._peek() == "^"
        self._at += negated
        items: list[str] = []
        while self._peek() != "]" or not items:
            items.append(self._class_item())
        self._at += 1
        return OneOf(f"[{'^' if negated else ''}{''.join(items)}]")

    def _class_item(self) -> str:
        low = self._class_char()
        is_range = self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in (
            "]",
            "",
        )
        if not is_range or (len(low) > 1 and low[0] != "\\"):
            return low
        self._at += 1
        high = self._class_char()
        try:
            re.compile(f"[{low}-{high}]")
        except re.error:
            raise self._refuse("a malformed range") from None
        return f"{low}-{high}"

    def _class_char(self) -> str:
        letter = self._next("a class")
        if letter == "\\":
            return self._escape(self._next("an escape"))
        if letter == "[" and self._peek() == ":":
            end = self._pattern.find(":]", self._at)
            name = self._pattern[self._at + 1 : max(end, 0)]
            if name not in _NAMED:
                raise self._refuse("an unknown class of characters")
            self._at = end + 2
            return _NAMED[name]
        # Everything that means something between brackets, or may come to (Python: re, Future Warning).
        return "\\" + letter if letter in "^-]\\[&~|" else letter
