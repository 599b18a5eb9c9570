"""Makes the helpers beside this file importable from every folder of tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-spec", action="store_true", help="write what is printed in documents anew")
