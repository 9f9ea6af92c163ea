"""The docker library's client, kept from what a program that is no engine could do to it."""

from typing import Any

from docker import APIClient

from dockerdiag.readers.errors import ReadError

MAXIMUM_ANSWER = 64 * 1024 * 1024
"""Bytes of one answer; that of an engine with ten thousand containers has about 20 MB."""


class EngineClient(APIClient):
    """Follows no redirection, since that could lead out of this host, and reads no answer without an end."""

    def send(self, request: Any, **options: Any) -> Any:
        """Sends one request, and reads its whole answer.

        Raises:
            ReadError: the answer is a redirection, or larger than `MAXIMUM_ANSWER`.
        """
        response = super().send(request, **{**options, "allow_redirects": False, "stream": True})
        try:
            if response.is_redirect:
                raise ReadError("it answers with a redirection, which no engine does")
            content = bytearray()
            for chunk in response.iter_content(1 << 16):
                content += chunk
                if len(content) > MAXIMUM_ANSWER:
                    raise ReadError(f"its answer is larger than {MAXIMUM_ANSWER // 1024**2} MiB")
        finally:
            response.close()
        response._content = bytes(content)  # noqa: SLF001 - as requests itself keeps what was read
        return response
