"""A figure of a bench is what it says: fair turns, medians, a verdict on the right side of the limit."""

from __future__ import annotations

from benchmarks import load, measure, plot, results


def test_every_server_begins_equally_often() -> None:
    first = [order[0] for _, order in measure.rotations(["a", "b", "c"], 6)]
    assert first == ["a", "b", "c", "a", "b", "c"]


def test_a_ratio_is_formed_within_a_round() -> None:
    # The machine was busy in the second round: both were slow, and the ratio is the same.
    assert measure.median_ratio([100, 10, 80], [50, 5, 40]) == 2


def test_a_promise_knows_its_side() -> None:
    assert measure.Promise("rate", 0.81, 0.8, at_least=True).holds
    assert not measure.Promise("rate", 0.79, 0.8, at_least=True).holds
    assert measure.Promise("wait", 5.0, 5.0).holds and not measure.Promise("wait", 5.1, 5.0).holds


def test_an_answer_is_read_whatever_its_form() -> None:
    plain = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"result":{}}  '
    assert load._parse(bytearray(plain[:-1])) is None
    answer = load._parse(bytearray(plain))
    assert answer is not None and answer.message() == {"result": {}}
    # A piece that ends like the end of the answer is not its end.
    events = b'event: message\r\ndata: {"result":{"n":0}}\r\n\r\n: ping 00:00:0\r\n\r\n'
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (events[:30], events[30:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert load._parse(bytearray(head + pieces)) is None
    answer = load._parse(bytearray(head + pieces + b"0\r\n\r\n"))
    assert answer is not None and answer.message() == {"result": {"n": 0}}


def test_a_figure_of_an_earlier_run_is_marked() -> None:
    row = {
        "what": "1 caller, throughput",
        "who": "peer",
        "figures": {"tasks/s": 10.0},
        "recorded": "2026-11-01",
    }
    content = {
        "name": "tasks", "title": "T", "about": "A.", "measured": "2026-11-24T10:00Z", "rows": [row],
        "machine": {"cores": "2", "processor": "x"}, "versions": {}, "promises": [], "remarks": [],
    }  # fmt: skip
    assert "peer (recorded 2026-11-01)" in "\n".join(results._section(content))
    assert "peer (recorded)" in plot.draw(content)
