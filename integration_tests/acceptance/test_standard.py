"""Airbyte's standard tests of sources, run against the executable and, where --connector-image is given, the image.

CONNECTOR_ROOT names the folder laid out as a connector, EXECUTABLE its executable. .ci/acceptance sets both.
"""

import os
import pathlib
import subprocess

import pytest
from airbyte_cdk.test import entrypoint_wrapper
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase

ROOT = pathlib.Path(os.environ["CONNECTOR_ROOT"])


class Executable:
    """A placeholder for the Python source that the suite expects; it is never called."""

    def spec(self, logger):
        raise AssertionError("the suite called a Python source")


def run_executable(source, args, expecting_exception=None, *, expected_outcome=None):
    """Replaces the function with which the suite starts a Python source."""
    done = subprocess.run([os.environ["EXECUTABLE"], *args], capture_output=True, text=True, timeout=600)
    assert done.stderr == "", done.stderr
    output = entrypoint_wrapper.EntrypointOutput(messages=done.stdout.splitlines())
    # The suite does not look at exit codes; the platform does.
    assert (done.returncode != 0) == bool(output.errors), f"exit code {done.returncode}, {len(output.errors)} errors"
    return output


@pytest.fixture(autouse=True)
def executable(monkeypatch):
    monkeypatch.setattr(entrypoint_wrapper, "_run_command", run_executable)


class TestSource(SourceTestSuiteBase):
    @classmethod
    def get_connector_root_dir(cls):
        return ROOT

    @classmethod
    def create_connector(cls, scenario):
        return Executable()
