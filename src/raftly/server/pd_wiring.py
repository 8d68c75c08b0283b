"""A member of the placement driver from its configuration, as a process runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from raftly.client.channels import split_address
from raftly.errors import RaftlyError
from raftly.pd.config import ScheduleConfig
from raftly.server.config import PdConfig, ScheduleSection
from raftly.server.pd_main import PdOptions, PdServer
from raftly.server.process import Started, bound_address
from raftly.server.wiring import peer_tcp, server_tls, start_status
