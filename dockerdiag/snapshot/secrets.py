"""Replaces credentials in text before it is kept; what stands around them stays readable.

Known by their place: userinfo of a URL or of a proxy without scheme, the value of a variable, key or flag
whose name says that it is secret, headers of authorization, options of programs that take a password, the address of
an incoming webhook. Known by their form: tokens of well-known issuers, JSON Web Tokens, private keys, hashes of
passwords. Where a text can be read both ways it counts as a credential. Every pattern is
bounded, so that time grows with the length of the text alone.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot.edits import MASK, Edit, Rule, by, mask_of, where
from dockerdiag.snapshot.known_forms import KEYS, TOKENS
from dockerdiag.snapshot.markup import elements
from dockerdiag.snapshot.program_passwords import program_passwords
from dockerdiag.snapshot.secret_names import folded, is_secret_name

__all__ = (
    "MASK",
    "PROXY_VARIABLES",
    "Masked",
    "forget_texts",
    "is_secret_name",
    "mask_arguments",
    "mask_text",
    "mask_variable",
    "mask_variables",
)

PROXY_VARIABLES = frozenset(("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"))


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without credentials, and how many were replaced."""

    text: str
    replaced: int


_QUERY_KEY = re.compile(r"([?&]key=)(?!\*\*\*)[\w.~%-]{8,512}")
_HEADER_CREDENTIAL = re.compile(
    r"\b((?:Basic|Bearer)\s{1,4}|(?:Negotiate|NTLM)\s{1,4}(?=(?-i:YI|TlRM|o[XY])))(?!\*\*\*)[\w.~+/=-]{8,8192}",
    re.IGNORECASE,
)


_REPEATED = 4096
"""Most texts are a few words or a small file, and the same in every container's namespace."""


def mask_text(text: str) -> Masked:
    """Replaces the credentials in a configuration file, a unit, a command line or a line of a log.

    Lines keep their number, so that a place in the result is the place in the original.
    """
    return _mask_remembered(text) if len(text) <= _REPEATED else _mask(text)


def forget_texts() -> None:
    """Forgets what was masked: the texts before it hold credentials."""
    _mask_remembered.cache_clear()


@lru_cache(maxsize=4096)
def _mask_remembered(text: str) -> Masked:
    return _mask(text)


def _mask(text: str) -> Masked:
    # As whoever reads it joins the lines, first; then as it stands, for a word that begins a line begins there;
    # and as it looks.
    joined, cuts = _joined(text)
    replaced = alike = 0
    if cuts:
        joined, cuts, replaced = _masked_by_rules(joined, cuts)
    text, _, more = _masked_by_rules(_cut(joined, cuts), [])
    if not text.isascii():
        joined, cuts, alike = _masked_by_rules(*_joined(text), seen=folded)
        text = _cut(joined, cuts)
    return Masked(text, replaced + more + alike)


_Cut = tuple[int, str]
"""Where something was taken out, and what it was."""

