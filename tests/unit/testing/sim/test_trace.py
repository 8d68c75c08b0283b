from raftly.testing.sim import Trace


def test_a_digest_is_of_every_line() -> None:
    def digest(*details: str) -> str:
        trace = Trace()
        for detail in details:
            trace.add(0.5, "a", "kind", detail)
        return trace.digest()

    assert digest("x", "y") == digest("x", "y")
    assert len({digest("x", "y"), digest("y", "x"), digest("x"), digest("x", "y", "y"), digest()}) == 5
    many = [str(number) for number in range(2000)]
    assert digest(*many) != digest(*many[:-1], "other")


def test_lines_are_kept_and_passed_on() -> None:
    lines: list[str] = []
    trace = Trace(keep=2, sink=lines.append)
    for number in range(3):
        trace.add(number, "a", "kind")
    assert list(trace.kept) == lines[1:]
    assert trace.count == 3
    assert lines[2] == "2 a kind \n"
