"""Write src/raftly/proto from the tables of kvproto's facts: `python tools/proto.py [TABLES [OUT]]`.

TABLES holds messages.csv, enums.csv and services.csv (../shared/kvproto); their README explains the columns. Each
protobuf package becomes one file, raftly/proto/PACKAGE.proto, of which only the descriptor ever exists.
"""

from __future__ import annotations

import builtins
import csv
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from google.protobuf import descriptor_pb2

from raftly.rpc.codegen import generate

ROOT: Final = Path(__file__).parents[1]
TABLES: Final = ROOT.parent / "shared" / "kvproto"
OUT: Final = ROOT / "src" / "raftly" / "proto"
_WIDTH: Final = 100  # characters of descriptor a line

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto
File = descriptor_pb2.FileDescriptorProto
Row = dict[str, str]


def main() -> None:
    """Write every module again."""
    tables, out = ([Path(argument) for argument in sys.argv[1:]] + [TABLES, OUT][len(sys.argv) - 1 :])[:2]
    sources = render(tables)
    for old in {*out.glob("*_pb2.py"), *out.glob("*_pb2.pyi"), *out.glob("*_rpc.py")}:
        old.unlink()
    for name, source in sources.items():
        (out / name).write_text(source, "utf-8")
    print(f"{len(sources)} files in {out}")


def render(tables: Path) -> dict[str, str]:
    """Source of every generated module by its file's name."""
    files = list(describe(tables))
    sources = {f"{file.package}_pb2.py": _messages(file) for file in files}
    sources |= {f"{file.package}_rpc.py": generate(file, files) for file in files if file.service}
    return sources | _stubs(files)


# --- descriptors -----------------------------------------------------------------------------------------------------


def describe(tables: Path) -> Iterator[File]:
    """One file a package, each after those it imports."""
    files: dict[str, File] = {}
    uses: dict[str, set[str]] = {}
    messages, enums, services = (_rows(tables / f"{name}.csv") for name in ("messages", "enums", "services"))
    for package in sorted({row["package"] for row in messages + enums}):
        files[package] = File(name=f"raftly/proto/{package}.proto", package=package, syntax="proto3")
        rows = [[row for row in table if row["package"] == package] for table in (messages, enums, services)]
        _add_messages(files[package], rows[0])
        _add_enums(files[package], rows[1])
        _add_services(files[package], rows[2])
        types = {row["enum_or_message_type"] for row in rows[0]} | {
            row[end] for row in rows[2] for end in ("request", "response")
        }
        uses[package] = {name.partition(".")[0] for name in types if name} - {package}
        files[package].dependency.extend(f"raftly/proto/{used}.proto" for used in sorted(uses[package]))
    while uses:
        package = min(name for name, used in uses.items() if not used & uses.keys())
        del uses[package]
        yield files[package]


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def _add_messages(file: File, rows: list[Row]) -> None:
    found: dict[str, Message] = {}
    rows.sort(key=lambda row: not hasattr(builtins, row["message"]))  # first KeyError: type checkers take it so, too
    for name, fields in groupby(rows, key=lambda row: row["message"]):
        outer, _, own = name.rpartition(".")
        found[name] = found[outer].nested_type.add(name=own) if outer else file.message_type.add(name=own)
        for row in fields:
            if row["field"]:
                _add_field(found[name], f".{file.package}.{name}", row)


def _add_field(message: Message, full_name: str, row: Row) -> None:
    repeated = row["label"] == "repeated"
    field = message.field.add(
        name=row["field"],
        number=int(row["number"]),
        label=Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL,
    )
    if entry := re.fullmatch(r"map<(\w+),(\w+)>", row["type"]):
        name = "".join(word.capitalize() for word in row["field"].split("_")) + "Entry"
        nested = message.nested_type.add(name=name, options=descriptor_pb2.MessageOptions(map_entry=True))
        for number, (part, kind) in enumerate(zip(("key", "value"), entry.groups(), strict=True), 1):
            label = Field.LABEL_OPTIONAL
            _set_type(nested.field.add(name=part, number=number, label=label), kind, row["enum_or_message_type"])
        field.type, field.type_name = Field.TYPE_MESSAGE, f"{full_name}.{name}"
    else:
        _set_type(field, row["type"], row["enum_or_message_type"])
    if row["oneof"]:
        names = [oneof.name for oneof in message.oneof_decl]
        if row["oneof"] not in names:
            message.oneof_decl.add(name=row["oneof"])
            names.append(row["oneof"])
        field.oneof_index = names.index(row["oneof"])


def _set_type(field: Field, kind: str, type_name: str) -> None:
    field.type = Field.Type.Value(f"TYPE_{kind.upper()}")
    if kind in {"message", "enum"}:
        field.type_name = f".{type_name}"


def _add_enums(file: File, rows: list[Row]) -> None:
    for name, values in groupby(rows, key=lambda row: row["enum"]):
        outer, _, own = name.rpartition(".")
        home = next(message for message in file.message_type if message.name == outer) if outer else file
        enum = home.enum_type.add(name=own)
        for row in values:
            enum.value.add(name=row["value"], number=int(row["number"]))


def _add_services(file: File, rows: list[Row]) -> None:
    for name, methods in groupby(rows, key=lambda row: row["service"]):
        service = file.service.add(name=name)
        for row in methods:
            service.method.add(
                name=row["method"],
                input_type=f".{row['request']}",
                output_type=f".{row['response']}",
                client_streaming=row["client_streaming"] == "true",
                server_streaming=row["server_streaming"] == "true",
            )


# --- sources ---------------------------------------------------------------------------------------------------------


def _messages(file: File) -> str:
    serialized = file.SerializeToString(deterministic=True)
    imports = [re.sub(r"raftly/proto/(\w+).proto", r"\1_pb2", name) for name in file.dependency]
    return "\n".join(
        [
            f'"""Messages of {file.package}. Written by tools/proto.py; do not edit."""',
            "",
            *(f"from raftly.proto import {module} as _{module}" for module in imports),
            "from raftly.proto.pool import define as _define",
            "",
            "_define(",
            "    globals(),",
            *(f"    {serialized[at : at + _WIDTH]!r}" for at in range(0, len(serialized), _WIDTH)),
            ")",
            "",
        ]
    )


def _stubs(files: list[File]) -> dict[str, str]:
    """What protoc says about the types, for type checkers."""
    from grpc_tools import protoc  # noqa: PLC0415  # needed only here, and slow to load

    with TemporaryDirectory() as directory:
        descriptors = Path(directory, "files.bin")
        descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString())
        arguments = ["protoc", f"--descriptor_set_in={descriptors}", f"--pyi_out={directory}"]
        if protoc.main([*arguments, *(file.name for file in files)]) != 0:
            raise SystemExit("protoc failed")
        stubs = sorted(Path(directory).rglob("*_pb2.pyi"))
        return {path.name: _mended(path.read_text("utf-8")) for path in stubs}


def _mended(stub: str) -> str:
    """Without the enum value that is called None, which no annotation can name, and lax about bare `Mapping`."""
    return '# mypy: disable-error-code="type-arg"\n' + re.sub(r"^ *None: .*\n", "", stub, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
