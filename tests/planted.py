"""Credentials of many kinds as they stand in files, comments and logs, each with a value of its own."""

import base64
import json
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
    "the user of curl": lambda value: f"curl -sfu operator:{value} https://store.example/",
    "the proxy's user of curl": lambda value: f"curl --proxy-user operator:{value} https://store.example/",
    "a password of sshpass": lambda value: f"sshpass -p {value} ssh gateway.example",
    "a password of a registry": lambda value: f"docker login -u ci -p {value} registry.example",
    "a password in a pipe": lambda value: (
        f"echo {value} | docker login -u ci --password-stdin registry.example"
    ),
    "a password of MySQL": lambda value: f"mysqldump -uroot -p{value} shop",
    "a directive of Redis": lambda value: f"redis.conf: requirepass {value}",
    "a flag with one dash": lambda value: f"exporter -password {value}",
    "a map as Go prints it": lambda value: f"map[Username:ci Password:{value}]",
    "a second cookie": lambda value: f"curl -H 'Cookie: theme=dark; session={value}'",
    "a header of parameters": lambda value: (
        f"""-H 'Authorization: Digest username="ci", response="{value}"'"""
    ),
    "a URL that is encoded": lambda value: f"http%3A%2F%2Foperator%3A{value}%40proxy.example%3A3128",
    "a key of a storage account": lambda value: (
        f"AccountName=shop;AccountKey={value}==;EndpointSuffix=example"
    ),
    "a variable that ends in KEY": lambda value: f"STRIPE_KEY={value}",
    "a password under a short name": lambda value: f"export PGPASS={value}",
    "a live key of a payment service": lambda value: f"charged by sk_live_{value}",
    "a key of a model's service": lambda value: f"asked with sk-proj-{value}",
    "a key of a map service": lambda value: f"map?v=3 AIza{value}{value}",
    "a token of a vault": lambda value: f"renewed hvs.{value}",
    "a key of a mesh network": lambda value: f"joined by tskey-auth-{value}-{value}",
    "a token of a runner": lambda value: f"registered glrt-{value}",
    "a key of a mail service": lambda value: f"sent by SG.{value}.{value}",
    "a hook of a chat": lambda value: f"posted to https://hooks.slack.com/services/T000/B000/{value}",
    "a token of a chat's bot": lambda value: (
        f"posted to https://api.telegram.org/bot1234567:{value}/sendMessage"
    ),
    "a hash of a password": lambda value: f"basicauth.users=admin:$2y$05${value}",
    "a hash of a directory": lambda value: f"kept as {{SSHA}}{value}",
    "a key of JSON within JSON within JSON": lambda value: json.dumps(
        {"outer": json.dumps({"inner": json.dumps({"password": f'a"{value}'})})}
    ),
    "a flag in a list": lambda value: json.dumps(["dockerd", "--api-token", value, "--debug"]),
    "a variable in a list of objects": lambda value: json.dumps([{"name": "DB_PASSWORD", "value": value}]),
    "a variable that is encoded": lambda value: f"https%3A%2F%2Fstore.example%3Faccess_token%3D{value}%26x",
    "userinfo that is encoded": lambda value: f"http://operator%3A{value}%40proxy.example:3128",
    "userinfo without a scheme's name": lambda value: f"invalid proxy //operator:{value}@proxy.example:3128",
    "a password in a sentence": lambda value: f"the password is 7{value}, they say",
    "a key in a query": lambda value: f"https://maps.example/tiles?key={value}",
    "a variable as Ruby has it": lambda value: f":password => '{value}'",
}

OF_SEVERAL_LINES: dict[str, Callable[[str], str]] = {
    "an encrypted key": lambda value: (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n"
        f"{value}\n-----END RSA PRIVATE KEY-----"
    ),
    "a key of PGP": lambda value: (
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{value}\n-----END PGP PRIVATE KEY BLOCK-----"
    ),
    "userinfo of a URL that is continued": lambda value: (
        f"is\nEnvironment=HTTP_PROXY=http://operator:\\\n{value}@proxy.example:3128\nnext:"
    ),
    "a flag whose value is continued": lambda value: (
        f"is\nExecStart=/usr/bin/dockerd --api-token \\\n  {value} \\\n  --debug\nnext:"
    ),
    "a variable that is continued": lambda value: f"is\nEnvironment=DB_PASSWORD=\\\n{value}\nnext:",
    "a name that is continued": lambda value: f"is\nDB_PASS\\\nWORD={value}\nnext:",
    "a variable of a list of YAML": lambda value: f"is\n- name: DB_PASSWORD\n  value: {value}\nnext:",
    "a block of YAML": lambda value: f"is\npassword: |\n  {value}\n  {value}\nnext:",
    "a folded block of YAML": lambda value: f"is\n- client_secret: >-\n    {value}\n\n    more\n  next:",
    "a value of YAML on the next line": lambda value: f"is\npassword:\n  {value}\nnext:",
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
    """A line for each kind (all of one line if none is named), with values that no other seed has."""
    made = []
    for number, kind in enumerate(kinds or KINDS):
        value = "zQ" + "".join(random.Random(f"{seed} {kind}").choices(_LETTERS, k=18))
        snippet = {**KINDS, **OF_SEVERAL_LINES}[kind](value)
        secret = _secret_within(kind, snippet, value)
        words = (f"before{seed}{number}", f"after{seed}{number}")
        made.append(Planted(kind, f"{words[0]} {snippet} {words[1]}", secret, words))
    return made


def _secret_within(kind: str, snippet: str, value: str) -> str:
    if kind == "an access key of AWS":
        return snippet
    return snippet.rpartition(".")[2].split()[0] if kind == "a web token" else value
