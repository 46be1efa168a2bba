"""Runs each test once a subject, on the subject's own event loop."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.conformance.subject import Subject
from tests.conformance.subjects import SUBJECTS
from tests.counterparts.started import Counterparts


@pytest.fixture(scope="session")
def counterparts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    started = Counterparts(tmp_path_factory.mktemp("counterparts"))
    yield started
    started.stop()


@pytest.fixture(scope="session", params=sorted(SUBJECTS))
def subject(request: pytest.FixtureRequest, counterparts: Counterparts) -> Iterator[Subject]:
    made = SUBJECTS[request.param](counterparts)
    made.run(made.open())
    yield made
    made.end()


@pytest.fixture
def bucket(subject: Subject) -> str:
    """An empty bucket."""
    return subject.run(subject.new_bucket())


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    subject = pyfuncitem.funcargs["subject"]
    assert isinstance(subject, Subject)
    subject.run(pyfuncitem.obj(**arguments))
    return True
