"""Answers that no server should give, for every plane's client."""

from __future__ import annotations

__all__ = ["HOSTILE", "http"]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A complete HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


_LOUD = b"\x1b]0;owned\x07\x1b[2J\x9b31m\xe2\x80\xae[bold]x[/bold]"

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no http": b"\x00\xff\xfe\r\n\r\n" * 50,
    "a line of escapes": _LOUD + b"\n",
    "empty body": http(b""),
    "no json": http(b"{" + _LOUD),
    "a web page": http(b"<!DOCTYPE html><title>Log in" + _LOUD + b"</title>"),
    "null": http(b"null"),
    "a number": http(b"1"),
    "a list": http(b"[[],{},null,1]"),
    "an empty object": http(b"{}"),
    "nested": http(b"[" * 100_000 + b"]" * 100_000),
    "nested objects": http(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "not a number": http(b'{"weights":[NaN,Infinity],"v1":NaN}'),
    "a huge number": http(b'{"v1":' + b"9" * 10_000 + b"}"),
    "a large float": http(b'{"v1":1e308,"v2":1e308,"v3":-1e308}'),
    "10 MB": http(b'{"entries":{"' + b"x" * 10_000_000 + b'":1}}'),
    "an error with escapes": http(_LOUD, "500 " + "Oh"),
    "a refusal with escapes": http(_LOUD, "403 Forbidden"),
    "a conflict with escapes": http(_LOUD, "409 Conflict"),
    "a redirect": http(b"", "302 Found", "Location: http://127.0.0.1:1/"),
    "unasked gzip": http(b"\x1f\x8b\x08\x00garbage", "200 OK", "Content-Encoding: gzip"),
    "not unicode": http(b'{"entries":{"\xff\xfe":"\xed\xa0\x80"}}'),
    "a thousand headers": http(b"{}", "200 OK", *(f"X-{n}: {n}" for n in range(1000))),
    "wrong types": http(
        b'{"entries":[1],"layers":{"a":1},"configs":{"x":[]},"stats":"no","etag":[]}'
    ),
    "wrong types deeper": http(
        b'{"entries":{"split.model.v1":[],"split.model.v2":{"final_value":{},"layer_values":3}},'
        b'"layers":[[],{}],"configs":[null,{"static_route_configs":[{"route_config":{'
        b'"virtual_hosts":[{"routes":[{"route":{"weighted_clusters":{"clusters":[{"name":[],'
        b'"weight":"x"},7],"runtime_key_prefix":"split.model"}}}]}]}}]}],'
        b'"stats":[{"name":[],"value":{}},3]}'
    ),
}
"""What it is -> what is sent before the connection ends."""
