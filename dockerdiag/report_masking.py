"""Takes credentials out of a report that somebody else made: it may know fewer forms of them, or none.

What identifies a finding stays the same for all that refer to it, and what was judged stays judged.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from dockerdiag.dataclass import replace
from dockerdiag.dataclass_fields import field_names, field_values
from dockerdiag.report import Finding, Report
from dockerdiag.snapshot.secrets import MASK, forget_texts, is_secret_name, mask_text, mask_variable


def without_credentials(report: Report) -> Report:
    """The report with every credential that is known by its place or its form replaced, and counted."""
    masking = _Masking()
    try:
        masked: Report = masking.of(report)
    finally:
        forget_texts()
    if not masking.replaced:
        return report
    told = masked.redaction.get("secrets_replaced")
    before = told if isinstance(told, int) else 0
    return replace(masked, redaction={**masked.redaction, "secrets_replaced": before + masking.replaced})


class _Masking:
    """Goes through a report and counts what it replaces."""

    def __init__(self) -> None:
        self.replaced = 0

    def of(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value
        if isinstance(value, str):
            masked = mask_text(value)
            self.replaced += masked.replaced
            return masked.text
        if isinstance(value, Mapping):
            return {self.of(key): self._named(key, item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(map(self.of, value))
        names = field_names(value)
        if not names:
            return value
        changed = {
            name: self._identified(name, old) if isinstance(value, Finding) else self.of(old)
            for name, old in zip(names, field_values(value), strict=True)
        }
        return replace(value, **changed)

    def _named(self, name: object, value: Any) -> Any:
        if not isinstance(value, str):
            return self._hidden(value) if is_secret_name(str(name)) else self.of(value)
        masked = mask_variable(str(name), value)
        self.replaced += masked.replaced
        return masked.text

    def _hidden(self, value: Any) -> Any:
        """What a secret name has that is no text itself: every text in it is a credential."""
        if isinstance(value, Mapping):
            return {self.of(key): self._hidden(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(map(self._hidden, value))
        if not isinstance(value, str) or value in ("", MASK):
            return self.of(value)
        self.replaced += 1
        return MASK

    def _identified(self, field: str, value: Any) -> Any:
        """A field of a finding; those it explains are `code subject`, each masked as its own subject is."""
        if field == "subject":
            return self._subject(value)
        if field == "explains":
            parted = (one.partition(" ") for one in value)
            return tuple(f"{self.of(code)}{blank}{self._subject(rest)}" for code, blank, rest in parted)
        return self.of(value)

    def _subject(self, subject: str) -> str:
        # With its kind before it, what has an @ in its name would be a user and a password.
        kind, colon, name = subject.partition(":")
        return f"{self.of(kind)}{colon}{self.of(name)}"
