"""Credentials that are known by their form, or by the word that what keeps them puts before them."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator

from dockerdiag.snapshot.edits import MASK, Edit, Rule, by

_KNOWN_TOKENS = re.compile(
    r"""-----BEGIN\ (?P<of>[A-Z0-9 ]{0,32}PRIVATE\ KEY(?:\ BLOCK)?|OpenVPN\ Static\ key\ V1)-----
        (?: (?:[^-]|-(?!----)){1,16384}-----END\ (?P=of)----- | [^-]{1,16384} )
      | \b(?: gh[oprsu]_\w{16,255} | github_pat_\w{16,255} | gl(?:pat|rt|dt|ptt|soat|cbt|agent)-[\w-]{16,255}
          | dckr_[a-z]{2,8}_[\w-]{16,255} | do[opr]_v1_\w{12,255}
          | SWMTKN-\d-[\w-]{16,255} | SWMKEY-\d-[\w+/]{16,255} | xox[abeoprs]-[\w-]{8,255}
          | hf_[A-Za-z]{16,255} | npm_[A-Za-z0-9]{30,255} | pypi-Ag[\w-]{16,255} | sntr[ysu]+_[\w=+/-]{12,255}
          | [rs]k_(?:live|test)_\w{16,255} | sk-(?:proj|ant|svcacct|admin)-[\w-]{16,255} | sk-[A-Za-z0-9]{32,255}
          | AIza[\w-]{20,255} | ya29\.[\w-]{16,1024} | tskey-[\w-]{8,255} | hv[bsr]\.[\w-]{16,1024}
          | SG\.[\w-]{16,64}\.[\w-]{16,64} | xapp-\d-[\w-]{16,255} | GOCSPX-[\w-]{16,255} | NRAK-\w{16,255}
          | AGE-SECRET-KEY-1\w{16,255} | PMAK-[0-9a-f]{16,64}-[0-9a-f]{16,64} | shp(?:at|ca|pa|ss)_[0-9a-f]{16,64}
          | AT[AC]TT3x[\w=-]{16,512} | GR1348941[\w-]{16,64} | (?:rubygems|lin_api|pscale_tkn|pscale_pw)_[\w.-]{16,255}
          | (?:AKIA|ASIA)[0-9A-Z]{16} | eyJ[\w-]{8,4096}\.[\w-]{2,4096}(?:\.[\w-]{0,4096})?
          | eyJ[A-Za-z0-9+/]{60,4096}={0,2} )
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

TOKENS: tuple[Rule, ...] = (
    by(_KNOWN_TOKENS, lambda match: MASK + "\n" * match[0].count("\n")),
    by(_HOOK, lambda match: match[1] + MASK),
)
"""Whatever stands around them."""

_KEYED = re.compile(
    r"""(:[ \t]{1,8}(?:PSK|XAUTH|EAP|NTLM|PIN)[ \t]{1,8}["']?)(?!\*\*\*)
          (?:(?<=")[^"\n]{1,256}|(?<=')[^'\n]{1,256}|[^\s"']{1,256})
      | (:[ \t]{1,8}(?:RSA|ECDSA|P12|PKCS8|BLISS)[ \t]{1,8}[^\s"]{1,256}[ \t]{1,8}")(?!\*\*\*)[^"\n]{1,256}
      | (\b(?:enc|auth|auth-trunc|aead|comp)[ \t]{1,8}["']?[\w(),-]{1,64}["']?[ \t]{1,8})0x[0-9a-fA-F]{16,512}
      | (\bkey[ \t]{1,8}[0-9a-fA-F]{1,32}[ \t]{1,8})[0-9a-fA-F]{32,64}\b
      | (\bl2tp\b[^\n]{0,256}?\bcookie[ \t]{1,8})[0-9a-fA-F]{8,16}\b
      | (\b(?:Unseal|Recovery)[ ]Key[ ]\d{1,2}:[ ]{1,4})(?!\*\*\*)\S{8,256}
      | (^Private-Lines:[ ]\d{1,3}\n)(?:[\w+/=]{1,128}(?:\n|$)){1,64}
      | (\bSetCredential(?:Encrypted)?=[^\s:]{1,128}:[ \t]{0,8})(?!\*\*\*)(?:\\\n|[^\n]){1,4096}
      | (\bjdbc:oracle:\w{2,8}:[\w$\#-]{1,64}/)(?!\*\*\*)[^\s@]{1,256}(?=@)""",
    re.VERBOSE | re.MULTILINE,
)
"""Keys by the words of what keeps them: IPsec, MACsec, L2TP, a vault, PuTTY, systemd, Oracle."""


def _mask_keyed(match: re.Match[str]) -> str:
    head = next(one for one in match.groups() if one is not None)
    return head + MASK + "\n" * match[0][len(head) :].count("\n")


_CURVE_KEY = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=(?![\w+/=])")
_PRIVATE = re.compile(r"private[-_. ]?key|pre-?shared|\bpsk\b", re.IGNORECASE)


def _curve_keys(text: str) -> Iterator[Edit]:
    """Masks keys of WireGuard that a line calls private: another's public key has the same form."""
    for match in _CURVE_KEY.finditer(text):
        before = text[max(match.start() - 128, 0) : match.start()].rpartition("\n")[2]
        behind = text[match.end() : match.end() + 128].partition("\n")[0]
        if _PRIVATE.search(before + behind) and not re.search(
            r"(?:peer|public)\W{0,8}(?:key\W{0,8})?$", before, re.IGNORECASE
        ):
            yield Edit(*match.span(), MASK)


_FOUR = "[I-Za-f][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghkloptswx014589][A-Za-z0-9+/]"
_ENCODED_PAIR = re.compile(
    rf"(?<![\w+/=-])(?:{_FOUR}){{3,256}}(?:[I-Za-f][A-Za-z0-9+/]==|[I-Za-f][A-Za-z0-9+/]{{2}}=)?(?![\w+/=-])"
)
"""Four characters of base64 that stand for three printable ones, and again."""
_USER_AND_PASSWORD = re.compile(rb"[\w.@\\+-]{1,64}:[\x20-\x7e]{3,256}")


def _encoded_pairs(text: str) -> Iterator[Edit]:
    """Masks `user:password` in base64, as a header and an engine's client keep it."""
    for match in _ENCODED_PAIR.finditer(text):
        try:
            told = b64decode(match[0], validate=True)
        except NotBase64:
            continue
        if _USER_AND_PASSWORD.fullmatch(told):
            yield Edit(*match.span(), MASK)


KEYS: tuple[Rule, ...] = (by(_KEYED, _mask_keyed), _curve_keys, _encoded_pairs)
"""By what stands around them, or by what they are when decoded."""