_UNSEEN = re.compile(
    r"\\\n(?:[ \t]{0,64}[#;][^\n]{0,4096}\n){0,64}"
    r"|\x1b\[[0-9;?]{0,16}[A-Za-z]|[\u00ad\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
"""What stands between two characters that are one word to whoever reads them: a line continued (over comments, as
systemd does), a colour, an accent, no width."""


def _joined(text: str) -> tuple[str, list[_Cut]]:
    kept: list[str] = []
    cuts: list[_Cut] = []
    position = length = 0
    for match in _UNSEEN.finditer(text):
        kept.append(text[position : match.start()])
        length += len(kept[-1])
        cuts.append((length, match[0]))
        position = match.end()
    return ("".join((*kept, text[position:])), cuts) if cuts else (text, cuts)


def _cut(text: str, cuts: Iterable[_Cut]) -> str:
    kept: list[str] = []
    position = 0
    for at, taken in cuts:
        kept += (text[position:at], taken)
        position = at
    return "".join((*kept, text[position:]))


def _masked_by_rules(
    text: str, cuts: list[_Cut], *, seen: Callable[[str], str] = str
) -> tuple[str, list[_Cut], int]:
    """The text, where its cuts are then (those within a credential behind its mask), and how many were replaced.

    `seen` is what rules see of a text, character by character.
    """
    replaced = 0
    for rule in _RULES:
        edits = list(rule(seen(text)))
        if not edits:
            continue
        replaced += len(edits)
        kept: list[str] = []
        moved: list[_Cut] = []
        position = length = 0
        pending = deque(cuts)
        for edit in edits:
            while pending and pending[0][0] <= edit.start:
                at, taken = pending.popleft()
                moved.append((length + at - position, taken))
            length += edit.start - position + len(edit.text)
            while pending and pending[0][0] < edit.end:
                moved.append((length, pending.popleft()[1]))
            kept += (text[position : edit.start], edit.text)
            position = edit.end
        moved += ((length + at - position, taken) for at, taken in pending)
        text, cuts = "".join((*kept, text[position:])), moved
    return text, cuts, replaced


def mask_variable(name: str, value: str) -> Masked:
    """Replaces the credentials in one variable's value, or all of it where the name says it is secret."""
    if is_secret_name(name):
        return Masked(value, 0) if value in ("", MASK) else Masked(MASK, 1)
    if name.lower() in PROXY_VARIABLES - {"no_proxy"}:
        masked = _mask_proxy_value(value)
        if masked != value:
            return Masked(masked, 1)
    return mask_text(value)


def mask_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """`mask_variable` for each."""
    return {name: mask_variable(name, value).text for name, value in variables.items()}


def mask_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Replaces the credentials in a command's arguments, also where a flag's value is the next one."""
    masked: list[str] = []
    value_of: str | None = None
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if value_of is not None and not argument.startswith("--"):
            masked.append(mask_variable(value_of, argument).text)
            value_of = None
            continue
        value_of = name.lstrip("-") if argument.startswith("-") and not equals else None
        if equals and len(name) <= 128 and " " not in name:
            masked.append(name + "=" + mask_variable(name.lstrip("-"), value).text)
        else:
            masked.append(mask_text(argument).text)
    return (
        tuple(_edited("\0".join(masked), program_passwords("\0".join(masked))).split("\0")) if masked else ()
    )


def _edited(text: str, edits: Iterable[Edit]) -> str:
    kept: list[str] = []
    position = 0
    for edit in edits:
        kept += (text[position : edit.start], edit.text)
        position = edit.end
    return "".join((*kept, text[position:]))


# -- names and their values ----------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(
    r"""(?P<line>^[ \t]{0,32}(?:export[ \t]{1,8}|-[ \t]{1,8})?)?
        (?P<open>["'])?
        (?<![\w.-])(?P<name>-{0,2}[^\W\d][\w.-]{0,127})
        (?P<close>\\{0,31}["']\]?|\](?=[ \t]{0,8}=))?
        (?P<separator>[ \t]{0,8}(?:=>|->|:=|[+?]?=|:)[ \t]{0,8}(?:![\w/.-]{1,64}[ \t]{1,8})?)""",
    re.VERBOSE | re.MULTILINE,
)
_QUOTED = {quote: re.compile(rf"{quote}((?:\\.|[^\\{quote}\n]|\\\n)*){quote}?") for quote in "\"'"}
_UNTIL_QUOTE = {quote: re.compile(rf"(?:\\.|[^\\{quote}\n]|\\\n)*") for quote in "\"'"}
_ESCAPED_QUOTED = re.compile(r"(\\{1,31}[\"'])((?:(?!(?<!\\)\1)[^\n])*)")
"""A text within JSON within JSON, to any depth, as far as a quote that is escaped as its first."""
_OVER_LINES = {
    quote: re.compile(
        rf"""{quote}((?:\\.|[^\\{quote}\n]|\\\n|\n(?![ \t]*(?:[\w.]+[ \t]*=|[\[#]|$)))*+){quote}""",
        re.MULTILINE,
    )
    for quote in "\"'"
}
"""As an environment file may have it, which ends at its quote: the lines within look like no others of the file."""
_PIECES = re.compile(r"""(?=\\|[^\W])(?:\\.|[^\s"'\\]|"(?:\\.|[^"\\\n])*"|'[^'\n]*')+""")
"""What a shell joins to a text in quotes."""
_JOINED = re.compile(r"""(?:"[^"\s]{1,256}"|'[^'\s]{1,256}')(?=\s|$)""")
"""What it joins to a word."""
_YAML_TEXT = re.compile(r"[^\s\"'#|>&*{}\[\]%@`,][^\n#]*(?<=\S)")
_REST_OF_LINE = re.compile(r"(?:\\\n|[^\n])*")
_LIST = re.compile(r"\[[^\]\[{}]{0,65536}\]")
_AUTHORIZATION = re.compile(
    r"(?:Digest|Hawk|OAuth|Signature|AWS4-HMAC-SHA256)[ \t][^\n]*"
    r"|(?:(?:Basic|Bearer|Token|Negotiate|ApiKey)[ \t]{1,8})?[^\s\"',]+",
    re.IGNORECASE,
)
_PARAMETERS = re.compile(r"\b((?:Digest|Hawk|OAuth)[ \t]{1,8})(?=[A-Za-z_]{1,40}=)[^\n\"\\]*", re.IGNORECASE)
"""Whatever quotes they are in: nft's comments have none of the usual ones."""
_COOKIES = re.compile(r"[^\n\"']*")
_PLACE = re.compile(
    r"(?:\d{1,5}(?:/(?:tcp|udp|sctp))?|(?:\d{1,3}\.){3}\d{1,3}|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45}\]?|host-gateway)"
    r"(?=[\s\"'/,;:)\]}>]|$)"
)
"""What stands behind the `:` of a host's name: a port, or in `--add-host` an address."""
_BLOCK = re.compile(r"(?:[|>][-+0-9]{0,2}[ \t]{0,8})?(?=\n|$)")
_ONE_WORD = re.compile(r"[ \t]+[^\s:#-][^\s:]*[ \t]*")
_BARE = re.compile(r"(?:\$\([^()\n]{0,512}\)|`[^`\n]{0,512}`|\\.|[^\s\"'\\])+")
_PROSE = re.compile(
    r"(?:a|access|an|and|cannot|connection|context|could|denied|dial|error|expired|failed|get|has|head|invalid|is|missing"
    r"|no|not|of|permission|post|received|rpc|server|the|timeout|unable|unauthorized|unexpected|unknown|unreachable|was)"
    r"(?=[\s,.:;]|$)",
    re.IGNORECASE,
)
"""After `token: ` in a sentence of a log these begin an explanation, not a credential."""


def _assignments(text: str) -> Iterator[Edit]:
    """Masks what follows a secret name and `=` or `:`, as far as the quoting around it says."""
    position = 0
    while match := _ASSIGNMENT.search(text, position):
        position = match.end()
        if not is_secret_name(match["name"].lstrip("-")) or _names_a_host(text, match):
            continue
        if _begins_a_list_of_more(text, match):
            edits, position = _nested(text, position)
            yield from edits
            continue
        span = _value(text, match)
        if span is None:
            continue
        start, position = span
        value = text[start:position]
        if value.replace("\\\n", "").strip() not in ("", MASK, "null"):
            yield Edit(start, position, mask_of(value))


def _begins_a_list_of_more(text: str, name: re.Match[str]) -> bool:
    """Whether an object follows, or a list that holds one: what is in a list of texts alone goes as one."""
    start = name.end()
    if text[start : start + 1] not in ("{", "[") or _LIST.match(text, start):
        return False
    return name["separator"].strip() in (":", "=>")


_NESTED = re.compile(
    r"""(?P<open>[{\[])|(?P<close>[}\]])
      |(?:"(?P<double>(?:\\.|[^"\\\n]){0,4096}+)"|'(?P<single>(?:\\.|[^'\\\n]){0,4096}+)'
        |(?P<quote>\\{1,31}["'])(?P<escaped>(?:(?!(?<!\\)(?P=quote))[^\n]){0,4096})(?P=quote)
        |(?P<bare>[^\s{}\[\],:="'\\]{1,4096}+))(?P<key>\s{0,64}[:=])?""",
    re.VERBOSE,
)
_NO_TEXT = re.compile(r"true|false|null|none|-?\d{1,20}(?:\.\d{1,20})?", re.IGNORECASE)
_WITHIN = 65536
"""Characters of an object or list at most, within which everything is a credential whose name says so."""


def _nested(text: str, start: int) -> tuple[list[Edit], int]:
    """Masks the texts in the object or list that begins there, and says where it ends: nowhere, with its line."""
    edits: list[Edit] = []
    depth = 0
    for match in _NESTED.finditer(text, start, start + _WITHIN):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
            if depth == 0:
                return edits, match.end()
        elif not match["key"]:
            kind = next(one for one in ("double", "single", "escaped", "bare") if match[one] is not None)
            if match[kind] not in ("", MASK) and not (kind == "bare" and _NO_TEXT.fullmatch(match[kind])):
                edits.append(Edit(*match.span(kind), MASK))
    line_end = text.find("\n", start)
    end = line_end if line_end >= 0 else len(text)
    return [edit for edit in edits if edit.end <= end], end


def _names_a_host(text: str, name: re.Match[str]) -> bool:
    """Whether a host called so stands here, or a network, an image: in a URL or path, or before a port or address."""
    if not name["separator"].startswith(":") or name["close"]:
        return False
    if text[name.start("name") - 1 : name.start("name")] in ("/", "@") and name.start("name"):
        return True
    return name["separator"] == ":" and _PLACE.match(text, name.end()) is not None


def _block_scalar(text: str, name: re.Match[str]) -> tuple[int, int] | None:
    """The lines of YAML that belong to a name whose value begins on the next one; None where they are keys."""
    head = _BLOCK.match(text, name.end())
    if head is None:
        return None
    indent = name.start("name") - text.rfind("\n", 0, name.start("name")) - 1
    start = head.end() + 1
    end = head.end()
    while text.startswith("\n", end):
        line_end = text.find("\n", end + 1)
        line = text[end + 1 : line_end if line_end >= 0 else len(text)]
        if len(line) - len(line.lstrip(" \t")) <= indent and line.strip():
            break
        if not head[0] and not _ONE_WORD.fullmatch(line):
            return None
        end += 1 + len(line)
    return start, max(start, end)


def _value(text: str, name: re.Match[str]) -> tuple[int, int] | None:
    """Where the value begins and ends, None where nothing that could be a credential follows."""
    start = name.end()
    if name["separator"].strip() == ":":
        block = _block_scalar(text, name)
        if block is not None:
            return block
    if name["open"] and not name["close"]:
        # A whole assignment in quotes: Environment="API_TOKEN=several words".
        found = _UNTIL_QUOTE[name["open"]].match(text, start)
        return found.span() if found else None
    if text[start : start + 1] in ('"', "'"):
        return _quoted(text, start, shell=name["separator"] == "=" and not name["close"])
    if text[start : start + 1] == "\\":
        found = _ESCAPED_QUOTED.match(text, start)
        return found.span(2) if found else None
    if text[start : start + 1] == "[":
        found = _LIST.match(text, start)
        return (found.start() + 1, found.end() - 1) if found else None
    if text[start : start + 1] in ("{", "/") and name["separator"].strip() == ":":
        return None
    if name["line"] is not None and name["separator"].strip() in ("=", "+=", "?="):
        # A line of an environment file: the value ends with the line.
        found = _REST_OF_LINE.match(text, start)
    elif name["name"].lower().endswith("authorization"):
        found = _AUTHORIZATION.match(text, start)
    elif name["name"].lower().endswith("cookie") and name["separator"].strip() == ":":
        found = None if _PROSE.match(text, start) else _COOKIES.match(text, start)
    else:
        yaml = name["line"] is not None and name["separator"][:2] == ": "
        found = _YAML_TEXT.match(text, start) if yaml else None
        found = found or _BARE.match(text, start)
        if found and name["separator"].strip() == ":" and not name["close"] and _PROSE.match(text, start):
            return None
        joined = _JOINED.match(text, found.end()) if found and name["separator"] == "=" else None
        return (start, joined.end()) if joined else found and found.span()
    return found.span() if found else None


def _quoted(text: str, start: int, *, shell: bool) -> tuple[int, int] | None:
    """Where the text in quotes that begins there begins and ends, with what a `shell` joins to it."""
    found = _QUOTED[text[start]].match(text, start)
    if found is None or not shell:
        return found.span(1) if found else None
    found = _OVER_LINES[text[start]].match(text, start) or found
    joined = _PIECES.match(text, found.end()) if found[0][1:].endswith(text[start]) else None
    return (start, joined.end()) if joined else found.span(1)


_FLAG = re.compile(
    r"(?<![\w-])--?(?P<name>[^\W\d_][\w-]{1,127})"
    r"(?:[ \t]{1,8}[\"']?|(?P<quote>\\{0,31}[\"']),\s{0,16}(?P=quote))(?!-)"
)
_ENTRY = re.compile(
    r"""\b(?:name|key)\\{0,31}["']?\s{0,4}[:=]\s{0,4}\\{0,31}["']?(?P<name>[^\W\d][\w.-]{0,127})\\{0,31}["']?
        \s{0,32},?\s{0,32}\\{0,31}["']?value\\{0,31}["']?\s{0,4}[:=]\s{0,4}(?:\\{0,31}["'])?""",
    re.VERBOSE | re.IGNORECASE,
)
"""A variable as a list of objects has it."""
_ENTRY_OF_VALUE = re.compile(
    r"""\bvalue\\{0,31}["']?\s{0,4}[:=]\s{0,4}
        (?:\\{0,31}"(?P<double>(?:\\.|[^"\\\n]){1,512}+)\\{0,31}"|\\{0,31}'(?P<single>(?:\\.|[^'\\\n]){1,512}+)\\{0,31}'
          |(?P<bare>[^\s"',}\]]{1,512}+))
        \s{0,32},?\s{0,32}\\{0,31}["']?(?:name|key)\\{0,31}["']?\s{0,4}[:=]\s{0,4}\\{0,31}["']?(?P<name>[^\W\d][\w.-]{0,127})""",
    re.VERBOSE | re.IGNORECASE,
)
"""The same, its value before its name."""


def _entries_of_values(text: str) -> Iterator[Edit]:
    for match in _ENTRY_OF_VALUE.finditer(text):
        kind = next(one for one in ("double", "single", "bare") if match[one] is not None)
        if match[kind] != MASK and is_secret_name(match["name"]):
            yield Edit(*match.span(kind), MASK)


_IN_QUOTES = re.compile(
    r"""(?:(?<=[(\[{]["'])[\w.-]{0,64}(?:password|passwd|passphrase|pwd|_pass)["'][ \t]{0,8},[ \t]{0,8}
          |(?<![\w.-])(?:[\w.-]{0,64}(?:password|passwd|passphrase|pwd)|(?:[\w.-]{0,64}[_.-])?pass)
            (?:\(|[ \t]{1,8}(?:is[ \t]{1,8})?))
        (?:"(?!-)(?P<double>(?:\\.|[^"\\\n]){1,512}+)"|'(?!-)(?P<single>(?:\\.|[^'\\\n]){1,512}+)')""",
    re.VERBOSE | re.IGNORECASE,
)
"""What stands in quotes right behind a password's name: as a pair of a list, an argument, in a sentence."""


def _in_quotes(text: str) -> Iterator[Edit]:
    for match in _IN_QUOTES.finditer(text):
        kind = "double" if match["double"] is not None else "single"
        if match[kind] != MASK:
            yield Edit(*match.span(kind), MASK)


_NAMES_A_THING = (
    *("container", "network", "link", "link set", "dev", "iif", "oif", "-i", "-o", "the", "and", ","),
    *("connect", "disconnect", "exec", "inspect", "show", "start", "stop", "restart"),
)
"""Behind these is the name of a container, network or link, or a word of prose, whatever it reads like."""
_DIRECTIVE = re.compile(
    r"""(?:^|(?<=[\s"'{;]))"""
    + "".join(rf"(?<!{re.escape(one)}[ ])" for one in _NAMES_A_THING)
    + r"""(?P<name>[^\W\d_][\w.-]{0,63}[_-](?:pass(?:word|wd|phrase)?|pw|pwd|psk
          |(?:access|secret|api|auth|private|license|encryption)_?(?:key|token))|X-[\w-]{1,64})
        [ \t]{1,8}(?:[su]:)?(?!-|["']?\*\*\*)["']?""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
"""A word that is a name and no other, and its value behind a blank."""
_DIRECTIVE_VALUE = re.compile(
    r"(?!(?:is|was|has|had|not|of|for|from|in|to|and|or|with|at|on|by|are|cannot|exited|does|must|should)\b|[=:(,>|])"
    r"(?:(?<=\")[^\"\n]{1,1024}|(?<=')[^'\n]{1,1024}|[^\s\"';,]{1,1024})"
)
_NETRC = re.compile(
    r"""((?:^|[ \t])login[ \t\n]{1,32}[^\s]{1,128}[ \t\n]{1,32}password[ \t]{1,8})(?!\*\*\*)[^\s]{1,256}""",
    re.MULTILINE,
)

_WORD = re.compile(
    r"""(?<=[^\\]["'])(?:\\.|[^"'\\\n]){1,4096}|(?<=["'])[^"'\\\n]{1,4096}|[^\s"'\\,}\]]{1,4096}"""
)
_ENCODED_NAME = re.compile(
    r"(?:(?<![\w.-])|(?<=%[0-9A-F]{2}))(?P<name>[^\W\d][\w.-]{0,127})"
    r"(?:%{1,2}22)?(?:%{1,2}20)?%{1,2}3[AD](?:%{1,2}2[02]){0,2}",
    re.IGNORECASE,
)
_ENCODED_VALUE = re.compile(r"(?:(?!%{1,2}(?:0A|2[26C]|7D))[^\s\"'&]){1,4096}", re.IGNORECASE)
_TOLD = re.compile(
    r"""(?<![\w.-])
        ((?:[\w.-]{0,64}(?:password|passwd|passphrase|passwort|secret|token)|pwd?|pass(?=[ \t]{1,4}(?:is|was)\b))
        [ \t]{1,4}(?:(?:for|of)[ \t]{1,4}[\w@.-]{1,64}[ \t]{1,4}(?=is\b|was\b))?
        (?:(?:is|was|ist|lautet)[ \t]{1,4})?["'`]?)
        (?=[^\s\d]{0,64}\d)(?=[^\sA-Za-z]{0,64}[A-Za-z])[\w+=!$^&*~-]{8,256}(?=[\s"'`,;)\]}]|\.(?:\s|$)|$)""",
    re.VERBOSE | re.IGNORECASE,
)
"""In a sentence, or behind a word of a configuration, what mixes letters and digits as no word does."""


def _by_name(head: re.Pattern[str], value: re.Pattern[str]) -> Rule:
    """The rule that masks the value behind each head whose `name` is secret."""

    def edits(text: str) -> Iterator[Edit]:
        position = 0
        for match in head.finditer(text):
            if match.start() < position or not is_secret_name(match["name"]):
                continue
            found = value.match(text, match.end())
            if found is not None and found[0] != MASK:
                position = found.end()
                yield Edit(*found.span(), MASK)

    return edits


# -- userinfo ------------------------------------------------------------------------------------------------

_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,31}:(?:\\?/){2})((?:\\.|[^\s\"\\])+)")
_AUTHORITY = re.compile(r"[^/?#\\]*")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(?::(?P<port>\d{0,5}))?[:,;.)\]'}>`]{0,3}")
_LIKE_A_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][\w.-]*)(?::\d{1,5})?(?=[/?#'\s]|$)")
_REST_OF_PASSWORD = re.compile(r"[ \t\"'][^\n]{0,128}@(?=[\w\[])")


def _urls(text: str) -> Iterator[Edit]:
    position = 0
    for match in _URL.finditer(text):
        if match.start() < position:
            continue
        end = _userinfo_end(match[2])
        if end is None:
            continue
        if end == 0:
            longer = _REST_OF_PASSWORD.match(text, match.end())
            if longer is None:
                continue
            end = longer.end() - 1 - match.start(2)
        userinfo = text[match.start(2) : match.start(2) + end]
        # A user's name alone is a credential where it is a token, but for ssh.
        if userinfo == MASK or (match[1].lower() == "ssh://" and ":" not in userinfo):
            continue
        position = match.start(2) + end
        yield Edit(match.start(2), position, MASK)


def _userinfo_end(rest: str) -> int | None:
    """Index of the `@` that ends the userinfo of `rest`, which follows `scheme://`.

    None where it has none, 0 where it begins one that does not end before the first blank. A password may
    hold what a URL forbids there (`/`, `#`, `?`, `@`): whoever typed it did not encode it.
    """
    authority = _AUTHORITY.match(rest)
    name = authority[0] if authority else ""
    last = rest.rfind("@")
    if "@" in name:
        tail = rest[last + 1 :]
        return last if ":" in rest[:last] and _LIKE_A_HOST.match(tail) else name.rfind("@")
    host = _HOST_AND_PORT.fullmatch(name)
    if host is None:
        return max(last, 0)
    if last < 0:
        return None
    bare_word = "." not in name and name not in ("", "localhost")
    suspicious = host["port"] is not None or bare_word
    return last if suspicious and _LIKE_A_HOST.match(rest[last + 1 :]) else None


_PROXY_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9])((?:https?|ftp|all|socks)[_-]?proxy[\"']?[ \t]{0,8}[=:][ \t]{0,8}[\"']?)([^\s\"']{1,4096})",
    re.IGNORECASE,
)
_PROXY_USERINFO = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]{0,31}:(?:\\?/){2})?)(.*)@", re.DOTALL)
_ENCODED_USERINFO = re.compile(
    r"(%{1,2}3A(?:%{1,2}2F){2}|(?:^|(?<=[\s\"'=,;(/]))(?=[^\s\"'=&@:/%]{1,128}%{1,2}3A))"
    r"(?!\*\*\*)(?:(?!%{1,2}40)[^\s\"'&/]){1,512}(?=%{1,2}40)",
    re.IGNORECASE | re.MULTILINE,
)
_BARE_USERINFO = re.compile(
    r"((?:^|(?<=[\s\"'=,;({\[]))(?://)?)(?!\*\*\*)(?![A-Za-z][A-Za-z0-9+.-]{0,31}://)"
    r"[^\s\"'=,;:@/(){}\[\]]{1,128}:(?!\\?/\\?/)[^\s\"']{1,256}@(?!sha\d{3}:)(?=[\w\[])",
    re.MULTILINE,
)


def _mask_proxy(match: re.Match[str]) -> str:
    return match[1] + _mask_proxy_value(match[2])


def _mask_proxy_value(value: str) -> str:
    """A proxy's value is one URL, with or without its scheme: what stands before the last `@` is userinfo."""
    found = _PROXY_USERINFO.match(value)
    return value if found is None else found[1] + MASK + value[found.end() - 1 :]


_RULES: tuple[Rule, ...] = (
    *TOKENS,
    # Userinfo first: a password may look like an assignment itself.
    _urls,
    by(_PROXY_ASSIGNMENT, _mask_proxy),
    where("%", by(_ENCODED_USERINFO, lambda match: match[1] + MASK)),
    by(_BARE_USERINFO, lambda match: f"{match[1]}{MASK}@"),
    by(_PARAMETERS, lambda match: match[1] + MASK),
    *KEYS,
    where("<", elements),
    _by_name(_ENTRY, _WORD),
    _entries_of_values,
    where("%", _by_name(_ENCODED_NAME, _ENCODED_VALUE)),
    where("key=", by(_QUERY_KEY, lambda match: match[1] + MASK)),
    _assignments,
    _by_name(_FLAG, _WORD),
    _in_quotes,
    _by_name(_DIRECTIVE, _DIRECTIVE_VALUE),
    by(_NETRC, lambda match: match[1] + MASK),
    program_passwords,
    by(_HEADER_CREDENTIAL, lambda match: match[1] + MASK),
    by(_TOLD, lambda match: match[1] + MASK),
)
