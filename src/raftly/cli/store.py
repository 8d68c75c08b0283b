"""`raftly store`: run one store."""

from __future__ import annotations

from pathlib import Path

import click

from raftly.cli.serving import begin_process, run_process

__all__ = ["store"]


@click.command()
@click.option("--config", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="TOML; `raftly config explain store` has all options.")  # fmt: skip
@click.option("--data-dir", metavar="DIR", help="Option data_dir.")
@click.option("--pd", metavar="HOST:PORT,...", help="Option pd.")
@click.option("--address", metavar="HOST:PORT", help="Option address.")
@click.option("--advertise-address", metavar="HOST:PORT", help="Option advertise_address.")
@click.option("--peer-address", metavar="HOST:PORT", help="Option peer_address.")
@click.option("--status-address", metavar="HOST:PORT", help="Option status_address.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Option labels; any number of times.")
@click.option("--log-level", metavar="LEVEL", help="Option log.level.")
@click.option("--standalone", is_flag=True, help="One engine, no Raft and no placement driver: option standalone.")
@click.option("--json", "as_json", is_flag=True, help="Say that it is ready as one JSON object.")
@click.option("--with-parent", is_flag=True, help="End, like a crash, when the process that started this one does.")
def store(
    path: Path | None,
    data_dir: str | None,
    pd: str | None,
    address: str | None,
    advertise_address: str | None,
    peer_address: str | None,
    status_address: str | None,
    labels: tuple[str, ...],
    log_level: str | None,
    *,
    standalone: bool,
    as_json: bool,
    with_parent: bool,
) -> None:
    """Run one store until SIGTERM. Flags count more than the file.

    A line on the standard output says when it serves; the log goes to the standard error. SIGTERM hands leaderships
    over and finishes what was begun; a second one ends it at once. Exit code 0: ended in good order. 1: it failed, or
    could not start, and says why.
    """
    begin_process()
    flags: dict[str, object] = {
        "data_dir": data_dir,
        "pd": pd.split(",") if pd else None,
        "address": address,
        "advertise_address": advertise_address,
        "peer_address": peer_address,
        "status_address": status_address,
        "labels": dict(_label(label) for label in labels) or None,
        "log.level": log_level,
        "standalone": standalone or None,
    }
    from raftly.server.config import StoreConfig, read_config
    from raftly.server.wiring import start_standalone, start_store

    config = read_config(StoreConfig, path, {name: value for name, value in flags.items() if value is not None})
    start = start_standalone if config.standalone else start_store
    run_process(lambda: start(config), config.log, as_json=as_json, with_parent=with_parent)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"must be NAME=VALUE, such as zone=z1, not {text!r}", param_hint="--label")
    return name, value
