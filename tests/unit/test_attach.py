"""The relay's own logic: detach keys, and packets from a monitor."""

import os
import socket
import threading

import pytest

from podlike.runtime.attach import Relay, write_all
from podlike.spec.attach import Attach, parse_detach_keys


def relay(keys: str = "ctrl-p,ctrl-q") -> Relay:
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Relay(ours, Attach(tty=True, detach_keys=keys), bundle="/nonexistent", on_signal=None)


@pytest.mark.parametrize(("text", "expected"), [
    ("ctrl-p,ctrl-q", b"\x10\x11"), ("ctrl-@", b"\0"), ("a,b", b"ab"), ("", b""), ("ctrl-[", b"\x1b"), ("ctrl-A", b"\x01"),
])
def test_detach_keys(text: str, expected: bytes) -> None:
    assert parse_detach_keys(text) == expected


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "ctrl-1", "é", "a,,b", "ctrl-p,xx"])
def test_bad_detach_keys(text: str) -> None:
    with pytest.raises(ValueError, match="invalid detach keys"):
        parse_detach_keys(text)


def test_keys_in_one_read_detach_and_keep_what_came_before() -> None:
    assert relay()._filter_keys(b"ls\n\x10\x11rest") == (b"ls\n", True)


def test_keys_split_over_reads_detach() -> None:
    r = relay()
    assert r._filter_keys(b"x\x10") == (b"x", False)
    assert r._filter_keys(b"\x11") == (b"", True)


def test_a_beginning_that_goes_on_differently_is_not_lost() -> None:
    r = relay()
    assert r._filter_keys(b"\x10") == (b"", False)
    assert r._filter_keys(b"n") == (b"\x10n", False)


def test_repeated_first_key_still_detaches() -> None:
    assert relay()._filter_keys(b"\x10\x10\x11") == (b"\x10", True)


def test_output_is_split_by_stream(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for packet in (b"\x02out\n", b"\x03err\n", b"\x02more\n"):
        theirs.send(packet)
    theirs.close()
    assert Relay(ours, Attach(), bundle="/nonexistent", on_signal=None).run() is True
    assert capfd.readouterr() == ("out\nmore\n", "err\n")


def test_streams_that_are_not_wanted_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.send(b"\x02out\n")
    theirs.send(b"\x03err\n")
    theirs.close()
    Relay(ours, Attach(stdout=False), bundle="/nonexistent", on_signal=None).run()
    assert capfd.readouterr() == ("", "err\n")


def test_write_all_waits_for_a_slow_reader() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    data = os.urandom(1 << 20)
    got = bytearray()

    def reader() -> None:
        while len(got) < len(data):
            got.extend(os.read(read_fd, 1 << 16))

    thread = threading.Thread(target=reader)
    thread.start()
    write_all(write_fd, data)
    thread.join()
    os.close(read_fd)
    os.close(write_fd)
    assert bytes(got) == data


def test_write_all_survives_a_reader_that_left() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    write_all(write_fd, b"x")
    os.close(write_fd)
