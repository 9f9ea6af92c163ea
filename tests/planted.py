"""Credentials of twenty kinds as they stand in files, comments and logs, each with a value of its own."""

import base64
import random
import string
from collections.abc import Callable
from typing import NamedTuple

_LETTERS = string.ascii_letters + string.digits


def _jwt(value: str) -> str:
    parts = ('{"alg":"HS256"}', '{"sub":"7"}')
    return (
        ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + f".{value}"
    )


KINDS: dict[str, Callable[[str], str]] = {
    "userinfo of a URL": lambda value: f"http://operator:{value}@proxy.example:3128",
    "userinfo without a scheme": lambda value: f"https_proxy=operator:{value}@proxy.example:3128",
    "a token as a URL's user": lambda value: f"https://{value}@git.example/team/repository",
    "a password that holds what a URL forbids": lambda value: (
        f"http://operator:{value}/#?x@proxy.example:3128"
    ),
    "a URL in capitals with an escaped slash": lambda value: (
        rf"HTTPS:\/\/operator:{value}@proxy.example:3128"
    ),
    "a query of a URL": lambda value: f"https://hooks.example/in?room=ops&access_token={value}&verbose=1",
    "a signature in a query": lambda value: f"https://store.example/blob?sv=2024&sig={value}",
    "a variable": lambda value: f"DB_PASSWORD={value}",
    "a quoted variable": lambda value: f'"REGISTRY_PASSWORD={value} and more"',
    "a flag with an equals sign": lambda value: f"--api-token={value}",
    "a flag and the next word": lambda value: f"--registry-password {value}",
    "a key of JSON": lambda value: f'{{"auth": "{value}=="}}',
    "a key of YAML": lambda value: f"client_secret: {value}",
    "a basic header": lambda value: f"Authorization: Basic {value}==",
    "a bearer header": lambda value: f"sent with Bearer {value} to it",
    "an access key of AWS": lambda value: f"AKIA{value.upper()[:16].ljust(16, 'Q')}",
    "a secret key of AWS": lambda value: f"aws_secret_access_key = {value}",
    "a web token": lambda value: f"cookie said {_jwt(value)} there",
    "a token of a code host": lambda value: f"cloned by ghp_{value}{value}",
    "a token of a swarm": lambda value: f"docker swarm join SWMTKN-1-{value}{value} 10.0.0.1:2377",
}


class Planted(NamedTuple):
    """One credential within a line."""

    kind: str
    text: str
    """The line, between two words of its own that are no secret."""
    secret: str
    """What must be nowhere."""
    words: tuple[str, str]


def planted(seed: str, *kinds: str) -> list[Planted]:
    """A line for each kind (all if none is named), with values that no other seed has."""
    made = []
    for number, kind in enumerate(kinds or KINDS):
        value = "zQ" + "".join(random.Random(f"{seed} {kind}").choices(_LETTERS, k=18))
        snippet = KINDS[kind](value)
        secret = _secret_within(kind, snippet, value)
        words = (f"before{seed}{number}", f"after{seed}{number}")
        made.append(Planted(kind, f"{words[0]} {snippet} {words[1]}", secret, words))
    return made


def _secret_within(kind: str, snippet: str, value: str) -> str:
    if kind == "an access key of AWS":
        return snippet
    return snippet.rpartition(".")[2].split()[0] if kind == "a web token" else value
