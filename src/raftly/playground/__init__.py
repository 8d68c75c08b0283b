"""The playground: a placement driver and stores as real processes on this machine, a prompt to break them, a tour.

It starts and signals processes and is a client of them; it has no part in what they do.

    DIR/playground.json    which processes there are, and their ports
    DIR/pd-1.toml ...      what each was told;  DIR/pd-1, DIR/store-1 ... its data;  DIR/pd-1.log ... what it said

Reading order: `processes`, `cluster`, `ledger` (what was acknowledged), `commands`, `acts`, `tour`, `play`.
"""
