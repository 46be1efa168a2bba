"""Owns the settings of a weir process: their names, types, defaults, limits and meaning, as one frozen tree.

Where values come from (file, environment, flags) is gateway.config_sources; nothing else reads `os.environ`.
Every field declares its own help; docs/operations.md is checked against this file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config_auth import AuthConfig
from gateway.config_downloads import DownloadsConfig
from gateway.config_rule import Rule
from gateway.config_rule import setting as _setting
from gateway.config_space import SpaceConfig

DEFAULT_PORT = 9000
DEFAULT_DATA = "weir-data"


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class RootConfig:
    """The root key pair. Empty: the one made on first start."""

    access_key: str = _setting("", "access key of root; set together with the secret")
    secret_key: str = _setting("", "secret key of root", is_secret=True)


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """How objects are kept."""

    small_object_bytes: int = _setting(
        64 * 1024,
        "objects up to this size live in the database beside the index, larger ones in files",
        minimum=0,
        maximum=1024**2,
    )
    hot_object_bytes: int = _setting(
        8 * 1024**2,
        "memory of each worker for small objects that were read since the last write; 0 for none",
        minimum=0,
        maximum=1024**3,
    )
    verify_rate: float = _setting(
        0.0,
        "share of whole-object GETs whose stored checksum is verified (0 to 1)",
        minimum=0,
        maximum=1,
    )
    classes: tuple[str, ...] = _setting(
        ("STANDARD", "REDUCED_REDUNDANCY"),
        "storage classes from the warmest to the coldest; CLASS=DIRECTORY[:DIRECTORY...] keeps one in these of `data`",
    )
    free_space_reserve_bytes: int = _setting(
        256 * 1024**2,
        "writes are refused with 507 when a disk has less than this left",
        minimum=0,
    )
    quota_bytes: int = _setting(
        0, "most bytes that one mountpath may hold; 0 for as many as the disk has", minimum=0
    )
    threads: int = _setting(
        4, "threads for disk work, for each mountpath and worker", minimum=1, maximum=64
    )


@dataclass(frozen=True, slots=True)
class EncryptionConfig:
    """Server-side encryption, and the master key of the key service."""

    master_key: str = _setting(
        "",
        "the master key itself, 32 bytes in base64; better from the environment than from a file",
        is_secret=True,
    )
    master_key_file: Path | None = _setting(
        None,
        "file of the master key, base64",
        default_text="`control/master.key`, made when it is first needed",
    )
    new_buckets: str = _setting(
        "none",
        "default encryption that a new bucket begins with; AES256 is what AWS gives every bucket",
        choices=("none", "AES256"),
    )
    require_tls_for_customer_keys: bool = _setting(
        False, "refuse customers' keys (SSE-C) that come over plain HTTP, as AWS does"
    )


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What one client may ask of a worker."""

    max_connections: int = _setting(
        4096, "connections a worker holds at once; one more is answered 503 SlowDown", minimum=1
    )
    max_header_bytes: int = _setting(
        64 * 1024,
        "size of a request's line and headers together",
        minimum=8 * 1024,
        maximum=1024**2,
    )
    max_document_bytes: int = _setting(
        2 * 1024**2, "size of an XML request document", minimum=64 * 1024, maximum=64 * 1024**2
    )
    keep_alive_timeout_s: float = _setting(
        75.0, "an idle connection is closed after this time", minimum=1, maximum=3600
    )
    stall_timeout_s: float = _setting(
        120.0,
        "a request whose client neither sends nor takes a byte is given up after this time",
        minimum=1,
        maximum=3600,
    )
    max_clock_skew_s: int = _setting(
        900, "how far a signature's time may be from this clock", minimum=1, maximum=86400
    )


@dataclass(frozen=True, slots=True)
class NativeConfig:
    """What native clients may do beside what S3 clients may."""

    promote_from: tuple[Path, ...] = _setting(
        (),
        "directories of this machine from which files may be promoted to objects, by root and by tokens that permit it",
    )


