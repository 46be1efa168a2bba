"""Owns regular expressions that come from outside: their syntax, and matching in time that grows with the text alone.

Python's own engine backtracks, and a short pattern can keep it busy for years. Here a pattern is parsed by rules of
our own; a simple one, in which at most one part repeats, is left to Python's engine, and every other one is matched by
following all of its ways at once (Thompson), each state of that being remembered. Back references and look-around,
which cannot be matched so, are refused. Matching is a search: `^` and `$` tie it to the ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.pattern_syntax import (
    MAX_PATTERN_CHARS,
    Choice,
    Node,
    OneOf,
    Parser,
    Place,
    Repeat,
    Sequel,
    refusal,
)

_MAX_NODES = 1000
_MAX_REMEMBERED = 20_000

Matcher = Callable[[str], bool]


def compile_pattern(pattern: str) -> Matcher:
    """What says whether a pattern is found in a text. Raises InvalidArgument."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise refusal(pattern, f"a pattern has at most {MAX_PATTERN_CHARS} characters")
    parser = Parser(pattern)
    tree = parser.parse()
    if _is_simple(tree):
        found = re.compile(_source(tree), parser.flags).search
        return lambda text: found(text) is not None
    return _Machine(tree, parser.flags, pattern).matches


# --- patterns for Python's engine ----------------------------------------------------------------------------------


def _is_simple(tree: Node) -> bool:
    """Whether backtracking costs at most the square of the text's length: one repeated character, in no choice."""
    repeats = [node for node in _nodes(tree) if isinstance(node, Repeat)]
    choices = sum(isinstance(node, Choice) for node in _nodes(tree))
    return len(repeats) + choices <= 1 and all(isinstance(node.part, OneOf) for node in repeats)


def _nodes(tree: Node) -> Iterator[Node]:
    yield tree
    match tree:
        case Sequel(parts) | Choice(parts):
            for part in parts:
                yield from _nodes(part)
        case Repeat(part):
            yield from _nodes(part)


def _source(tree: Node) -> str:
    match tree:
        case OneOf(source):
            return source
        case Place(kind):
            return "\\" + kind
        case Sequel(parts):
            return "".join(map(_source, parts))
        case Choice(parts):
            return f"(?:{'|'.join(map(_source, parts))})"
        case Repeat(part, least, most):
            return f"{_source(part)}{{{least},{'' if most is None else most}}}"


# --- the machine -------------------------------------------------------------------------------------------------

_MATCH = -1


@dataclass(slots=True)
class _State:
    """A state of the automaton: it takes a character of a class, or tests a place, or only leads on."""

    takes: Callable[[str], object] | None = None
    place: str = ""
    after: Sequence[int] = ()


class _Machine:
    """All ways through a pattern at once. Sets of states are numbered, and what follows on what is remembered."""

    def __init__(self, tree: Node, flags: int, pattern: str) -> None:
        self._pattern = pattern
        self._flags = flags
        self._states: list[_State] = []
        self._takers: dict[str, Callable[[str], object]] = {}
        self._built = 0
        self._start = self._build(tree, _MATCH)
        self._forget()

    def matches(self, text: str) -> bool:
        if len(self._reached) + len(self._closed) > _MAX_REMEMBERED:
            self._forget()
        current, was_word, last = self._begin, False, len(text)
        for place in range(last + 1):
            letter = text[place] if place < last else ""
            is_word = letter.isalnum() or letter == "_"
            where = (place == 0) + 2 * (place == last) + 4 * (was_word != is_word)
            closed = self._closed.get((current, where))
            if closed is None:
                closed = self._closed[current, where] = self._close(current, where)
            if closed == _MATCH:
                return True
            if place < last:
                step = self._reached.get((closed, letter))
                if step is None:
                    step = self._reached[closed, letter] = self._step(closed, letter)
                current, was_word = step, is_word
        return False

    def _forget(self) -> None:
        self._numbers: dict[frozenset[int], int] = {}
        self._sets: list[frozenset[int]] = []
        self._closed: dict[tuple[int, int], int] = {}
        self._reached: dict[tuple[int, str], int] = {}
        self._begin = self._number(frozenset({self._start}))

    def _number(self, states: frozenset[int]) -> int:
        number = self._numbers.get(states)
        if number is None:
            number = self._numbers[states] = len(self._sets)
            self._sets.append(states)
        return number

    def _close(self, current: int, where: int) -> int:
        """The states that take a character among all that are reached without one; _MATCH if the end is."""
        waiting, seen, taking = list(self._sets[current]), set[int](), set[int]()
        while waiting:
            number = waiting.pop()
            if number == _MATCH:
                return _MATCH
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            if state.takes is not None:
                taking.add(number)
            elif not state.place or _is_there(state.place, where):
                waiting += state.after
        return self._number(frozenset(taking))

    def _step(self, closed: int, letter: str) -> int:
        after = {self._start}
        for number in self._sets[closed]:
            state = self._states[number]
            if state.takes is not None and state.takes(letter):
                after.update(state.after)
        return self._number(frozenset(after))

    # --- its making ---

    def _build(self, tree: Node, after: int) -> int:
        """The first of the states that lead through `tree` to `after`."""
        self._built += 1
        if self._built > 10 * _MAX_NODES:
            raise refusal(self._pattern, "it is too complicated")
        match tree:
            case OneOf(source):
                return self._add(_State(takes=self._taker(source), after=(after,)))
            case Place(kind):
                return self._add(_State(place=kind, after=(after,)))
            case Sequel(parts):
                for part in reversed(parts):
                    after = self._build(part, after)
                return after
            case Choice(parts):
                return self._add(_State(after=[self._build(part, after) for part in parts]))
            case Repeat(part, least, most):
                return self._build_repeat(part, least, most, after)

    def _build_repeat(self, part: Node, least: int, most: int | None, after: int) -> int:
        first = after
        if most is None:
            loop = _State()
            first = self._add(loop)
            loop.after = (self._build(part, first), after)
        else:
            for _ in range(most - least):
                first = self._add(_State(after=(self._build(part, first), after)))
        for _ in range(least):
            first = self._build(part, first)
        return first

    def _add(self, state: _State) -> int:
        if len(self._states) >= _MAX_NODES:
            raise refusal(self._pattern, "it is too complicated")
        self._states.append(state)
        return len(self._states) - 1

    def _taker(self, source: str) -> Callable[[str], object]:
        taker = self._takers.get(source)
        if taker is None:
            taker = self._takers[source] = re.compile(source, self._flags).fullmatch
        return taker


def _is_there(kind: str, where: int) -> bool:
    match kind:
        case "A":
            return bool(where & 1)
        case "Z":
            return bool(where & 2)
        case "b":
            return bool(where & 4)
        case _:
            return not where & 4
