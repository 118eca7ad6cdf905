"""Real processes that are stopped, killed, or run out of disk: one line, and nothing lost."""

import resource
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]


@pytest.fixture(scope="module")
def large(tmp_path_factory, build_large):
    """Enough pictures to be caught at it: 1,570, or 25 blocks."""
    return build_large(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def reference(large, tmp_path_factory):
    """What comes out when nothing happens."""
    out = tmp_path_factory.mktemp("reference") / "run"
    done = subprocess.run(
        [*COMMAND, *large.arguments(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (out / "finding.json").read_bytes()


def stop_amid(study, out, sign):
    """Start the audit and send a signal once a few blocks are sealed."""
    process = subprocess.Popen(
        # Whoever watches must not be the slower one.
        ["nice", "-n", "19", *COMMAND, *study.arguments(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    blocks = out / "private" / "blocks"
    deadline = time.monotonic() + 60
    while len(list(blocks.glob("[0-9]*.parquet"))) < 3:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    return process.returncode, said, len(list(blocks.glob("[0-9]*.parquet")))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_to_the_same_finding(large, reference, tmp_path, sign):
    out = tmp_path / "run"
    code, said, sealed = stop_amid(large, out, sign)
    assert sealed < 25
    if sign == signal.SIGINT:
        assert code == 130
        assert said.splitlines()[-1].startswith("Stopped. What was answered is kept")
    else:
        assert code == -signal.SIGKILL
    done = subprocess.run(
        [*COMMAND, *large.arguments(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    asked = next(line for line in done.stderr.splitlines() if line.startswith("Pictures"))
    assert int(asked.partition("(")[2].rstrip(")").replace(",", "")) <= 1570 - 64 * (sealed - 1)
    assert (out / "finding.json").read_bytes() == reference


def test_a_disk_without_room_is_said_in_one_line(large, tmp_path):
    out = tmp_path / "run"
    done = subprocess.run(
        [*COMMAND, *large.arguments(out)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert not list(out.rglob("*.part"))


def test_a_folder_that_cannot_be_written_is_said_in_one_line(large, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    done = subprocess.run(
        [*COMMAND, *large.arguments(blocker / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
