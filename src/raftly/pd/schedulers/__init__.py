"""Rules, one a file: each looks at the cluster and proposes what to do, or nothing. None of them changes anything.

A checker looks at one region, whenever its leader reports: `replica_checker`, `merge_checker`. A scheduler looks at all
stores, now and then: `balance_region`, `balance_leader`, `hot_region`. `scatter` is asked for by clients.
"""
