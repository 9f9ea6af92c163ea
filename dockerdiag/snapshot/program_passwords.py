"""What programs and directives are given as a password behind an option or a word of no telling name."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest

from dockerdiag.snapshot.edits import MASK, Edit, Rule, by, in_order

_QUOTE = r"""(?:\\{0,31}["'])"""
_BEFORE = r"""(?<![^\s"'\0])"""
_GAP = rf"""(?:[ \t]{{1,8}}|{_QUOTE},\s{{0,4}}{_QUOTE}|\0)"""
"""Between two arguments: blanks, or as a list has it; as the kernel tells it, where a blank may be within one."""
_NO_GAP = rf"""(?:[ \t]{{0,8}}|{_QUOTE},\s{{0,4}}{_QUOTE}|\0)"""
_ARGUMENT = (
    r"""(?P<value>(?<=\0)[^\0]{1,1024}|"(?:\\.|[^"\\\n]){1,1024}"|'[^'\n]{1,1024}'|[^\s"'|;\0]{1,1024})"""
)
_PAIR = (
    r"""(?P<value>(?<=\0)[^\0:]{0,128}:[^\0]{1,1024}|"[^":\n]{1,128}:[^"\n]{1,1024}"|'[^':\n]{1,128}:[^'\n]{1,1024}'"""
    r"""|[^\s"':\0]{1,128}:[^\s"'\0]{1,1024})"""
)
_SETTING = (
    r"""(?P<value>(?<=\0)[^\0=]{1,128}=[^\0]{0,1024}|"[^"\n=]{1,128}=[^"\n]{1,1024}"|'[^'\n=]{1,128}=[^'\n]{1,1024}'"""
    r"""|[^\s"'=\0]{1,128}=[^\s"'\0]{1,1024})"""
)
_AFTER_PERCENT = (
    rf"""(?P<option>{_BEFORE}-[A-Za-z]{{0,4}}%s{_NO_GAP}["']?[^\s"'%%\0]{{1,128}}%%)"""
    r"""(?P<value>[^\s"'\0]{1,256})"""
)
_AT_ONCE = "(?<=^)"
_FIRST = rf"(?P<option>{_AT_ONCE}{_GAP}){_ARGUMENT}"
_WORD = r"""[^\s"'\0]{1,128}"""

_SAID = (
    rf"(?:[ \t]{{1,8}}{_WORD}){{0,3}}[ \t]{{1,8}}(?:password|secret)[ \t]{{1,8}}"
    r"(?:\d[ \t]{1,8})?(?!(?:for|is|was|has|not|of|and)\b)"
)
"""Up to a password that a directive names after whom it is for."""


def _option(letters: str, *, apart: bool = True, value: str = _ARGUMENT) -> str:
    """The pattern of an option and its value, which is the next argument or, where the program allows that, joined."""
    between = _GAP if apart else rf"(?!{_GAP})"
    return rf"(?P<option>{_BEFORE}-{letters}{between}){value}"


_PROGRAMS: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(programs.split()), pattern)
    for programs, pattern in (
        (
            "curl",
            rf"(?P<option>{_BEFORE}(?:-[A-Za-z]{{0,8}}[uU]{_NO_GAP}|--(?:proxy-)?user(?:{_GAP}|=))){_PAIR}",
        ),
        ("curl", rf"(?P<option>{_BEFORE}(?:-b|--cookie){_GAP}){_SETTING}"),
        ("http https httpie", rf"(?P<option>{_BEFORE}-a{_GAP}){_PAIR}"),
        ("sshpass", _option("p", apart=False)),
        ("sshpass rdesktop ncftpget ncftpput mongo mongosh mongodump mongorestore cqlsh", _option("p")),
        ("login useradd usermod", rf"(?P<option>{_BEFORE}-p(?:{_NO_GAP}|=)){_ARGUMENT}"),
        (
            "mysql mysqladmin mysqlcheck mysqldump mysqlimport mysqlshow mariadb mariadb-admin mariadb-dump 7z 7za 7zr",
            _option("p", apart=False),
        ),
        ("sqlcmd bcp isql ipmitool unzip zip", _option("P")),
        ("redis-cli", _option("a")),
        ("ldapsearch ldapmodify ldapadd ldapdelete ldapwhoami ldapcompare", _option("w")),
        ("ldappasswd", _option("[asw]")),
        ("smbclient rpcclient smbget smbcacls net", _AFTER_PERCENT % "U"),
        ("wbinfo", _AFTER_PERCENT % "a"),
        ("cifs smbfs smb3", r"(?P<option>\buser(?:name)?=[^\s,%]{1,128}%)(?P<value>[^\s,]{1,256})"),
        ("snmpwalk snmpget snmpset snmpgetnext snmpbulkwalk snmpbulkget snmptrap", _option("[cAX]")),
        ("openssl", _option("[kK]")),
        ("openssl", rf"(?P<option>{_AT_ONCE}{_GAP}passwd(?:{_GAP}-\w+)*{_GAP}){_ARGUMENT}"),
        (
            "htpasswd",
            rf"(?P<option>{_BEFORE}-\w*b\w*(?:{_GAP}-\w+)*(?:{_GAP}{_WORD}){{1,2}}{_GAP}){_ARGUMENT}(?=\s*(?:[;|&\0\"']|$))",
        ),
        ("lftp", rf"""(?P<option>{_BEFORE}-u{_GAP}["']?[^\s,"'\0]{{1,128}},)(?P<value>[^\s"'\0]{{1,256}})"""),
        (
            "sqlplus sqlldr expdp impdp",
            r"(?P<option>(?<=^)[ \t]{1,8}(?:-\w+[ \t]{1,8}){0,4}[\w$#-]{1,64}/)(?P<value>[^\s@]{1,256})",
        ),
        ("xfreerdp xfreerdp3", rf"(?P<option>{_BEFORE}/p:){_ARGUMENT}"),
        (
            "nmcli",
            rf"(?P<option>(?:password|[\w.-]{{1,64}}\.(?:psk|wep-key\d|password|secrets?|pin)){_GAP}){_ARGUMENT}",
        ),
        ("iwconfig", rf"(?P<option>\b(?:key|enc){_GAP}){_ARGUMENT}"),
        ("ifconfig", rf"(?P<option>\bnwkey{_GAP}){_ARGUMENT}"),
        ("wpa_passphrase", rf"(?P<option>{_AT_ONCE}{_GAP}{_WORD}{_GAP}){_ARGUMENT}"),
        ("kubeadm", rf"(?P<option>{_BEFORE}--certificate-key(?:{_GAP}|=)){_ARGUMENT}"),
        ("vault", rf"(?P<option>{_AT_ONCE}{_GAP}login{_GAP}(?!-)){_ARGUMENT}"),
        ("cloudflared", rf"(?P<option>\binstall{_GAP}){_ARGUMENT}"),
        (
            "nsupdate dig",
            rf"(?P<option>{_BEFORE}-y{_NO_GAP}(?:hmac-\w+:)?[\w.-]{{1,128}}:)(?P<value>[\w+/=]{{4,256}})",
        ),
        ("masterauth preshared-key private-key requirepass", _FIRST),
        ("auth_pass rocommunity rocommunity6 rwcommunity rwcommunity6 trapcommunity", _FIRST),
        ("snmp-server", rf"(?P<option>{_AT_ONCE}{_GAP}community{_GAP}){_ARGUMENT}"),
        (
            "com2sec com2sec6",
            rf"(?P<option>{_AT_ONCE}(?:{_GAP}-Cn{_GAP}{_WORD})?(?:{_GAP}{_WORD}){{2}}{_GAP}){_ARGUMENT}",
        ),
        ("createUser", rf"""(?P<option>(?:MD5|SHA(?:-\d+)?|DES|AES(?:-\d+)?){_GAP}){_ARGUMENT}"""),
        ("stats", rf"(?P<option>{_AT_ONCE}[ \t]{{1,8}}auth[ \t]{{1,8}}){_PAIR}"),
        ("message-digest-key", rf"(?P<option>\bmd5[ \t]{{1,8}}(?:\d[ \t]{{1,8}})?){_ARGUMENT}"),
        ("authentication-key", _FIRST),
        ("tacacs-server radius-server", rf"(?P<option>\bkey[ \t]{{1,8}}(?:\d[ \t]{{1,8}})?){_ARGUMENT}"),
        ("neighbor username enable login", rf"(?P<option>{_AT_ONCE}{_SAID}){_ARGUMENT}"),
        (
            "echo printf",
            rf"(?P<option>{_AT_ONCE}[ \t]{{1,8}}(?:-\w+[ \t]{{1,8}}|'?%s[^ ]{{0,8}} )?){_ARGUMENT}(?=[ \t]{{0,8}}\|)",
        ),
        (
            "--password-stdin chpasswd passwd",
            rf"(?P<option>{_AT_ONCE}[^\n|]{{0,128}}<<<[ \t]{{0,8}}){_ARGUMENT}",
        ),
    )
)
"""By the words that they follow, somewhere or at once."""
_PROGRAM_WORD = re.compile(
    r"(?<![\w.-])(?:"
    + "|".join(sorted({word for words, _ in _PROGRAMS for word in words}, reverse=True))
    + r")(?![\w.:/=-])"
)
_COMMAND_END = re.compile(r"\n|[ \t](?:&&|\|\|?)[ \t]|;[ \t]")
_REACH = 512
"""Characters behind a program's word that are its own at least, where its command does not end before."""
_TAKES_PASSWORD = re.compile(
    r"--password-stdin|\bchpasswd\b|\bsudo[ \t]{1,8}-S\b|\b(?:private|preshared)-key\b|\bpasswd[ \t]{1,8}--stdin"
)


