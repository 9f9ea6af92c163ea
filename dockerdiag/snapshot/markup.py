"""Credentials in XML: in an element whose name, or an attribute that names it, is secret."""

import re
from collections.abc import Iterator

from dockerdiag.snapshot.edits import MASK, Edit, mask_of
from dockerdiag.snapshot.secret_names import is_secret_name

_ELEMENT = re.compile(
    r"""<(?:key|name)>\s{0,8}(?P<before>[\w.-]{1,128})\s{0,8}</(?:key|name)>\s{0,64}<(?:string|value|data)>
      | <(?:[\w-]{1,64}:)?(?P<element>[^\W\d][\w.-]{0,127})
        (?:\s[^<>]{0,256}?\b(?:name|key|id)=["'](?P<attribute>[\w.-]{1,128})["'])?(?:\s[^<>]{0,256})?(?<!/)>""",
    re.VERBOSE,
)
_TEXT_NODE = re.compile(r"(?:^|(?<=>))[^<>]*[^<>\s][^<>]*")


def elements(text: str) -> Iterator[Edit]:
    """Masks what an element of XML holds whose name, or an attribute that names it, is secret."""
    position = 0
    for match in _ELEMENT.finditer(text):
        names = [match[one] for one in ("element", "attribute", "before") if match[one]]
        if match.start() < position or not any(map(is_secret_name, names)):
            continue
        start = match.end()
        ended = re.compile(rf"</(?:[\w-]+:)?{re.escape(match['element'] or '')}\s*>").search(
            text, start, start + 4096
        )
        end = ended.start() if match["element"] and ended else _until(text, start, "<\n")
        position = end
        for node in _TEXT_NODE.finditer(text[start:end]):
            value = node[0]
            if value.strip() != MASK:
                lead = len(value) - len(value.lstrip())
                trail = len(value.rstrip())
                yield Edit(
                    start + node.start() + lead, start + node.start() + trail, mask_of(value[lead:trail])
                )


def _until(text: str, start: int, characters: str) -> int:
    found = re.compile(f"[{re.escape(characters)}]").search(text, start)
    return found.start() if found else len(text)
