---- MODULE IOUtils ----
\* The few operators that a trace specification needs, for a TLC whose jar does not bring the community modules.
\* There is no environment: the trace is in module Json, all of it is replayed.
EXTENDS Naturals

IOEnv == [none |-> ""]
atoi(text) == 0
====
