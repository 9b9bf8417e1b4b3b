"""Compares the tables of a destination with the store's rows, value by value.

Two values agree if they mean the same: numbers as decimals, times as instants, lists and objects element by element.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True)
class Form:
    """The known conversions of a client; the table in the documentation has the same."""

    # Numbers went through a double.
    doubles: bool = False
    # Lists are child tables, in which absent, null and empty are one.
    children: bool = False
    # Declared fields that are compared elsewhere.
    apart: tuple = ()


class Verdict:
    """Counts comparisons. Each difference is a line."""

    def __init__(self, client: str) -> None:
        self.client, self.passed, self.failed, self.values = client, 0, 0, 0

    def same(self, what: str, expected: object, found: object) -> None:
        if expected == found:
            self.passed += 1
        else:
            self.failed += 1
            print(f"WRONG  {self.client}, {what}: expected {str(expected)[:400]}, found {str(found)[:900]}", flush=True)

    def rows(
        self, what: str, expected: dict, found: list, key: str, properties: dict, columns: set, form: Form
    ) -> None:
        """Compares all values of all rows. `found` are dictionaries, one per row of the table."""
        missing = [name for name in properties if name not in columns]
        self.same(f"{what}, declared fields without a column", [], missing)
        by_key = {plain(row[key], properties[key], form): row for row in found}
        self.same(f"{what}, rows of the table, each key once", len(by_key), len(found))
        keys = {plain(value, properties[key], form) for value in expected}
        self.same(f"{what}, keys that only one side has", set(), keys ^ by_key.keys())
        wrong = []
        for value, row in expected.items():
            there = by_key.get(plain(value, properties[key], form), {})
            for name, declared in properties.items():
                if name in there:
                    self.values += 1
                    pair = plain(row.get(name), declared, form), plain(there[name], declared, form)
                    if pair[0] != pair[1]:
                        wrong.append(f"{name} of {value}: {row.get(name)!r} / {there[name]!r}")
        self.same(f"{what}, values that differ (store / table)", (0, []), (len(wrong), wrong[:5]))

    def close(self) -> int:
        """Prints the result in one line and returns the exit code."""
        print(f"{self.client}, values compared with the store's: {self.values}", flush=True)
        print(f"{self.client}: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def types(declared: dict) -> set:
    kinds = declared.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def plain(value: object, declared: dict, form: Form) -> object:
    """Returns a value in one form for both the store and a table."""
    if value is None:
        return None
    if declared.get("format") == "date-time":
        return instant(value)
    kinds = types(declared)
    if kinds & {"array", "object"}:
        value = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
        return elements(value, declared, form) if form.children and "array" in kinds else structure(value, form)
    if kinds & {"number", "integer"} and "string" not in kinds:
        return number(value, form)
    if kinds & {"number", "integer"}:
        # Text or number: a table keeps one of them.
        return number(value, form) if is_number(value) else value
    # A number of the store is a string where a string is declared.
    if "string" in kinds and isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(value)
    return value


def elements(value: list, declared: dict, form: Form) -> object:
    """Returns a list without nulls and empty lists."""
    inner = declared.get("items", {})
    properties = inner.get("properties")
    if properties is None:
        return value or None
    return [
        {name: there for name, kind in properties.items() if (there := plain(element.get(name), kind, form)) is not None}
        for element in value
    ] or None


def is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(number(value, Form()), Decimal)


def number(value: object, form: Form) -> object:
    if value == "":
        return None
    try:
        # A float by its shortest form: the digits that it was made of, if they were few enough.
        exact = value if isinstance(value, bool) else Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return value
    return Decimal(repr(float(exact))) if form.doubles else exact


def structure(value: object, form: Form) -> object:
    if isinstance(value, dict):
        return {name: structure(inner, form) for name, inner in value.items()}
    if isinstance(value, list):
        return [structure(inner, form) for inner in value]
    return number(value, form) if isinstance(value, (float, int, Decimal)) else value


def instant(value: object) -> object:
    """Returns a time in UTC from any form. Without a zone it is UTC."""
    if value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(padded(value))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


def padded(text: str) -> str:
    """Returns the time with six digits of fraction, which Python 3.10 requires."""
    seconds, offset = text.removesuffix("Z")[:19], text.removesuffix("Z")[19:]
    digits = offset[1:].split("+")[0].split("-")[0] if offset.startswith(".") else ""
    offset = offset[len(digits) + 1 :] if digits else offset
    return f"{seconds}.{digits[:6]:0<6}{offset or '+00:00'}"