@dataclass(frozen=True, slots=True)
class JobsConfig:
    """When the background jobs run."""

    space_cleanup_interval_s: float = _setting(
        3600.0, "time between runs of the space cleanup; one more runs at start", minimum=1
    )
    space_cleanup_age_s: float = _setting(
        60.0,
        "a blob that nothing names is kept for this time",
        minimum=0,
    )


@dataclass(frozen=True, slots=True)
class ShardsConfig:
    """What a shard (TAR, TGZ, TAR.LZ4, ZIP) may cost that is looked into; one that asks for more is a bad shard."""

    max_members: int = _setting(
        16_000_000, "entries that a scan of a shard goes through", minimum=1
    )
    max_unpacked_bytes: int = _setting(
        1024**4, "bytes that may come out of a compressed shard in one scan", minimum=1
    )
    max_ratio: int = _setting(
        250,
        "times its size that a compressed shard may unpack to, beyond the first 256 MiB",
        minimum=1,
    )


@dataclass(frozen=True, slots=True)
class GetBatchConfig:
    """Get-batch: many objects and members of shards as one archive."""

    max_pending: int = _setting(
        256, "batches that a worker assembles at once; one more is answered 429", minimum=1
    )
    max_soft_errors: int = _setting(
        1000,
        "items of a batch that may be missing or bad where it goes on without them; one more ends it",
        minimum=0,
    )
    read_ahead_bytes: int = _setting(
        32 * 1024**2,
        "memory of each worker for what batches have read before its turn to be sent",
        minimum=0,
    )
    send_timeout_s: float = _setting(
        30.0,
        "a batch whose client does not take the next 256 KiB in this time is given up",
        minimum=0.1,
        maximum=3600,
    )
    max_buffered_bytes: int = _setting(
        4 * 1024**3,
        "largest archive in the form that is not streamed, which waits on disk until it is complete",
        minimum=1024**2,
    )


@dataclass(frozen=True, slots=True)
class LifecycleConfig:
    """How the lifecycle rules of buckets are carried out."""

    interval_s: float = _setting(
        86400.0,
        "time between runs; they begin at whole multiples of it since 1970 UTC, so daily ones at midnight",
        minimum=0.1,
    )
    actions_per_s: float = _setting(
        1000.0, "most objects that a run removes or moves in a second", minimum=0.1
    )
    min_transition_bytes: int = _setting(
        128 * 1024,
        "smaller objects keep their storage class, unless the rule filters by size",
        minimum=0,
    )
    day_s: float = _setting(
        86400.0,
        "length of the day that rules count in; a shorter one is for tests, and is not rounded to midnight",
        minimum=0.001,
        maximum=86400,
    )


@dataclass(frozen=True, slots=True)
class DestinationConfig:
    """Where event notifications can be sent. Rules name it as arn:weir:sqs:REGION:NAME:KIND."""

    name: str = _setting("", "the name in its ARN: letters, digits, _ and -")
    kind: str = _setting("", "what it is", choices=("webhook", "redis"))
    url: str = _setting("", "http://, https://, redis:// or rediss://", is_secret=True)
    stream: str = _setting("", "of redis: the stream that messages are added to")
    authorization: str = _setting(
        "", "of a webhook: the value of its Authorization header", is_secret=True
    )


@dataclass(frozen=True, slots=True)
class EventsConfig:
    """The delivery of event notifications."""

    destinations: tuple[DestinationConfig, ...] = _setting(
        (),
        "where notifications may be sent, a table each (`[[events.destinations]]`); in the environment, JSON",
        is_secret=True,
    )
    timeout_s: float = _setting(
        10.0, "a destination that has not answered after this time has failed", minimum=0.1
    )
    poll_interval_s: float = _setting(
        0.25, "time between looks for new events", minimum=0.01, maximum=60
    )
    max_retry_interval_s: float = _setting(
        60.0, "longest wait before a destination that failed is tried again", minimum=0.1
    )


