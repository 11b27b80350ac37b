"""``${NAME}`` and ``${NAME:-default}`` in the rules: values that differ between machines.

Expanded in scalars after the file was parsed, so that a variable holds a value and never
more rules. ``$${`` stands for ``${`` itself; a dollar sign without a brace is plain text.
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)(\}?)")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"", "false", "0", "no", "off"})


class NotExpanded(ValueError):
    """A reference that can't be expanded; *start* and *end* say where in the text it is."""

    def __init__(self, text: str, hint: str, start: int, end: int) -> None:
        super().__init__(text)
        self.hint = hint
        self.start = start
        self.end = end


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return *text* with its references replaced.

    As in a shell, the default after ``:-`` also stands in for a variable that is empty.

    Raises:
        NotExpanded: a variable isn't set and has no default, or the braces hold no name.

    """
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        inside = _INSIDE.fullmatch(match[2])
        if inside is None or not match[3]:
            raise NotExpanded(
                f'"{match[0]}" is no reference to an environment variable',
                "write ${NAME} or ${NAME:-default}, or $${ for the characters themselves",
                *match.span(),
            )
        found = environ.get(inside[1])
        default: str | None = inside[2]
        if default is not None:
            return found or default
        if found is None:
            raise NotExpanded(
                f"the environment variable {inside[1]} is not set",
                f"set it, or write ${{{inside[1]}:-default}}",
                *match.span(),
            )
        return found

    return _REFERENCE.sub(value, text)


def switched_on(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether the switch *name* is on; one that isn't set is off.

    Raises:
        ValueError: the variable holds neither yes nor no.

    """
    value = environ.get(name, "").strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f'{name}: expected true or false, got "{value}"')
