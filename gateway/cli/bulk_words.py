"""Owns the words of the command line for bulk work on objects: prefetching, evicting, copying them, and downloads."""

from __future__ import annotations

import argparse
from pathlib import Path

KINDS = {
    "prefetch-listrange": "bring objects of remote --bucket here",
    "evict-listrange": "give up the copies of objects of remote --bucket that are here",
    "evict-remote-bck": "give up all copies of remote --bucket, and its registration unless --keep-bucket",
    "copy-listrange": "copy objects of --bucket into --to, by name or template",
}
OPTIONS = ("object", "template", "latest", "blob_threshold", "keep_bucket")
"""What these kinds alone take, or not all others."""


def add_options(begin: argparse.ArgumentParser) -> None:
    """The options of these kinds."""
    bulk = begin.add_argument_group("options of jobs on objects")
    bulk.add_argument(
        "--object", metavar="NAME", action="append", help="this object; may be repeated"
    )
    bulk.add_argument(
        "--template", metavar="T", default="", help="objects like shard-{000..099}.tar"
    )
    bulk.add_argument(
        "--latest", action="store_true", help="as the backend has them now; also of copy-bck"
    )
    bulk.add_argument(
        "--blob-threshold",
        metavar="SIZE",
        default="",
        help="prefetch objects of this size and more (8MiB) by many streams each",
    )
    bulk.add_argument(
        "--keep-bucket", action="store_true", help="evict the copies, and not the bucket"
    )


def add_download_options(parser: argparse.ArgumentParser) -> None:
    """Of weir download."""
    parser.add_argument(
        "link",
        metavar="LINK",
        nargs="+",
        help="https://..., gs://..., a range such as https://host/{0..9}.tar, hf://datasets/OWNER/NAME",
    )
    parser.add_argument("--to", metavar="BUCKET", required=True, help="the bucket to download into")
    parser.add_argument(
        "--prefix", metavar="P", default="", help="a directory to put objects under"
    )
    parser.add_argument(
        "--header-file",
        metavar="FILE",
        type=Path,
        help="headers to send, a line each (Authorization: Bearer ...); kept encrypted",
    )
    parser.add_argument(
        "--connections", metavar="N", type=int, default=0, help="links to read at once"
    )
    parser.add_argument(
        "--bytes-per-hour", metavar="SIZE", default="", help="no more than this (100GiB)"
    )
    parser.add_argument("--no-wait", action="store_true", help="print the job's id and leave it")
