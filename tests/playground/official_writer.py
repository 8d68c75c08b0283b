"""The official Python client, writing without a second try until a line comes; run as a script.

It says how many writes there were, and what became of those that failed.
"""

import json
import os
import sys
import threading
import time

from tikv_client import RawClient


def main() -> None:
    client = RawClient.connect([sys.argv[1]])
    over = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    count, failures = 0, []
    while not over.is_set():
        began = time.monotonic()
        try:
            client.put(b"roll-%02d" % (count % 100), b"%d" % count)
        except Exception as error:  # noqa: BLE001 - they are of no common class
            failures.append(f"{time.monotonic() - began:.2f} s: {error}")
        count += 1
        time.sleep(0.01)
    sys.stdout.write(json.dumps([count, failures]) + "\n")
    sys.stdout.flush()
    os._exit(0)


main()
