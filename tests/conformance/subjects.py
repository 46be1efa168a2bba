"""Owns the list of what the conformance suite runs over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.conformance import s3_subject
from tests.conformance.ais_subject import AisSubject
from tests.conformance.azure_subject import AzureSubject
from tests.conformance.http_subject import HttpSubject, PlainHttpSubject
from tests.conformance.memory_subject import MemorySubject
from tests.conformance.subject import Subject
from tests.conformance.wrapped_subject import WrappedSubject
from tests.counterparts.started import Counterparts

SUBJECTS: Mapping[str, Callable[[Counterparts], Subject]] = {
    "ais": AisSubject,
    "azure": AzureSubject,
    "http": HttpSubject,
    "http plain": PlainHttpSubject,
    "memory": lambda _: MemorySubject(),
    "gcp": s3_subject.gcp,
    "oci": s3_subject.oci,
    "s3-moto": s3_subject.moto,
    "s3-rclone": s3_subject.rclone,
    "s3-weir": s3_subject.weir,
    "s3-weir-far": s3_subject.shaped,
    "wrapped": lambda _: WrappedSubject(),
}
"""By the name that the tests show. Counterparts are started when a subject first asks for them."""
