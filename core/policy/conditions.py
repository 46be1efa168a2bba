"""Owns the Condition of a statement: its operators, what their values must look like, and when they hold.

All operators and keys must hold; of the values of one key any may (of a negated operator: none). A key that the request
lacks fails every operator but the negated ones, those that end with IfExists, Null and ForAllValues (AWS: IAM JSON
policy elements, Condition operators; Multivalued context keys). What keys there are is core.policy.keys'.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import Any

from core.errors import MalformedPolicy
from core.policy.globs import Pattern, Values, normal_key, parse_pattern
from core.policy.keys import is_known_key

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Operand = Pattern | Decimal | Network | bool | bytes
"""The value of a condition, parsed."""

_Meets = Callable[[str, Operand, Values], bool]


class SetOperator(Enum):
    """How several values of the request count."""

    NONE = ""
    ALL = "ForAllValues"
    ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A family of operators: how a value is parsed, and when the request's text meets it."""

    parse: Callable[[str, bool], Operand]
    meets: _Meets
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key, with its values. `name` is the operator's without set operator and IfExists."""

    name: str
    key: str
    operands: tuple[Operand, ...]
    set_operator: SetOperator = SetOperator.NONE
    if_exists: bool = False

    def holds(self, values: Values) -> bool:
        found = values(self.key)
        if self.name == "Null":
            return (not found) in self.operands
        kind = _KINDS[self.name]
        if not found:
            if self.set_operator is SetOperator.ANY:
                return False
            return self.if_exists or kind.is_negated or self.set_operator is SetOperator.ALL
        outcomes = (self._is_met(kind, text, values) for text in found)
        if self.set_operator is SetOperator.ALL:
            return all(outcomes)
        if self.set_operator is SetOperator.NONE and kind.is_negated:
            # Several values where one was expected: none of them may be what is ruled out.
            return all(outcomes)
        return any(outcomes)

    def _is_met(self, kind: _Kind, text: str, values: Values) -> bool:
        is_any = any(kind.meets(text, operand, values) for operand in self.operands)
        return is_any != kind.is_negated


def parse_conditions(value: Any, has_variables: bool) -> tuple[Condition, ...]:
    """From the element's JSON. Raises MalformedPolicy."""
    if not isinstance(value, Mapping):
        raise MalformedPolicy(reason="Invalid policy syntax.")
    found: list[Condition] = []
    for operator, keys in value.items():
        name, set_operator, if_exists = _operator(operator)
        if not isinstance(keys, Mapping) or not keys:
            raise MalformedPolicy(reason="Invalid policy syntax.")
        for key, wanted in keys.items():
            if not is_known_key(normal_key(key)):
                raise MalformedPolicy(reason="Policy has an invalid condition key")
            operands = tuple(_operand(name, text, has_variables) for text in _texts(wanted))
            found.append(Condition(name, normal_key(key), operands, set_operator, if_exists))
    return tuple(found)


def _operator(text: str) -> tuple[str, SetOperator, bool]:
    name, set_operator = text, SetOperator.NONE
    prefix, colon, rest = text.partition(":")
    if colon:
        try:
            set_operator, name = SetOperator(prefix), rest
        except ValueError:
            raise _unknown(text) from None
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        if if_exists or colon:
            raise _unknown(text)
    elif name not in _KINDS:
        raise _unknown(text)
    return name, set_operator, if_exists


def _unknown(operator: str) -> MalformedPolicy:
    return MalformedPolicy(reason=f"Invalid Condition type : {operator[:100]}")


def _texts(value: Any) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    texts = [str(each).lower() if isinstance(each, bool) else each for each in values]
    if not texts or not all(isinstance(each, str) for each in texts):
        raise MalformedPolicy(reason="Invalid policy syntax.")
    return texts


def _operand(name: str, text: str, has_variables: bool) -> Operand:
    parse = _boolean if name == "Null" else _KINDS[name].parse
    try:
        return parse(text, has_variables)
    except (ValueError, ArithmeticError, binascii.Error):
        raise MalformedPolicy(
            reason=f"Invalid value for the condition {name}: {text[:100]}"
        ) from None


# --- what the values mean ----------------------------------------------------------------------------------------


def _fixed(text: str, has_variables: bool) -> Pattern:
    return parse_pattern(text, wildcards=False, variables=has_variables)


def _pattern(text: str, has_variables: bool) -> Pattern:
    return parse_pattern(text, variables=has_variables)


def _caseless(text: str, has_variables: bool) -> Pattern:
    parsed = _fixed(text, has_variables)
    return Pattern(tuple(t.casefold() if isinstance(t, str) else t for t in parsed.tokens))


