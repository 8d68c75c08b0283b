"""`raftly pd`: run one member of the placement driver."""

from __future__ import annotations

from pathlib import Path

import click

from raftly.cli.serving import begin_process, run_process

__all__ = ["pd"]


@click.command()
@click.option("--config", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="TOML; `raftly config explain pd` has all options.")  # fmt: skip
@click.option("--id", "id_", type=int, metavar="N", help="Option id.")
@click.option("--data-dir", metavar="DIR", help="Option data_dir.")
@click.option("--address", metavar="HOST:PORT", help="Option address.")
@click.option("--advertise-address", metavar="HOST:PORT", help="Option advertise_address.")
@click.option("--peer-address", metavar="HOST:PORT", help="Option peer_address.")
@click.option("--status-address", metavar="HOST:PORT", help="Option status_address.")
@click.option("--moved", is_flag=True,
              help="For one start: the data directory was copied or restored, and the other one is gone.")  # fmt: skip
@click.option("--log-level", metavar="LEVEL", help="Option log.level.")
@click.option("--json", "as_json", is_flag=True, help="Say that it is ready as one JSON object.")
@click.option("--with-parent", is_flag=True, help="End, like a crash, when the process that started this one does.")
def pd(
    path: Path | None,
    id_: int | None,
    data_dir: str | None,
    address: str | None,
    advertise_address: str | None,
    peer_address: str | None,
    status_address: str | None,
    log_level: str | None,
    *,
    moved: bool,
    as_json: bool,
    with_parent: bool,
) -> None:
    """Run one member of the placement driver until SIGTERM. Flags count more than the file.

    A line on the standard output says when it serves; the log goes to the standard error. SIGTERM hands leadership
    over first; a second one ends it at once. Exit code 0: ended in good order. 1: it failed, or could not start, and
    says why.
    """
    begin_process()
    from raftly.server.config import PdConfig, read_config
    from raftly.server.pd_wiring import start_pd

    flags: dict[str, object] = {
        "id": id_,
        "data_dir": data_dir,
        "address": address,
        "advertise_address": advertise_address,
        "peer_address": peer_address,
        "status_address": status_address,
        "moved": moved or None,
        "log.level": log_level,
    }
    config = read_config(PdConfig, path, {name: value for name, value in flags.items() if value is not None})
    run_process(lambda: start_pd(config), config.log, as_json=as_json, with_parent=with_parent)
