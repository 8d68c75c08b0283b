---- MODULE FiniteSetsExt ----
\* The few operators that a trace specification needs, for a TLC whose jar does not bring the community modules.
EXTENDS Naturals

Max(set) == CHOOSE most \in set : \A other \in set : most >= other
Min(set) == CHOOSE least \in set : \A other \in set : least <= other
====
