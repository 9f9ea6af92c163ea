"""Replaces credentials in text before it is kept; what stands around them stays readable.

Known by their place: userinfo of a URL or of a proxy without scheme, the value of a variable, key or flag
whose name says that it is secret, an Authorization header. Known by their form: tokens of well-known issuers,
JSON Web Tokens, private keys. Where a text can be read both ways it counts as a credential. Every pattern is
bounded, so that time grows with the length of the text alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
        *("secrets", "sig", "signature", "token", "tokens"),
    )
)
_SECRET_PARTS = (
    *(
        "accesskey",
        "apikey",
        "authkey",
        "credential",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "secret",
    ),
    *("sharedkey", "token"),
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_HARMLESS_NAMES = frozenset(("authorization-plugin", "authorization-plugins"))


def is_secret_name(name: str) -> bool:
    """Whether a variable, key or flag of this name holds a credential."""
    if name.lower() in _HARMLESS_NAMES:
        return False
    words = [word.lower() for word in _WORDS.findall(name[:128])]
    joined = "".join(words)
    return not _SECRET_WORDS.isdisjoint(words) or any(part in joined for part in _SECRET_PARTS)


_KNOWN_TOKENS = re.compile(
    r"""-----BEGIN\ [A-Z ]{0,32}PRIVATE\ KEY-----[^-]{1,16384}(?:-----END\ [A-Z ]{0,32}PRIVATE\ KEY-----)?
      | \b(?: gh[oprsu]_\w{16,255} | github_pat_\w{16,255} | glpat-[\w-]{16,255}
          | dckr_[a-z]{2,8}_[\w-]{16,255}
          | SWMTKN-\d-[\w-]{16,255} | SWMKEY-\d-[\w+/]{16,255} | xox[abeoprs]-[\w-]{8,255}
          | hf_[A-Za-z]{16,255}
          | (?:AKIA|ASIA)[0-9A-Z]{16} | eyJ[\w-]{8,4096}\.[\w-]{2,4096}(?:\.[\w-]{0,4096})? )
    """,
    re.VERBOSE,
)
_HEADER_CREDENTIAL = re.compile(r"\b(Basic|Bearer)(\s{1,4})(?!\*\*\*)([\w.~+/=-]{8,8192})", re.IGNORECASE)


def mask_text(text: str) -> Masked:
    """Replaces the credentials in a configuration file, a unit, a command line or a line of a log.

    Lines keep their number, so that a place in the result is the place in the original.
    """
    text, known = _substitute(_KNOWN_TOKENS, lambda match: MASK + "\n" * match[0].count("\n"), text)
    # Userinfo first: a password may look like an assignment itself.
    text, urls = _mask_urls(text)
    text, proxies = _substitute(_PROXY_ASSIGNMENT, _mask_proxy, text)
    text, bare = _substitute(_BARE_USERINFO, lambda match: f"{match[1]}{MASK}@", text)
    text, assigned = _mask_assignments(text)
    text, flags = _substitute(_FLAG_AND_VALUE, _mask_flag, text)
    text, headers = _substitute(_HEADER_CREDENTIAL, lambda match: match[1] + match[2] + MASK, text)
    return Masked(text, known + assigned + flags + headers + urls + proxies + bare)


def mask_variable(name: str, value: str) -> Masked:
    """Replaces the credentials in one variable's value, or all of it where the name says it is secret."""
    if is_secret_name(name):
        return Masked(value, 0) if value in ("", MASK) else Masked(MASK, 1)
    if name.lower() in PROXY_VARIABLES - {"no_proxy"}:
        return _mask_proxy_value(value)
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
        value_of = name.lstrip("-") if argument.startswith("--") and not equals else None
        if equals and len(name) <= 128 and " " not in name:
            masked.append(name + "=" + mask_variable(name.lstrip("-"), value).text)
        else:
            masked.append(mask_text(argument).text)
    return tuple(masked)


# -- names and their values ----------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(
    r"""(?P<line>^[ \t]{0,32}(?:export[ \t]{1,8})?)?
        (?P<open>["'])?
        (?<![\w.-])(?P<name>-{0,2}[A-Za-z_][\w.-]{0,127})
        (?P<close>\\?["'])?
        (?P<separator>[ \t]{0,8}[=:][ \t]{0,8})""",
    re.VERBOSE | re.MULTILINE,
)
_QUOTED = {quote: re.compile(rf"{quote}((?:\\.|[^\\{quote}\n]|\\\n)*){quote}?") for quote in "\"'"}
_UNTIL_QUOTE = {quote: re.compile(rf"(?:\\.|[^\\{quote}\n]|\\\n)*") for quote in "\"'"}
_ESCAPED_QUOTED = re.compile(r'\\"((?:[^"\\\n]|\\[^"])*)\\"')
_REST_OF_LINE = re.compile(r"(?:\\\n|[^\n])*")
_LIST = re.compile(r"\[[^\]\[{}]{0,65536}\]")
_AUTHORIZATION = re.compile(
    r"(?:(?:Basic|Bearer|Token|Digest|Negotiate|ApiKey)[ \t]{1,8})?[^\s\"',]+", re.IGNORECASE
)
_BARE = re.compile(r"(?:\\.|[^\s\"'\\])+")
_PROSE = re.compile(
    r"(?:a|access|an|and|cannot|context|could|denied|dial|error|expired|failed|get|has|head|invalid|is|missing|no|not|of|post"
    r"|received|rpc|server|the|unable|unauthorized|unexpected|unknown|was)\b",
    re.IGNORECASE,
)
"""After `token: ` in a sentence of a log these begin an explanation, not a credential."""


