"""The conftest's promises: no network, no home of anyone's."""

import os
import socket
import urllib.request
from pathlib import Path

import pytest


def test_the_network_is_out_of_reach_and_attempts_are_noticed(network_attempts):
    with pytest.raises(OSError, match="tests have no network"):
        urllib.request.urlopen("http://example.com/", timeout=5)
    with pytest.raises(OSError, match="tests have no network"):
        socket.create_connection(("127.0.0.1", 9), timeout=5)
    assert len(network_attempts) == 2
    network_attempts.clear()


def test_whoever_asks_for_servers_reaches_this_machine_and_nothing_else(servers, network_attempts):
    with servers.ZeroShotServer(None) as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    assert not network_attempts
    with pytest.raises(OSError, match="tests have no network"):
        socket.create_connection(("192.0.2.1", 80), timeout=5)
    network_attempts.clear()


def test_home_is_a_temporary_folder(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    assert base in Path.home().parents
    assert base in Path(os.environ["XDG_CACHE_HOME"]).parents
