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
from itertools import zip_longest
from typing import NamedTuple

from dockerdiag.dataclass import dataclass

MASK = "***"
"""What stands in a credential's place."""

PROXY_VARIABLES = frozenset(("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"))


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without credentials, and how many were replaced."""

    text: str
    replaced: int


_SECRET_WORDS = frozenset(
    (
        *("auth", "auths", "authorization", "bearer", "cookie", "credential", "credentials", "creds", "jwt"),
        *(
            "pass",
            "passphrase",
            "passwd",
            "password",
            "passwords",
            "pat",
            "psk",
            "pw",
            "pwd",
            "sas",
            "secret",
        ),
        *(
            "kennwort",
            "masterauth",
            "passwort",
            "requirepass",
            "secrets",
            "sig",
            "signature",
            "token",
            "tokens",
        ),
    )
)
_SECRET_PARTS = (
    *(
        "accesskey",
        "apikey",
        "authkey",
        "basicauth",
        "credential",
        "passcode",
        "passkey",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "proxyuser",
        "secret",
    ),
    *("accountkey", "encryptionkey", "masterkey", "sharedkey", "signingkey", "token"),
)
_ENDS_SECRET = re.compile(
    r"(?:admin|bind|db|ftp|ldap|mail|my|mysql|pg|redis|root|smtp|sql|user)(?:pass|pw|pwd)$"
)
_KEY_VARIABLE = re.compile(r"(?!.*(?:PUBLIC|HOST)_KEY$)[A-Z0-9_]+_KEY")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_HARMLESS_NAMES = frozenset(("authorization-plugin", "authorization-plugins", "password-stdin"))
_SWITCH = re.compile(r"(?:net[./]bridge[./])?bridge-nf-pass-[a-z-]+")


def is_secret_name(name: str) -> bool:
    """Whether a variable, key or flag of this name holds a credential."""
    if name.lower() in _HARMLESS_NAMES or _SWITCH.fullmatch(name):
        return False
    words = [word.lower() for word in _WORDS.findall(name[:128])]
    joined = "".join(words)
    if _KEY_VARIABLE.fullmatch(name[:128]) or any(map(_ENDS_SECRET.search, words)):
        return True
    return not _SECRET_WORDS.isdisjoint(words) or any(part in joined for part in _SECRET_PARTS)


_KNOWN_TOKENS = re.compile(
    r"""-----BEGIN\ (?P<of>[A-Z0-9 ]{0,32}PRIVATE\ KEY(?:\ BLOCK)?)-----
        (?: (?:[^-]|-(?!----)){1,16384}-----END\ (?P=of)----- | [^-]{1,16384} )
      | \b(?: gh[oprsu]_\w{16,255} | github_pat_\w{16,255} | gl(?:pat|rt|dt|ptt|soat|cbt|agent)-[\w-]{16,255}
          | dckr_[a-z]{2,8}_[\w-]{16,255} | do[opr]_v1_\w{12,255}
          | SWMTKN-\d-[\w-]{16,255} | SWMKEY-\d-[\w+/]{16,255} | xox[abeoprs]-[\w-]{8,255}
          | hf_[A-Za-z]{16,255} | npm_[A-Za-z0-9]{30,255} | pypi-Ag[\w-]{16,255} | sntr[ysu]+_[\w=+/-]{12,255}
          | [rs]k_(?:live|test)_\w{16,255} | sk-(?:proj|ant|svcacct|admin)-[\w-]{16,255} | sk-[A-Za-z0-9]{32,255}
          | AIza[\w-]{20,255} | ya29\.[\w-]{16,1024} | tskey-[\w-]{8,255} | hv[bsr]\.[\w-]{16,1024}
          | SG\.[\w-]{16,64}\.[\w-]{16,64}
          | (?:AKIA|ASIA)[0-9A-Z]{16} | eyJ[\w-]{8,4096}\.[\w-]{2,4096}(?:\.[\w-]{0,4096})? )
      | \{S?SHA\d{0,3}\}[\w+/=]{8,512}
      | \$(?:1|2[abxy]|5|6|7|y|gy|apr1|argon2id?|scrypt)\$[\w./$=,+-]{8,512}
    """,
    re.VERBOSE,
)
_HOOK = re.compile(
    r"(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{1,32}/"
    r"|api\.telegram\.org/bot|hc-ping\.com/|webhook\.office\.com/)(?!\*\*\*)([\w:@/-]{8,512})",
    re.IGNORECASE,
)
"""Addresses that whoever knows them may post to."""
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
    # As whoever reads it joins the lines, first; then as it stands, for a word that begins a line begins there.
    joined, cuts = _joined(text)
    replaced = 0
    if cuts:
        joined, cuts, replaced = _masked_by_rules(joined, cuts)
        text = _cut(joined, cuts)
    text, _, more = _masked_by_rules(text, [])
    return Masked(text, replaced + more)


class _Edit(NamedTuple):
    """What is put in the place of some characters."""

    start: int
    end: int
    text: str


_Rule = Callable[[str], Iterable[_Edit]]
_Cut = tuple[int, str]
"""Where something was taken out, and what it was."""

_UNSEEN = re.compile(
    r"\\\n|\x1b\[[0-9;?]{0,16}[A-Za-z]|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
"""What stands between two characters that are one word to whoever reads them: a line continued, a colour, no width."""


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


def _masked_by_rules(text: str, cuts: list[_Cut]) -> tuple[str, list[_Cut], int]:
    """The text, where its cuts are then (those within a credential behind its mask), and how many were replaced."""
    replaced = 0
    for rule in _RULES:
        edits = list(rule(text))
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
    return tuple(masked)


def _by(pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> _Rule:
    """The rule that puts the replacement in each match's place."""

    def edits(text: str) -> Iterator[_Edit]:
        for match in pattern.finditer(text):
            new = replacement(match)
            if new != match[0]:
                yield _Edit(*match.span(), new)

    return edits