def program_passwords(text: str) -> Iterator[Edit]:
    """Masks what programs are given as a password by an option that has no telling name."""
    words = list(_PROGRAM_WORD.finditer(text))
    found: list[Edit] = []
    searched: dict[str, int] = {}
    taken = [one.span() for one in _TAKES_PASSWORD.finditer(text)]
    for word, following in zip_longest(words, words[1:]):
        start = word.end()
        if word[0] in ("echo", "printf"):
            next_taken = bisect_left(taken, (start, 0))
            if next_taken == len(taken) or taken[next_taken][1] > start + 1024:
                continue
        own = following.end() if following is not None else len(text)
        ended = _COMMAND_END.search(text, start, max(start + _REACH, own))
        end = ended.end() if ended else max(start + _REACH, own)
        head = text[start:end]
        for rule, follows in _rules(word[0]):
            if follows or own > searched.get(word[0], 0):
                found += (Edit(edit.start + start, edit.end + start, edit.text) for edit in rule(head))
        searched[word[0]] = end
    yield from in_order(found)


@cache
def _rules(word: str) -> tuple[tuple[Rule, bool], ...]:
    """The rules for what stands behind a word, and whether they are for what follows it at once."""
    return tuple(
        (by(re.compile(pattern), _masked), _AT_ONCE in pattern)
        for programs, pattern in _PROGRAMS
        if word in programs
    )


def _masked(match: re.Match[str]) -> str:
    value = match["value"]
    if value.strip("\"'") == MASK or value.startswith("$"):
        return match[0]
    quote = value[0] if value[0] in "\"'" and len(value) > 1 and value[0] == value[-1] else ""
    return f"{match['option']}{quote}{MASK}{quote}"
