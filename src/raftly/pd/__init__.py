"""The placement driver: who is in the cluster, where each region lies, what time it is.

1. A timestamp is above every one that was given out before, whoever gave it and whatever happened since.
2. An id is given out once.
3. A region is known only together with its leader, and never at an older epoch than before.
4. Rules are pure: the cluster, a seed and the time go in, proposals come out. What they change is a plan, a step at a
   time, that every report of the region is compared with; an answer that is lost is given again.
5. A region never has fewer good replicas by a plan than it had before, and nothing is moved to be moved back.

What must survive goes through the log: `placement` is a replicated class. What stores tell anew by themselves is in
the leader's memory only: where regions are, how stores fare, which plans are under way. A new leader begins with the
regions that the last one wrote down, and with what it hears.

Reading order: `tso`, `id_alloc` (numbers); `config`, `stores`, `region_tree`, `hot`, `isolation`, `cluster` (what rules
look at); `moves`, `operators` (what they propose, and its steps); `schedulers` (the rules); `coordinator` (which run
when, what is under way); `gc`, `placement` (what is replicated); `leader` (all of it at the member that leads), `admin`
(what people ask for), `local` (the same in one process), `member` (on a node).
"""