# -- names and their values ----------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(
    r"""(?P<line>^[ \t]{0,32}(?:export[ \t]{1,8})?)?
        (?P<open>["'])?
        (?<![\w.-])(?P<name>-{0,2}[A-Za-z_][\w.-]{0,127})
        (?P<close>\\{0,31}["'])?
        (?P<separator>[ \t]{0,8}(?:=>|:=|[=:])[ \t]{0,8})""",
    re.VERBOSE | re.MULTILINE,
)
_QUOTED = {quote: re.compile(rf"{quote}((?:\\.|[^\\{quote}\n]|\\\n)*){quote}?") for quote in "\"'"}
_UNTIL_QUOTE = {quote: re.compile(rf"(?:\\.|[^\\{quote}\n]|\\\n)*") for quote in "\"'"}
_ESCAPED_QUOTED = re.compile(r"(\\{1,31}[\"'])((?:(?!(?<!\\)\1)[^\n])*)")
"""A text within JSON within JSON, to any depth, as far as a quote that is escaped as its first."""
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
_BARE = re.compile(r"(?:\\.|[^\s\"'\\])+")
_PROSE = re.compile(
    r"(?:a|access|an|and|cannot|connection|context|could|denied|dial|error|expired|failed|get|has|head|invalid|is|missing"
    r"|no|not|of|permission|post|received|rpc|server|the|timeout|unable|unauthorized|unexpected|unknown|unreachable|was)"
    r"(?=[\s,.:;]|$)",
    re.IGNORECASE,
)
"""After `token: ` in a sentence of a log these begin an explanation, not a credential."""


def _assignments(text: str) -> Iterator[_Edit]:
    """Masks what follows a secret name and `=` or `:`, as far as the quoting around it says."""
    position = 0
    while match := _ASSIGNMENT.search(text, position):
        position = match.end()
        if not is_secret_name(match["name"].lstrip("-")) or _names_a_host(text, match):
            continue
        span = _value(text, match)
        if span is None:
            continue
        start, position = span
        value = text[start:position]
        if value.replace("\\\n", "").strip() not in ("", MASK, "null"):
            yield _Edit(start, position, MASK + "".join(re.findall(r"\\?\n", value)))


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
        found = _QUOTED[text[start]].match(text, start)
        return found.span(1) if found else None
    if text[start : start + 1] == "\\":
        found = _ESCAPED_QUOTED.match(text, start)
        return found.span(2) if found else None
    if text[start : start + 1] == "[":
        found = _LIST.match(text, start)
        return (found.start() + 1, found.end() - 1) if found else None
    if text[start : start + 1] in ("{", "/") and name["separator"].strip() == ":":
        return None
    if name["line"] is not None and name["separator"].strip() == "=":
        # A line of an environment file: the value ends with the line.
        found = _REST_OF_LINE.match(text, start)
    elif name["name"].lower().endswith("authorization"):
        found = _AUTHORIZATION.match(text, start)
    elif name["name"].lower().endswith("cookie") and name["separator"].strip() == ":":
        found = None if _PROSE.match(text, start) else _COOKIES.match(text, start)
    else:
        found = _BARE.match(text, start)
        if found and name["separator"].strip() == ":" and not name["close"] and _PROSE.match(text, start):
            return None
    return found.span() if found else None


