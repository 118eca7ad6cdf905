"""Fixtures of the unit tests."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def findings():
    """Builders of hand-made findings: make_finding, make_study, person, estimate."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "findings.py")))
