"""Coverage-guided fuzzing of the decoders of records, messages and frames: `python -m tests.fuzz.codec --seconds 300`.

Needs atheris (the extra `fuzz`). Ends with status 0 when nothing was found. A finding is an exception other than
DecodeError, a value that does not survive being encoded and decoded again, an input that takes longer than
`--timeout` seconds, or memory above `--megabytes`; the input is left as `crash-*`, `timeout-*` or `oom-*` in the folder
of `--corpus`, and is run again by naming it: `python -m tests.fuzz.codec PATH`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["raftly"]):
    from raftly.base.membership import ConfChange, ConfState, decode_conf_change, decode_conf_change_v2
    from raftly.base.record import decode_record, decode_records, record_of
    from raftly.base.types import Entry, EntryType, HardState, Snapshot, SnapshotMeta
    from raftly.core.fields import Fields, from_fields
    from raftly.core.messages import LOCAL_MESSAGES, MESSAGE_CLASSES
    from raftly.errors import DecodeError
    from raftly.transport import eraftpb
    from raftly.transport.codec import decode_messages, encode_messages
    from raftly.transport.eraftpb import ERAFTPB
    from raftly.transport.frame import decode_frame, encode_frame
    from raftly.transport.raftpb import RAFTPB


def messages(data: bytes) -> None:
    """A batch, and then the same batch in a sound frame."""
    found = decode_messages(data, 0, len(data))
    again = encode_messages(found)
    assert decode_messages(again, 0, len(again)) == found
    frame = encode_frame(1, again)
    assert decode_frame(frame, 0, len(frame)) == (1, len(frame) - len(again), len(frame))


def frame(data: bytes) -> None:
    """Whatever arrives on the port."""
    found = decode_frame(data, 0, len(data))
    if found is not None:
        decode_messages(data, found[1], found[2])


def records(data: bytes) -> None:
    """Any number of records; the first byte says how many."""
    found = decode_records(data, 1, len(data), data[0]) if data else []
    assert b"".join(entry.record for entry in found) == data[1:]
    if data:
        entry, stop = decode_record(data, 1, len(data))
        assert entry.record == data[1:stop]
        entry.record = b""
        made = record_of(entry)
        assert decode_record(made, 0, len(made))[0] == entry


def both_ways(decode: Callable[[bytes], object], encode: Callable[[Any], bytes]) -> Callable[[bytes], None]:
    """Decode, and see that what was decoded can be said and read again."""

    def target(data: bytes) -> None:
        value = decode(data)
        assert decode(encode(value)) == value

    return target


FORMS = (RAFTPB, ERAFTPB)
TARGETS = (
    *(messages, frame, records),
    *(both_ways(form.decode_message, form.encode_message) for form in FORMS),
    *(both_ways(form.decode_entry, form.encode_entry) for form in FORMS),
    *(both_ways(form.decode_snapshot, form.encode_snapshot) for form in FORMS),
    *(both_ways(form.decode_conf_state, form.encode_conf_state) for form in FORMS),
    *(both_ways(form.decode_hard_state, form.encode_hard_state) for form in FORMS),
    *(both_ways(decode, type(decode(b"")).encode) for decode in (decode_conf_change, decode_conf_change_v2)),
    both_ways(eraftpb.decode_conf_change, eraftpb.encode_conf_change),
    both_ways(eraftpb.decode_conf_change_v2, eraftpb.encode_conf_change),
)


def one_input(data: bytes) -> None:
    """The first byte chooses the decoder."""
    if not data:
        return
    try:
        TARGETS[data[0] % len(TARGETS)](data[1:])
    except DecodeError as error:
        if not str(error) or error.offset > len(data):
            raise AssertionError("the error does not say where") from error


def seeds() -> list[bytes]:
    """Sound inputs, each for every target, so that fuzzing starts behind the first checks."""
    change = ConfChange(node_id=3, context=b"c")
    entries = [
        Entry(5, 6, EntryType.NORMAL, b"payload", b"context"),
        Entry(5, 7, EntryType.CONF_CHANGE, change.encode()),
        Entry(5, 8),
    ]
    snapshot = Snapshot(SnapshotMeta(9, 5, ConfState((1, 2), (4,), (1,), (3,), True)), b"state")
    found = [bytes([count]) + b"".join(map(record_of, entries[:count])) for count in (1, 3)]
    found += [change.encode(), change.as_v2().encode()]
    for form in FORMS:
        found += [form.encode_snapshot(snapshot), form.encode_conf_state(snapshot.meta.conf_state)]
        found += [form.encode_hard_state(HardState(5, 2, 6)), *map(form.encode_entry, entries)]
    for cls in MESSAGE_CLASSES:
        message = from_fields(Fields(cls.type, 1, 2, 5, 4, 3, entries, 2, 1, 7, snapshot, True, 9, b"ctx", [], 10, -11))
        if cls not in LOCAL_MESSAGES:
            batch = encode_messages([message, message])
            found += [batch, encode_frame(1, batch)]
        found += [form.encode_message(message) for form in FORMS if cls.type <= form.type_max]
    return [bytes([target]) + seed for target in range(len(TARGETS)) for seed in found]


def main() -> None:
    """Read the options, write the seeds, hand over to libFuzzer, which ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.codec", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("inputs", nargs="*", type=Path, help="run these inputs once, instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=60, help="how long to go on (60)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's random numbers (1)")
    parser.add_argument("--timeout", type=int, default=5, help="seconds that one input may take (5)")
    parser.add_argument("--megabytes", type=int, default=1024, help="memory that the process may take (1024)")
    parser.add_argument("--corpus", type=Path, help="folder to keep inputs in (a new temporary one)")
    options = parser.parse_args()
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="raftly-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:04}").write_bytes(seed)
    arguments = [
        *(sys.argv[0], f"-max_total_time={options.seconds}", f"-seed={options.seed}", f"-timeout={options.timeout}"),
        *(f"-rss_limit_mb={options.megabytes}", f"-artifact_prefix={corpus}/", "-max_len=4096"),
        *map(str, options.inputs or [corpus]),
    ]
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