_FLAG = re.compile(
    r"(?<![\w-])--?(?P<name>[A-Za-z][\w-]{1,127})"
    r"(?:[ \t]{1,8}[\"']?|(?P<quote>\\{0,31}[\"']),\s{0,16}(?P=quote))(?!-)"
)
_ENTRY = re.compile(
    r"""\b(?:name|key)\\{0,31}["']?\s{0,4}[:=]\s{0,4}\\{0,31}["']?(?P<name>[A-Za-z_][\w.-]{0,127})\\{0,31}["']?
        \s{0,32},?\s{0,32}\\{0,31}["']?value\\{0,31}["']?\s{0,4}[:=]\s{0,4}(?:\\{0,31}["'])?""",
    re.VERBOSE | re.IGNORECASE,
)
"""A variable as a list of objects has it."""
_WORD = re.compile(
    r"""(?<=[^\\]["'])(?:\\.|[^"'\\\n]){1,4096}|(?<=["'])[^"'\\\n]{1,4096}|[^\s"'\\,}\]]{1,4096}"""
)
_ENCODED_NAME = re.compile(
    r"(?:(?<![\w.-])|(?<=%[0-9A-F]{2}))(?P<name>[A-Za-z_][\w.-]{0,127})"
    r"(?:%{1,2}22)?(?:%{1,2}20)?%{1,2}3[AD](?:%{1,2}2[02]){0,2}",
    re.IGNORECASE,
)
_ENCODED_VALUE = re.compile(r"(?:(?!%{1,2}(?:0A|2[26C]|7D))[^\s\"'&]){1,4096}", re.IGNORECASE)
_TOLD = re.compile(
    r"""(?<![\w.-])((?:[\w.-]{0,64}(?:password|passwd|passphrase|secret|token)|pwd?)
        [ \t]{1,4}(?:(?:is|was)[ \t]{1,4})?["'`]?)
        (?=[^\s\d]{0,64}\d)(?=[^\sA-Za-z]{0,64}[A-Za-z])[\w+=!$^&*~-]{8,256}(?=[\s"'`,;)\]}]|\.(?:\s|$)|$)""",
    re.VERBOSE | re.IGNORECASE,
)
"""In a sentence, or behind a word of a configuration, what mixes letters and digits as no word does."""


def _where(character: str, rule: _Rule) -> _Rule:
    """The rule, not asked about texts without that character, which most are."""
    return lambda text: rule(text) if character in text else ()


def _by_name(head: re.Pattern[str], value: re.Pattern[str]) -> _Rule:
    """The rule that masks the value behind each head whose `name` is secret."""

    def edits(text: str) -> Iterator[_Edit]:
        position = 0
        for match in head.finditer(text):
            if match.start() < position or not is_secret_name(match["name"]):
                continue
            found = value.match(text, match.end())
            if found is not None and found[0] != MASK:
                position = found.end()
                yield _Edit(*found.span(), MASK)

    return edits


def _mask_option(match: re.Match[str]) -> str:
    value = match["value"]
    if value.strip("\"'") == MASK or value.startswith("$"):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['option']}{quote}{MASK}{quote}"


