"""Which names of variables, keys and flags say that what they hold is a credential."""

import re
import unicodedata

_SECRET_WORDS = frozenset(
    (
        *("auth", "auths", "authorization", "bearer", "cookie", "credential", "credentials", "creds", "jwt"),
        *("otp", "pass", "passphrase", "passwd", "password", "passwords", "pat", "psk", "pw", "pwd", "sas"),
        *("masterauth", "requirepass", "secret", "secrets", "sig", "signature", "token", "tokens", "totp"),
        *(
            "adgangskode",
            "contrasena",
            "haslo",
            "heslo",
            "jelszo",
            "kennwort",
            "lozinka",
            "losenord",
            "passe",
        ),
        *("passord", "passwort", "salasana", "senha", "sifre", "wachtwoord"),
    )
)
_SECRET_PARTS = (
    *("accesskey", "apikey", "authkey", "basicauth", "credential", "passcode", "passkey", "passphrase"),
    *("passwd", "password", "passw0rd", "privatekey", "proxyuser", "secret"),
    *("accountkey", "encryptionkey", "masterkey", "sharedkey", "signingkey", "token"),
    *("authenticationkey", "cryptkey", "licensekey", "lukskey", "setupkey", "unsealkey", "wepkey"),
    *("sessionid", "sessid", "csrf", "xsrf"),
)
_OTHER_SCRIPTS = (
    *("\u043f\u0430\u0440\u043e\u043b", "\u5bc6\u7801", "\u5bc6\u78bc", "\u53e3\u4ee4", "\u6697\u8a3c"),
    *("\u30d1\u30b9\u30ef\u30fc\u30c9", "\ube44\ubc00\ubc88\ud638", "\u03ba\u03c9\u03b4\u03b9\u03ba"),
)
_ENDS_SECRET = re.compile(
    r"(?:admin|api|auth|bind|db|ftp|key|ldap|mail|my|mysql|pg|redis|root|smb|smtp|sql|ssh|store|svc|trust|user|vnc|web"
    r"|wifi)(?:pass|pw|pwd)$"
)
_KEY_VARIABLE = re.compile(r"(?!.*(?:PUBLIC|HOST)_KEY$)[A-Z0-9_]+_KEY")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_HARMLESS_NAMES = frozenset(
    (
        *("authorization-plugin", "authorization-plugins", "password-stdin"),
        *("passenvironment", "passcredentials", "passpacketinfo", "passsecurity"),
    )
)
"""Lists of names, and switches."""
_SWITCH = re.compile(r"(?:net[./]bridge[./])?bridge-nf-pass-[a-z-]+")


def is_secret_name(name: str) -> bool:
    """Whether a variable, key or flag of this name holds a credential, also where its letters only look the part."""
    if name.isascii():
        return _is_secret(name)
    lower = name[:128].lower()
    return any(part in lower for part in _OTHER_SCRIPTS) or _is_secret(folded(name[:128]))


def _is_secret(name: str) -> bool:
    if name.lower() in _HARMLESS_NAMES or _SWITCH.fullmatch(name):
        return False
    words = [word.lower() for word in _WORDS.findall(name[:128])]
    joined = "".join(words)
    if _KEY_VARIABLE.fullmatch(name[:128]) or any(map(_ENDS_SECRET.search, words)):
        return True
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or any(part in joined for part in _SECRET_PARTS)
        or "passw0rd" in name[:128].lower()
    )


def folded(text: str) -> str:
    """The text in the ASCII characters that its own look like, as many as it has."""
    return text if text.isascii() else text.translate(_LOOKS_LIKE)


class _Alike(dict[int, str]):
    """The ASCII character that each looks like, the character itself where there is none."""

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFKD", chr(code))
        alike = parts[0].isascii() and parts[0].isprintable() and all(map(unicodedata.combining, parts[1:]))
        self[code] = found = parts[0] if alike else chr(code)
        return found


_LOOKS_LIKE = _Alike(
    {
        ord(one): other
        for alike, other in (
            ("\u0430\u03b1\u0251", "a"),
            ("\u0410\u0391", "A"),
            ("\u0412\u0392", "B"),
            ("\u0441\u03f2", "c"),
            ("\u0421\u03f9", "C"),
            ("\u0501\u0111\u00f0", "d"),
            ("\u0435\u0451\u03b5", "e"),
            ("\u0415\u0395", "E"),
            ("\u041d\u0397", "H"),
            ("\u04bb\u0127", "h"),
            ("\u0456\u0131\u03b9", "i"),
            ("\u0406\u0399", "I"),
            ("\u0458", "j"),
            ("\u043a\u03ba", "k"),
            ("\u041a\u039a", "K"),
            ("\u0142", "l"),
            ("\u041c\u039c", "M"),
            ("\u039d", "N"),
            ("\u043e\u03bf\u03c3\u0585\u00f8", "o"),
            ("\u041e\u039f\u0555\u00d8", "O"),
            ("\u0440\u03c1", "p"),
            ("\u0420\u03a1", "P"),
            ("\u0455", "s"),
            ("\u0405", "S"),
            ("\u0442\u03c4", "t"),
            ("\u0422\u03a4", "T"),
            ("\u0475\u03bd", "v"),
            ("\u0461\u051d\u03c9", "w"),
            ("\u0445\u03c7", "x"),
            ("\u0425\u03a7", "X"),
            ("\u0443\u03b3", "y"),
            ("\u0423\u03a5", "Y"),
            ("\u0396", "Z"),
            ("\u201c\u201d\u201e\u00ab\u00bb", '"'),
            ("\u2018\u2019\u201a\u2039\u203a", "'"),
            ("\u2010\u2011\u2012\u2013\u2212", "-"),
            ("\u2236\ua789", ":"),
            ("\u2044\u2215", "/"),
        )
        for one in alike
    }
)
