---- MODULE SequencesExt ----
\* The few operators that a trace specification needs, for a TLC whose jar does not bring the community modules.
EXTENDS Naturals, Sequences

ToSet(seq) == {seq[at] : at \in DOMAIN seq}

IsPrefix(short, long) == Len(short) <= Len(long) /\ \A at \in DOMAIN short : short[at] = long[at]

\* Index of the first item that passes; 0 for none.
SelectInSeq(seq, Passes(_)) ==
    LET RECURSIVE From(_)
        From(at) == IF at > Len(seq) THEN 0 ELSE IF Passes(seq[at]) THEN at ELSE From(at + 1)
    IN From(1)

\* Index of the last item that passes between two indices, both included; 0 for none.
SelectLastInSubSeq(seq, low, high, Passes(_)) ==
    LET RECURSIVE Below(_)
        Below(at) == IF at < low THEN 0 ELSE IF Passes(seq[at]) THEN at ELSE Below(at - 1)
    IN Below(high)

\* Combine(item, result so far), from the first item on.
FoldSeq(Combine(_, _), base, seq) ==
    LET upTo[at \in 0..Len(seq)] == IF at = 0 THEN base ELSE Combine(seq[at], upTo[at - 1])
    IN upTo[Len(seq)]
====
