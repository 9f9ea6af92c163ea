import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerdiag.snapshot.secrets import MASK, is_secret_name, mask_arguments, mask_text, mask_variable

SECRET = "hunter2Xq"

# What a generated credential begins and ends with: long enough not to stand in the text around it by chance.
characters = st.characters(min_codepoint=33, max_codepoint=126)


def secrets_without(excluded: str) -> st.SearchStrategy[str]:
    body = st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=excluded), max_size=24
    )
    return body.map(lambda middle: f"zQ7x{middle}Kw9v")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"HTTP_PROXY=http://user:{SECRET}@proxy:3128", "HTTP_PROXY=http://***@proxy:3128"),
        (f"https_proxy=http://user:{SECRET}%40%2F@proxy:3128/", "https_proxy=http://***@proxy:3128/"),
        (f"HTTP_PROXY=user:{SECRET}@proxy:3128", "HTTP_PROXY=***@proxy:3128"),
        (f"https_proxy={SECRET}@proxy:3128", "https_proxy=***@proxy:3128"),
        (f"https://{SECRET}@git.example/repo", "https://***@git.example/repo"),
        (f"http://user:{SECRET}/x#y?z@w@proxy:3128", "http://***@proxy:3128"),
        (f"http://user:pass {SECRET}@proxy:3128", "http://***@proxy:3128"),
        (f'Environment="API_TOKEN=two {SECRET}" "A=b c"', 'Environment="API_TOKEN=***" "A=b c"'),
        (f"Environment=DB_PASSWORD={SECRET} A=b", "Environment=DB_PASSWORD=*** A=b"),
        (f"DB_PASSWORD=all of {SECRET}", "DB_PASSWORD=***"),
        (f"export MY_SECRET='{SECRET} x'", "export MY_SECRET='***'"),
        (f"TOKEN=first\\\n{SECRET}\nNEXT=1", "TOKEN=***\\\n\nNEXT=1"),
        (f'{{"auth": "{SECRET}=="}}', '{"auth": "***"}'),
        (f'{{"log-opts": {{"splunk-token": "{SECRET}"}}}}', '{"log-opts": {"splunk-token": "***"}}'),
        (f'{{"tokens": ["{SECRET}", "b"]}}', '{"tokens": [***]}'),
        (f"dockerd --password {SECRET} -H fd://", "dockerd --password *** -H fd://"),
        (f"dockerd --token={SECRET} -H fd://", "dockerd --token=*** -H fd://"),
        (f"--log-opt splunk-token={SECRET}", "--log-opt splunk-token=***"),
        (f"Authorization: Basic {SECRET}==", "Authorization: ***"),
        (f"sent Bearer {SECRET} to", "sent Bearer *** to"),
        (f'msg="login \\"password\\":\\"{SECRET}\\" ok"', 'msg="login \\"password\\":\\"***\\" ok"'),
        (
            f"ExecStart=/usr/bin/dockerd \\\n  --api-token \\\n  {SECRET} \\\n  --dns 1.1.1.1",
            "ExecStart=/usr/bin/dockerd \\\n  --api-token \\\n  *** \\\n  --dns 1.1.1.1",
        ),
        (f"HTTP_PROXY=http://user:a\\\n{SECRET}@proxy:3128", "HTTP_PROXY=http://***\\\n@proxy:3128"),
        (f"with \x1b[36mpassword\x1b[0m={SECRET} next", "with \x1b[36mpassword\x1b[0m=*** next"),
        (f"pass\u200bword={SECRET}", "pass\u200bword=***"),
        (f'["--token", "{SECRET}", "--dns"]', '["--token", "***", "--dns"]'),
        (f"http_proxy=user%3A{SECRET}%40proxy:3128", "http_proxy=***%40proxy:3128"),
        (f'<add key="Password" value="{SECRET}"/>', '<add key="Password" value="***"/>'),
        (f"Negotiate YIIabcdef{SECRET}", "Negotiate ***"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----", "***\n\n"),
    ],
)
def test_credentials_go_and_the_rest_stays(text: str, masked: str) -> None:
    found = mask_text(text)
    assert found.text == masked
    assert found.replaced == 1
    assert SECRET not in found.text


