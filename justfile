# Short names for what CI does; `just` comes with the dev extra (rust-just). Run `just` for the list.

python := ".venv/bin/python"

_default:
    @just --list

# Format in place
fmt:
    {{python}} -m ruff format .
    {{python}} -m ruff check --fix .

# Style and import direction
lint:
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    .venv/bin/lint-imports

# Types
type:
    {{python}} -m mypy

# Unit and contract tests
test *args:
    {{python}} -m pytest tests/unit tests/contract {{args}}

# Unmodified clients against real processes
compat *args:
    {{python}} -m pytest tests/s3compat {{args}}

# The unmodified aistore SDK against a real process
native *args:
    {{python}} -m pytest tests/native {{args}}

# Backends over real counterparts, and a weir in front of them
remote *args:
    {{python}} -m pytest tests/conformance tests/remote {{args}}

# Kill the real process tree and check what it promised (short run)
crash *args:
    {{python}} -m pytest tests/crash {{args}}

# The long crash runs: of buckets of our own, and of buckets with a provider behind
soak kills="100":
    {{python}} -m tests.crash.soak --kills {{kills}}
    {{python}} -m tests.crash.soak_remote --kills {{kills}}

# Everything that CI runs
check:
    ./dev test

# Resolve both lock files again (dev first, so that the runtime lock agrees with it)
lock:
    .venv/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "just lock" --quiet -o requirements-dev.lock
    .venv/bin/uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "just lock" --quiet -c requirements-dev.lock -o requirements.lock
