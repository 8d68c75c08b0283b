"""Pages about a run: whatever was in it, they are one file that loads nothing and runs nothing but its own script."""

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raftly.testing.history import Operation
from raftly.testing.html import TraceEvent, counterexample_page, trace_page, write_counterexample, write_trace_page
from raftly.testing.linearizability import Violation, check

EVIL = "</script><script>alert('x')</script><img src=http://evil.example/x onerror=y>&\u2028"


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    for tag, attributes in reader.tags:
        assert tag not in {"img", "link", "iframe", "base", "object"}, tag
        assert not {"src", "href", "onerror", "onload"} & attributes.keys(), attributes
    return reader


def violation() -> Violation:
    operations = [
        Operation(1, "write", "k", EVIL, None, 0.0, 1.0),
        Operation(2, "write", "k", 2, None, 0.5, math.inf),
        Operation(3, "read", "k", None, EVIL + "!", 2.0, 3.0),
    ]
    return check(operations).violations[0]


def test_a_counterexample_is_told_in_full_and_harms_nobody(tmp_path: Path) -> None:
    found = violation()
    page = counterexample_page(found, f"Title {EVIL}")
    reader = read(page)
    assert [tag for tag, _ in reader.tags].count("script") == 0
    assert reader.text.count("client 3") >= 2
    wrong = [attributes for tag, attributes in reader.tags if tag == "rect" and attributes["class"] == "wrong"]
    assert len(wrong) == 1
    assert [attributes["class"] for tag, attributes in reader.tags if tag == "rect"].count("unknown") == 1
    assert str(found.operation) in reader.text
    assert "never" in reader.text
    write_counterexample(tmp_path / "page.html", found, f"Title {EVIL}")
    assert (tmp_path / "page.html").read_text("utf-8") == page


def events() -> list[TraceEvent]:
    return [
        TraceEvent(2.0, "message", "node1", {"to": "node2", "text": f"1->2 MsgApp {EVIL}", "until": 2.5}),
        TraceEvent(1.0, "state", "node1", {"role": "leader", "term": 3, "commit": 1, "applied": 1, "last": 2}),
        TraceEvent(0.0, "state", "node2", {"role": "down"}),
        TraceEvent(2.1, "message", "node2", {"to": "node1", "text": "2->1 MsgAppResp", "until": None}),
        TraceEvent(1.5, "fault", "", {"text": EVIL, "until": 3.0}),
        TraceEvent(2.2, "call", "client1", {"text": EVIL, "until": 2.4, "result": EVIL}),
        TraceEvent(2.3, "note", "node1", {"text": EVIL}),
    ]


def test_a_trace_page_holds_the_events_in_order_and_nothing_else_that_runs(tmp_path: Path) -> None:
    page = trace_page(events(), EVIL)
    reader = read(page)
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "events"}, {}]
    data = re.search(r'id="events">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert not set(data[1]) & set("<>&\u2028")
    rows = json.loads(data[1])
    assert rows == [[e.at, e.kind, e.node, e.data] for e in sorted(events(), key=lambda e: e.at)]
    assert "default-src 'none'" in page
    assert "innerHTML" not in page
    write_trace_page(tmp_path / "page.html", events(), EVIL)
    assert (tmp_path / "page.html").read_text("utf-8") == page


DOM = r"""
const page = require("fs").readFileSync(process.argv[2], "utf8");
const data = page.match(/id="events">([^]*?)<\/script>/)[1], script = page.match(/<script>\n([^]*?)<\/script>/)[1];
class Thing {
  constructor() { Object.assign(this, {children: [], attributes: {}, heard: {}, textContent: "", value: "0"}); }
  setAttribute(name, value) { this.attributes[name] = value; }
  append(...more) { this.children.push(...more); }
  replaceChildren() { this.children = []; }
  addEventListener(name, then) { this.heard[name] = then; }
  click() { this.heard.click({}); }
  text() { return [this.textContent, ...this.children.map((child) => child.text())].join(" "); }
}
const made = [], source = new Thing(), view = new Thing();
source.textContent = data;
const make = () => { const thing = new Thing(); made.push(thing); return thing; };
global.document = {getElementById: (id) => id === "events" ? source : view, createElement: make,
  createElementNS: make, addEventListener() {}};
global.requestAnimationFrame = () => {};
eval(script);
const slider = made.find((thing) => thing.attributes.type === "range");
for (const part of process.argv.slice(3)) {
  slider.value = part; slider.heard.input(); console.log(JSON.stringify(view.text()));
}
for (const button of made.filter((thing) => "click" in thing.heard && thing.textContent)) button.click();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript here")
def test_the_page_shows_what_was_true_at_each_moment(tmp_path: Path) -> None:
    write_trace_page(tmp_path / "page.html", events())
    (tmp_path / "dom.js").write_text(DOM, "utf-8")
    command = ["node", "dom.js", "page.html", "0", "72000", "100000"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    first, middle, last = [json.loads(line) for line in ran.stdout.split("\n") if line]
    assert "leader" not in first.replace("node1 down", "")
    assert "node1 leader" in middle
    assert "MsgApp" in middle
    assert "2->1 MsgAppResp  lost" in middle
    assert f"faults now: {EVIL}" in middle
    assert "faults now: none" in first
    assert "3.000000 s" in last