@dataclass(frozen=True, slots=True)
class AccessLoggingConfig:
    """The server access logs that buckets ask for (not this server's own log)."""

    interval_s: float = _setting(
        300.0,
        "records are put into their target bucket after this time",
        minimum=0.1,
        maximum=86400,
    )
    flush_interval_s: float = _setting(
        1.0,
        "records are on disk after this time; a crash loses later ones",
        minimum=0.01,
        maximum=60,
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, and how. The log goes to standard error."""

    level: str = _setting(
        "info", "least level that is logged", choices=("debug", "info", "warning", "error")
    )
    format: str = _setting("text", "one line of text or one JSON object", choices=("text", "json"))
    access: bool = _setting(True, "one line for every request")


@dataclass(frozen=True, slots=True)
class DebugConfig:
    """For tests; leave alone in production."""

    crash_at: str = _setting(
        "",
        "name of a commit step at which the process kills itself; NAME@N lets it pass N times first",
    )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Attribute paths are the names in TOML; `data` holds absolute paths."""

    data: tuple[Path, ...] = _setting(
        (),
        "directories to store in, one for each disk (mountpaths)",
        default_text=f"`./{DEFAULT_DATA}`",
    )
    listen: str = _setting(
        f"127.0.0.1:{DEFAULT_PORT}", "HOST:PORT to serve on; port 0 takes a free one"
    )
    workers: int = field(
        default_factory=_usable_cores,
        metadata={
            "rule": Rule(
                "request-serving processes",
                minimum=1,
                maximum=512,
                default_text="one for each core",
            )
        },
    )
    keep_to_cpus: bool = _setting(
        True,
        "keep each worker's event loop and commits to a CPU of its own, where there are as many CPUs as workers",
    )
    domains: tuple[str, ...] = _setting(
        (), "host names under which BUCKET.DOMAIN addresses a bucket (virtual-host style)"
    )
    website_domains: tuple[str, ...] = _setting(
        (), "host names under which BUCKET.DOMAIN is the website of a bucket"
    )
    website_listen: str = _setting(
        "",
        "HOST:PORT that serves websites alone, also those of buckets called as the whole host name; empty for none",
    )
    region: str = _setting("us-east-1", "region that clients sign for and buckets report")
    tls_cert: Path | None = _setting(
        None, "certificate chain, PEM; serves HTTPS together with the key"
    )
    tls_key: Path | None = _setting(None, "private key, PEM")
    drain_timeout_s: float = _setting(
        30.0, "on SIGTERM, time for requests in flight to end", minimum=0, maximum=3600
    )
    root: RootConfig = RootConfig()
    auth: AuthConfig = AuthConfig()
    storage: StorageConfig = StorageConfig()
    encryption: EncryptionConfig = EncryptionConfig()
    limits: LimitsConfig = LimitsConfig()
    native: NativeConfig = NativeConfig()
    jobs: JobsConfig = JobsConfig()
    space: SpaceConfig = SpaceConfig()
    shards: ShardsConfig = ShardsConfig()
    get_batch: GetBatchConfig = GetBatchConfig()
    downloads: DownloadsConfig = DownloadsConfig()
    lifecycle: LifecycleConfig = LifecycleConfig()
    events: EventsConfig = EventsConfig()
    access_logging: AccessLoggingConfig = AccessLoggingConfig()
    log: LogConfig = LogConfig()
    debug: DebugConfig = DebugConfig()

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of `listen`; an empty host means every IPv4 interface."""
        return parse_address(self.listen)

    @property
    def website_address(self) -> tuple[str, int] | None:
        """Host and port of `website_listen`, if it is set."""
        return parse_address(self.website_listen) if self.website_listen else None


def parse_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT, [IPV6]:PORT, :PORT or HOST. Raises ValueError."""
    host, colon, port_text = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port_text = text, str(DEFAULT_PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("put an IPv6 address in brackets: [::1]:9000")
    if not port_text.isascii() or not port_text.isdecimal() or int(port_text) > 65535:
        raise ValueError(f"{port_text!r} is no port; a number from 0 to 65535 is wanted")
    return host or "0.0.0.0", int(port_text)
