"""Where the cluster is, and how keys are typed: what `raftly kv` and `raftly ctl` have in common."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar, final

import click
from click.core import ParameterSource

from raftly.cli.output import print_json
from raftly.client.text import typed_key
from raftly.errors import ConfigError, RaftlyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from raftly.rpc import ClientTls

__all__ = ["BYTES", "ClusterGroup", "Where", "connected", "run", "where_is", "where_options"]

PD: Final = "127.0.0.1:2379"


class _Client(Protocol):
    async def close(self) -> None: ...


Client = TypeVar("Client", bound=_Client)


class _Bytes(click.ParamType[bytes]):
    """See `typed_key`."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return typed_key(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


BYTES: Final = _Bytes()


# --- where -----------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Where:
    """What was said of the cluster, and how to answer."""

    endpoints: list[str]
    timeout_s: float
    as_json: bool
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def tls(self) -> ClientTls | None:
        """What a connection shows, and whom it trusts; None: plain text.

        Raises:
            ConfigError: the files do not load.
        """
        from raftly.rpc import ClientTls

        if self.authorities is None and self.certificate is None:
            return None
        tls = ClientTls(self.authorities, self.certificate, self.key)
        tls.context()
        return tls


def _note(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Remember it for the whole command line: what was typed last counts, and more than what was not typed."""
    given: dict[str, object] = ctx.ensure_object(dict)
    assert param.name is not None
    if param.name not in given or ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        given[param.name] = value


def where_options() -> list[click.Parameter]:
    """--pd, --timeout, --json, and the files of TLS."""
    return [
        click.Option(
            ["--pd"],
            default=PD,
            envvar="RAFTLY_PD",
            show_default=True,
            metavar="HOST:PORT,...",
            help="The placement driver; also in RAFTLY_PD.",
            expose_value=False,
            callback=_note,
        ),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(0, min_open=True),
            default=10.0,
            show_default=True,
            metavar="SECONDS",
            help="Of a request, retries included.",
            expose_value=False,
            callback=_note,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            help="One line of JSON; keys and values as they are typed.",
            expose_value=False,
            callback=_note,
        ),
        _file("--tls-ca", "Talk over TLS, to servers whose certificates this authority signed."),
        _file("--tls-cert", "Talk over TLS, and show this certificate."),
        _file("--tls-key", "The key of --tls-cert."),
    ]


def _file(name: str, text: str) -> click.Option:
    variable = f"RAFTLY_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.Option(
        [name],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar=variable,
        metavar="FILE",
        help=f"{text} PEM; also in {variable}.",
        expose_value=False,
        callback=_note,
    )


def where_is(ctx: click.Context) -> Where:
    """What the options said.

    Raises:
        click.UsageError: a certificate without its key, or the other way round.
    """
    given: dict[str, Any] = ctx.obj
    if (given["tls_cert"] is None) is not (given["tls_key"] is None):
        raise click.UsageError("--tls-cert and --tls-key are one file each, and belong together", ctx)
    endpoints = [one for one in given["pd"].split(",") if one]
    return Where(endpoints, given["timeout"], given["json"], given["tls_ca"], given["tls_cert"], given["tls_key"])


class ClusterGroup(click.Group):
    """A group whose commands take `where_options` too: they may be typed before or behind a command's name."""

    group_class = type

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """As a group does, with the options."""
        cmd.params += where_options()
        super().add_command(cmd, name)


# --- talking to it ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(where: Where, connect: Callable[[], Coroutine[Any, Any, Client]]) -> AsyncIterator[Client]:
    """A client that has found the cluster, as long as it is needed.

    Raises:
        NoDriver: there is none.
    """
    from raftly.client.errors import NotDone, PlacementRefused

    try:
        client = await connect()
    except NotDone as error:
        raise NoDriver(where, f"for {where.timeout_s:g} s, {error.cause}") from error
    except PlacementRefused as error:
        raise NoDriver(where, f"what answers there is something else ({error.problem})") from error
    try:
        yield client
    finally:
        await client.close()


@final
class NoDriver(RaftlyError):
    """No placement driver answers at the addresses that were given."""

    code = "cli_no_placement_driver"

    def __init__(self, where: Where, cause: str) -> None:
        super().__init__(where, cause)
        self.where: Final = where
        self.cause: Final = cause

    def __str__(self) -> str:
        places = ", ".join(self.where.endpoints)
        return (
            f"no placement driver was found at {places}: {self.cause}\n"
            "`--pd HOST:PORT` or RAFTLY_PD says where one is; `raftly playground` starts one, with stores, to try"
        )


def run(where: Where, main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Do it, and end with its exit code; with --json what fails is one object, too."""
    try:
        code = asyncio.run(main())
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except click.UsageError:
        raise
    except (RaftlyError, click.ClickException) as error:
        if not where.as_json:
            raise
        kind = error.code if isinstance(error, RaftlyError) else "refused"
        print_json({"error": kind, "message": str(error)})
        sys.exit(1)
    sys.exit(code)
