"""Owns counters of a node in the text form of Prometheus. They tell names of buckets, so who asks must be permitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.backends import Count
from core.claims import Permission
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.routes import NoSuchRoute

_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_HELP = {
    "requests": "Requests to backends, each try by itself.",
    "errors": "Those of them, and of their streams, that failed, by the class of the error.",
    "seconds": "Time that answers of backends took to begin, or writes to end.",
    "read_bytes": "Bytes that came from backends.",
    "written_bytes": "Bytes that went to backends.",
}
_LABELS = ("provider", "account", "bucket", "verb", "error")


async def metrics(call: NativeCall) -> NativeResponse:
    """What all processes of the node have counted."""
    if bytes(call.request.names[0]) != b"metrics":
        raise NoSuchRoute(path=call.request.s3.raw_path.decode("latin-1"))
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)
    counts = call.services.backend_counts
    found = {} if counts is None else await counts()
    text = "".join(f"{line}\n" for line in _lines(found))
    return NativeResponse(200, [_TYPE], text.encode())


def _lines(counts: Mapping[Count, float]) -> Iterator[str]:
    for metric, meaning in _HELP.items():
        name = f"weir_backend_{metric}_total"
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} counter"
        for (each, values), amount in sorted(counts.items()):
            if each == metric:
                labels = zip(_LABELS, values, strict=False)
                said = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
                yield f"{name}{{{said}}} {amount:.12g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


ROWS = (Row("GET", "daemon", 1, metrics),)