def _mask_assignments(text: str) -> tuple[str, int]:
    """Masks what follows a secret name and `=` or `:`, as far as the quoting around it says."""
    kept: list[str] = []
    position = replaced = 0
    while match := _ASSIGNMENT.search(text, position):
        kept.append(text[position : match.end()])
        position = match.end()
        if not is_secret_name(match["name"].lstrip("-")):
            continue
        span = _value(text, match)
        if span is None:
            continue
        start, end = span
        value = text[start:end]
        kept.append(text[position:start])
        position = end
        if value.replace("\\\n", "").strip() in ("", MASK, "null"):
            kept.append(value)
            continue
        kept.append(MASK + "\\\n" * value.count("\\\n"))
        replaced += 1
    kept.append(text[position:])
    return "".join(kept), replaced


def _value(text: str, name: re.Match[str]) -> tuple[int, int] | None:
    """Where the value begins and ends, None where nothing that could be a credential follows."""
    start = name.end()
    if name["open"] and not name["close"]:
        # A whole assignment in quotes: Environment="API_TOKEN=several words".
        found = _UNTIL_QUOTE[name["open"]].match(text, start)
        return found.span() if found else None
    if text[start : start + 1] in ('"', "'"):
        found = _QUOTED[text[start]].match(text, start)
        return found.span(1) if found else None
    if text.startswith('\\"', start):
        found = _ESCAPED_QUOTED.match(text, start)
        return found.span(1) if found else None
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
    else:
        found = _BARE.match(text, start)
        if found and name["separator"].strip() == ":" and not name["close"] and _PROSE.match(text, start):
            return None
    return found.span() if found else None


_FLAG_AND_VALUE = re.compile(
    r"(?<![\w-])(--?([A-Za-z][\w-]{1,127})[ \t]{1,8}[\"']?)(?!-|[\"'\s]|\*\*\*(?:[\s\"']|$))([^\s\"']{1,4096})"
)


def _mask_flag(match: re.Match[str]) -> str:
    return match[1] + MASK if is_secret_name(match[2]) else match[0]


# -- userinfo ------------------------------------------------------------------------------------------------

_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,31}:(?:\\?/){2})((?:\\.|[^\s\"\\])+)")
_AUTHORITY = re.compile(r"[^/?#\\]*")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(?::(?P<port>\d{0,5}))?[:,;.)\]'}>`]{0,3}")
_LIKE_A_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][\w.-]*)(?::\d{1,5})?(?=[/?#'\s]|$)")
_REST_OF_PASSWORD = re.compile(r"[ \t\"'][^\n]{0,128}@(?=[\w\[])")


def _mask_urls(text: str) -> tuple[str, int]:
    kept: list[str] = []
    position = replaced = 0
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
        kept += (text[position : match.start(2)], MASK)
        position = match.start(2) + end
        replaced += 1
    kept.append(text[position:])
    return "".join(kept), replaced


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
_BARE_USERINFO = re.compile(
    r"((?:^|(?<=[\s\"'=,;({\[])))(?!\*\*\*)(?![A-Za-z][A-Za-z0-9+.-]{0,31}://)"
    r"[^\s\"'=,;:@/(){}\[\]]{1,128}:(?!\\?/\\?/)[^\s\"']{1,256}@(?!sha\d{3}:)(?=[\w\[])",
    re.MULTILINE,
)


def _mask_proxy(match: re.Match[str]) -> str:
    return match[1] + _mask_proxy_value(match[2]).text


def _mask_proxy_value(value: str) -> Masked:
    """A proxy's value is one URL, with or without its scheme: what stands before the last `@` is userinfo."""
    found = _PROXY_USERINFO.match(value)
    if found is None or found[2] == MASK:
        return mask_text(value) if found is None and "://" not in value else Masked(value, 0)
    return Masked(found[1] + MASK + value[found.end() - 1 :], 1)


def _substitute(
    pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str], text: str
) -> tuple[str, int]:
    """`re.subn` that counts only what really changed."""
    changed = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal changed
        new = replacement(match)
        changed += new != match[0]
        return new

    return pattern.sub(replace, text), changed