@pytest.mark.parametrize(
    "text",
    [
        "HTTP_PROXY=http://proxy:3128 PATH=/usr/sbin:/usr/bin",
        "NO_PROXY=localhost,127.0.0.1,10.0.0.0/8,.corp.example,::1",
        "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS",
        'time="2026-11-23T20:42:59.123Z" level=warning msg="Running modprobe bridge"',
        "failed to fetch anonymous token: unexpected status from GET https://auth.example/token?scope=x: 503",
        'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 127.0.0.53:53: no such host',
        "proxyconnect tcp: dial tcp 127.0.0.1:3128: connect: connection refused",
        "docker.io/library/nginx:1.25@sha256:0123456789abcdef",
        "https://registry.example.org/@scope/package",
        '{"authorization-plugins": ["opa"], "tlskey": "/etc/docker/key.pem", "registry-mirrors": ["https://m:5000"]}',
        "[UFW BLOCK] IN=docker0 OUT=eth0 MAC=02:42:ac:11:00:02 SRC=172.17.0.2 DST=1.1.1.1 PROTO=TCP",
        "tcp://[2001:db8::1]:2375",
        "unix:///var/run/docker.sock",
        "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example.com",
        'Environment="HTTP_PROXY=http://auth-proxy.corp.example:3128"',
        '{"http-proxy": "http://token:3128", "insecure-registries": ["token.corp:5000", "auth:5000"]}',
        "HTTPS_PROXY=http://***@auth-proxy.corp.example:3128",
        "tcp://auth:2375",
        "auth-host:10.1.2.3",
        "auth-host:host-gateway",
        "auth-host:fd00::7",
        "pull team/auth:v2",
        "NO_PROXY=auth:8080,token.corp",
        "docker run --user 1000:1000 -u www-data:www-data -p 8080:80 auth",
        "net.bridge.bridge-nf-pass-vlan-input-dev = 1",
        "auth:\n  enabled: true\n",
        "echo done | tee log",
        "npm_config_registry=https://registry.example",
        "task-scheduler-of-a-very-long-name-without-any-key",
        "container auth: connection refused",
        "failed to negotiate compression with auth 10.0.0.1:5000",
        "no such secret registry.example2:5000/v2",
        "container token docker_gwbridge br-0123456789ab",
        "docker network connect net-db-pw db-pw",
        "those of container db-pw end at the bridge",
        "ip route add 10.9.0.0/16 dev br-psk proto static",
        "owned by the base-passwd package",
        '[{"name": "registry", "value": "10.0.0.1"}]',
        "http://proxy%3A3128/%40scope",
        "ExecStart=/usr/bin/dockerd \\\n  -H fd:// \\\n  --dns 1.1.1.1",
    ],
)
def test_what_holds_no_credential_stays_as_it_is(text: str) -> None:
    assert mask_text(text) == mask_text(mask_text(text).text)
    assert mask_text(text).text == text
    assert mask_text(text).replaced == 0


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("githubToken", True),
        ("dbpasswd", True),
        ("auth", True),
        ("PATH", False),
        ("DOCKER_OPTS", False),
        ("authorization-plugins", False),
        ("tlskey", False),
        ("compass", False),
        ("PGPASS", True),
        ("LDAPBINDPW", True),
        ("ENCRYPTION_KEY", True),
        ("SSH_HOST_KEY", False),
        ("TLS_PUBLIC_KEY", False),
        ("password-stdin", False),
    ],
)
def test_a_name_tells_whether_its_value_is_secret(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_a_flags_value_is_the_next_argument() -> None:
    arguments = [
        "dockerd",
        "--api-token",
        SECRET,
        "--dns",
        "1.1.1.1",
        f"--http-proxy=u:{SECRET}@p:1",
        "--password",
        "--debug",
    ]
    masked = mask_arguments(arguments)
    assert masked == (
        "dockerd",
        "--api-token",
        MASK,
        "--dns",
        "1.1.1.1",
        f"--http-proxy={MASK}@p:1",
        "--password",
        "--debug",
    )


def test_a_proxy_variable_is_userinfo_up_to_the_last_at() -> None:
    assert mask_variable("HTTPS_PROXY", f"http://us er:{SECRET}\"'@x@proxy:1").text == "http://***@proxy:1"
    assert mask_variable("no_proxy", "a@b,localhost").text == "a@b,localhost"
    assert mask_variable("http_proxy", f"http://user%3A{SECRET}%40proxy:1").text == "http://***%40proxy:1"


@given(
    st.sampled_from(["http", "https", "socks5", "HTTP"]),
    secrets_without(""),
    st.sampled_from(["p", "proxy.example:3128", "[::1]:80"]),
)
def test_no_password_in_a_proxy_variable_survives(scheme: str, password: str, host: str) -> None:
    masked = mask_variable("HTTPS_PROXY", f"{scheme}://user:{password}@{host}").text
    assert password not in masked
    assert masked.endswith(host)


@given(
    secrets_without("\"'\\"),
    st.sampled_from(['Environment="{}"', "{}", 'x "{}" y', "# {}", '"http-proxy": "{}",']),
)
def test_no_password_in_a_url_survives(password: str, around: str) -> None:
    text = around.format(f"http://user:{password}@proxy.example:3128")
    assert password not in mask_text(text).text


@given(
    secrets_without("\"'\\[{"),
    st.sampled_from(["TOKEN={}", 'Environment="MY_TOKEN={}"', '"token": "{}"', "--token={}", "x token={} y"]),
)
def test_no_value_of_a_secret_name_survives(value: str, around: str) -> None:
    assert value not in mask_text(around.format(value)).text


@given(st.text(st.sampled_from("aB:=@/\\\"' \n#*_-.[]{}$%&http://token=password:user@proxy"), max_size=200))
def test_masking_twice_changes_nothing_more_and_keeps_lines(text: str) -> None:
    once = mask_text(text)
    assert once.text.count("\n") == text.count("\n")
    assert mask_text(once.text).text.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a:",
        "http://",
        "http://a:",
        '"',
        'token="',
        "\\",
        "token=\\\n",
        "@",
        "u:p@",
        "proxy=",
        " ",
        "token: ",
        "token=[",
        "--token ",
        "-password ",
        "curl -u ",
        "curl -u a:",
        "echo a | ",
        "echo ",
        "http%3A%2F%2F",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nA: B-C\n",
        "password: |\n",
        "password:\n ",
        "cookie: ",
        "$2y$",
        "sk_live_",
        "eyJaaaaaaaaa.",
        "http_proxy=http://",
        'token=\\\\\\"',
        '"--token", "',
        "name: PASSWORD value: ",
        "token%3D",
        "a%3A",
        "password is ",
        "a_token.",
        "token=\x1b[0m",
        "?key=",
    ],
)
def test_time_grows_with_the_text_alone(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    mask_text(text)
    assert time.process_time() - started < 5