_ARGUMENT = r"""(?P<value>"(?:\\.|[^"\\\n]){1,1024}"|'[^'\n]{1,1024}'|[^\s"'|;]{1,1024})"""
_PAIR = (
    r"""(?P<value>"[^":\n]{1,128}:[^"\n]{1,1024}"|'[^':\n]{1,128}:[^'\n]{1,1024}'"""
    r"""|[^\s"':]{1,128}:[^\s"']{1,1024})"""
)
_OPTIONS = tuple(
    (frozenset(programs.split()), _by(re.compile(pattern), _mask_option))
    for programs, pattern in (
        (
            "curl",
            rf"(?<!\S)(?P<option>(?:-[A-Za-z]{{0,8}}[uU][ \t]{{0,8}}|--(?:proxy-)?user[ \t=]{{1,8}})){_PAIR}",
        ),
        ("sshpass", rf"(?<!\S)(?P<option>-p[ \t]{{0,8}}){_ARGUMENT}"),
        ("login", rf"(?<!\S)(?P<option>-p[ \t=]{{0,8}}){_ARGUMENT}"),
        ("mysql mysqladmin mysqldump mariadb mariadb-dump", rf"(?<!\S)(?P<option>-p){_ARGUMENT}"),
        ("redis-cli", rf"(?<!\S)(?P<option>-a[ \t]{{1,8}}){_ARGUMENT}"),
        ("ldapsearch ldapmodify ldapadd", rf"(?<!\S)(?P<option>-w[ \t]{{1,8}}){_ARGUMENT}"),
        ("masterauth preshared-key private-key requirepass", rf"(?P<option>(?<=^)[ \t]{{1,8}}){_ARGUMENT}"),
        (
            "echo printf",
            rf"(?P<option>(?<=^)[ \t]{{1,8}}(?:-\w+[ \t]{{1,8}}|'%s[^ ]{{0,8}} )?){_ARGUMENT}(?=[ \t]{{0,8}}\|)",
        ),
    )
)
"""What takes a password by an option of no telling name, by the word that they follow; by a blank where that is all."""
_OPTION_WORD = re.compile(
    r"(?<![\w.-])(?:"
    + "|".join(sorted({word for words, _ in _OPTIONS for word in words}, reverse=True))
    + r")(?![\w.-])"
)
_TAKES_PASSWORD = re.compile(r"--password-stdin|\bchpasswd\b|\bsudo[ \t]{1,8}-S\b")


def _options(text: str) -> Iterator[_Edit]:
    """Masks what programs are given as a password by an option that has no telling name."""
    words = list(_OPTION_WORD.finditer(text))
    for word, following in zip_longest(words, words[1:]):
        if word[0] in ("echo", "printf") and not _TAKES_PASSWORD.search(text, word.end(), word.end() + 1024):
            continue
        end = following.end() if following is not None else len(text)
        head = text[word.end() : end].partition("\n")[0]
        for programs, rule in _OPTIONS:
            if word[0] in programs:
                yield from (
                    _Edit(edit.start + word.end(), edit.end + word.end(), edit.text) for edit in rule(head)
                )


# -- userinfo ------------------------------------------------------------------------------------------------

_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,31}:(?:\\?/){2})((?:\\.|[^\s\"\\])+)")
_AUTHORITY = re.compile(r"[^/?#\\]*")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(?::(?P<port>\d{0,5}))?[:,;.)\]'}>`]{0,3}")
_LIKE_A_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][\w.-]*)(?::\d{1,5})?(?=[/?#'\s]|$)")
_REST_OF_PASSWORD = re.compile(r"[ \t\"'][^\n]{0,128}@(?=[\w\[])")


def _urls(text: str) -> Iterator[_Edit]:
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
        yield _Edit(match.start(2), position, MASK)


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


_RULES: tuple[_Rule, ...] = (
    _by(_KNOWN_TOKENS, lambda match: MASK + "\n" * match[0].count("\n")),
    _by(_HOOK, lambda match: match[1] + MASK),
    # Userinfo first: a password may look like an assignment itself.
    _urls,
    _by(_PROXY_ASSIGNMENT, _mask_proxy),
    _where("%", _by(_ENCODED_USERINFO, lambda match: match[1] + MASK)),
    _by(_BARE_USERINFO, lambda match: f"{match[1]}{MASK}@"),
    _by(_PARAMETERS, lambda match: match[1] + MASK),
    _by_name(_ENTRY, _WORD),
    _where("%", _by_name(_ENCODED_NAME, _ENCODED_VALUE)),
    _by(_QUERY_KEY, lambda match: match[1] + MASK),
    _assignments,
    _by_name(_FLAG, _WORD),
    _options,
    _by(_HEADER_CREDENTIAL, lambda match: match[1] + MASK),
    _by(_TOLD, lambda match: match[1] + MASK),
)
