"""Runs the suites' coroutine tests on the event loop of their world, in which the store was opened."""

from __future__ import annotations

import inspect

import pytest

from tests.contract.world import World


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    world = pyfuncitem.funcargs["world"]
    assert isinstance(world, World)
    world.run(pyfuncitem.obj(**arguments))
    return True
