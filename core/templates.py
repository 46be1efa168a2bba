"""Owns templates: many names said in one line, as native clients select objects. Pure.

Three ways to write ranges: "shard-{0000..0999..2}.tar" (any number of them), "shard-@999.tar" (0 to 999) and
"shard-%04d.tar" (every number). A text without any is a prefix. What a template names may be 10^18 names and is never
expanded: names are computed by their number, and a name is recognized without looking at others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import InvalidArgument

MAX_TEMPLATE_CHARS = 4096
_MAX_RANGES = 16
_MAX_DIGITS = 18
_ENDLESS = 10**_MAX_DIGITS - 1

_BRACES = re.compile(r"\{([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?\}")
_AT = re.compile(r"@([0-9]+)")
_FORMAT = re.compile(r"%(?:0([0-9]+))?d")

_Made = Callable[[re.Match[str]], "NumberRange"]


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers first, first + step, ... up to `last`, written with at least `width` digits."""

    first: int
    last: int
    step: int = 1
    width: int = 1

    @property
    def count(self) -> int:
        return (self.last - self.first) // self.step + 1

    def text(self, index: int) -> str:
        """The number at `index`."""
        return str(self.first + index * self.step).zfill(self.width)

    def ends(self, name: str, start: int) -> Sequence[int]:
        """Where in `name` a number of this range may end that begins at `start`."""
        found = []
        for end in range(start + self.width, min(len(name), start + _MAX_DIGITS + 1) + 1):
            digits = name[start:end]
            if not (digits.isascii() and digits.isdigit()):
                break
            if len(digits) > self.width and digits[0] == "0":
                break
            number = int(digits)
            if self.first <= number <= self.last and (number - self.first) % self.step == 0:
                found.append(end)
        return found


@dataclass(frozen=True, slots=True)
class Template:
    """`literals` stand before, between and behind the `ranges`. Without ranges it is a prefix of names."""

    literals: Sequence[str]
    ranges: Sequence[NumberRange] = ()

    @property
    def prefix(self) -> str:
        """What all names begin with."""
        return self.literals[0]

    @property
    def is_prefix(self) -> bool:
        return not self.ranges

    @property
    def count(self) -> int:
        """How many names the ranges make."""
        return math.prod(each.count for each in self.ranges)

    def name(self, index: int) -> str:
        """The name of that number; the last range counts fastest."""
        parts: list[str] = [self.literals[-1]]
        for literal, numbers in zip(
            reversed(self.literals[:-1]), reversed(self.ranges), strict=True
        ):
            index, here = divmod(index, numbers.count)
            parts += (numbers.text(here), literal)
        return "".join(reversed(parts))

    def matches(self, name: str) -> bool:
        """Whether the template names it."""
        if self.is_prefix:
            return name.startswith(self.prefix)
        if not name.startswith(self.prefix):
            return False
        # All places up to which the name can have been read so far: ranges may stand side by side.
        places = {len(self.prefix)}
        for numbers, literal in zip(self.ranges, self.literals[1:], strict=True):
            places = {
                end + len(literal)
                for place in places
                for end in numbers.ends(name, place)
                if name.startswith(literal, end)
            }
        return len(name) in places


def parse_template(text: str) -> Template:
    """Raises InvalidArgument."""
    if len(text) > MAX_TEMPLATE_CHARS:
        raise _invalid(text, f"it is longer than {MAX_TEMPLATE_CHARS} characters")
    if _BRACES.search(text):
        return _of_braces(text)
    if "{" in text and ".." in text.partition("{")[2]:
        raise _invalid(text, "a range is {FIRST..LAST} or {FIRST..LAST..STEP}, in decimal digits")
    if _AT.search(text):
        return _split(text, _AT, lambda found: _counted(text, "0", found[1], None))
    if _FORMAT.search(text):
        return _split(text, _FORMAT, lambda found: _endless(text, found[1]))
    return Template((text,))


def _of_braces(text: str) -> Template:
    return _split(text, _BRACES, lambda found: _counted(text, found[1], found[2], found[3]))


def _split(text: str, pattern: re.Pattern[str], made: _Made) -> Template:
    literals: list[str] = []
    ranges: list[NumberRange] = []
    end = 0
    for found in pattern.finditer(text):
        if len(ranges) == _MAX_RANGES:
            raise _invalid(text, f"it has more than {_MAX_RANGES} ranges")
        literals.append(text[end : found.start()])
        ranges.append(made(found))
        end = found.end()
    return Template((*literals, text[end:]), tuple(ranges))


def _counted(text: str, first: str, last: str, step: str | None) -> NumberRange:
    if max(len(first), len(last), len(step or "")) > _MAX_DIGITS:
        raise _invalid(text, f"a number has more than {_MAX_DIGITS} digits")
    by = 1 if step is None else int(step)
    if by < 1:
        raise _invalid(text, "a step is at least 1")
    if int(first) > int(last):
        raise _invalid(text, "a range goes upwards")
    # As the shell pads: numbers are as wide as the first one is written, or "@0999" says so.
    width = len(first) if first != "0" or last[0] != "0" else len(last)
    return NumberRange(int(first), int(last), by, width)


def _endless(text: str, width: str | None) -> NumberRange:
    digits = int(width[:4]) if width else 1
    if digits > _MAX_DIGITS:
        raise _invalid(text, f"a number has more than {_MAX_DIGITS} digits")
    return NumberRange(0, _ENDLESS, width=max(digits, 1))


def _invalid(text: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name="template", value=text[:200], reason=f"invalid template: {reason}")