def _number(text: str, _has_variables: bool = False) -> Decimal:
    # What is longer is no number that a request could have, and would be slow to compare.
    if len(text) > 40 or not (number := Decimal(text)).is_finite():
        raise InvalidOperation
    return number


_EPOCH = re.compile(r"\d{1,12}(\.\d{1,9})?\Z")


def _date(text: str, _has_variables: bool = False) -> Decimal:
    """Seconds since the epoch, from ISO 8601 or as they are."""
    if _EPOCH.match(text):
        return Decimal(text)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return Decimal(repr(found.timestamp()))


def _boolean(text: str, _has_variables: bool = False) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _bytes(text: str, _has_variables: bool = False) -> bytes:
    return base64.b64decode(text, validate=True)


def _network(text: str, _has_variables: bool = False) -> Network:
    return ipaddress.ip_network(text, strict=False)


def _text_meets(text: str, operand: Operand, values: Values) -> bool:
    return isinstance(operand, Pattern) and operand.matches(text, values)


def _caseless_meets(text: str, operand: Operand, values: Values) -> bool:
    def folded(key: str) -> Sequence[str] | None:
        found = values(key)
        return None if found is None else [each.casefold() for each in found]

    return isinstance(operand, Pattern) and operand.matches(text.casefold(), folded)


_ARN_PARTS = 6


def _arn(text: str, has_variables: bool) -> Pattern:
    if text != "*" and len(text.split(":", _ARN_PARTS - 1)) < _ARN_PARTS:
        raise ValueError(text)
    return _pattern(text, has_variables)


def _arn_meets(text: str, operand: Operand, values: Values) -> bool:
    """Whether the ARN meets a pattern whose wildcards reach over no colon but those of the last part."""
    if not isinstance(operand, Pattern) or not operand.matches(text, values):
        return False
    wanted = operand.split(":", _ARN_PARTS - 1)
    if len(wanted) == 1:
        return True
    parts = text.split(":", _ARN_PARTS - 1)
    return len(parts) == len(wanted) and all(
        pattern.matches(part, values) for pattern, part in zip(wanted, parts, strict=True)
    )


def _compared(compare: Callable[[Any, Any], bool], parse: Callable[[str], Operand]) -> _Meets:
    def meets(text: str, operand: Operand, _values: Values) -> bool:
        try:
            return compare(parse(text), operand)
        except (ValueError, ArithmeticError, binascii.Error):
            return False

    return meets


def _address_meets(text: str, operand: Operand, _values: Values) -> bool:
    if not isinstance(operand, Network):
        return False
    address = _address(text)
    return address is not None and address in operand


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    """The address of a client, of which the same ones come again and again; an IPv4 address in IPv6 form is that."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _ordered(name: str, parse: Callable[[str, bool], Operand]) -> dict[str, _Kind]:
    comparisons: Mapping[str, Callable[[Any, Any], bool]] = {
        "Equals": lambda a, b: a == b,
        "LessThan": lambda a, b: a < b,
        "LessThanEquals": lambda a, b: a <= b,
        "GreaterThan": lambda a, b: a > b,
        "GreaterThanEquals": lambda a, b: a >= b,
    }
    kinds = {
        f"{name}{suffix}": _Kind(parse, _compared(compare, lambda text: parse(text, False)))
        for suffix, compare in comparisons.items()
    }
    kinds[f"{name}NotEquals"] = _Kind(parse, kinds[f"{name}Equals"].meets, is_negated=True)
    return kinds


_KINDS: Mapping[str, _Kind] = {
    "StringEquals": _Kind(_fixed, _text_meets),
    "StringNotEquals": _Kind(_fixed, _text_meets, is_negated=True),
    "StringEqualsIgnoreCase": _Kind(_caseless, _caseless_meets),
    "StringNotEqualsIgnoreCase": _Kind(_caseless, _caseless_meets, is_negated=True),
    "StringLike": _Kind(_pattern, _text_meets),
    "StringNotLike": _Kind(_pattern, _text_meets, is_negated=True),
    **_ordered("Numeric", _number),
    **_ordered("Date", _date),
    "Bool": _Kind(_boolean, _compared(lambda a, b: a is b, _boolean)),
    "BinaryEquals": _Kind(_bytes, _compared(lambda a, b: a == b, _bytes)),
    "IpAddress": _Kind(_network, _address_meets),
    "NotIpAddress": _Kind(_network, _address_meets, is_negated=True),
    "ArnEquals": _Kind(_arn, _arn_meets),
    "ArnLike": _Kind(_arn, _arn_meets),
    "ArnNotEquals": _Kind(_arn, _arn_meets, is_negated=True),
    "ArnNotLike": _Kind(_arn, _arn_meets, is_negated=True),
}

OPERATORS = frozenset(_KINDS) | {"Null"}
"""Every operator by its name, without set operator and IfExists."""
