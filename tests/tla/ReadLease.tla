------------------------------- MODULE ReadLease -------------------------------
(* Reads by read index and by lease, with the promise of the voters that leases are built on, in time without end.

   What a node has been told to wait for is kept as what is left of it by its own clock, so no state holds a date. Of
   messages only those are kept whose lateness can do harm; docs/design/0008-read-lease-model.md says why the others need
   not be, and what is left out.

   The rules under test have names. A rule that is in Off is not kept, and then an invariant must break.             *)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Nodes,      \* the voters
    Nobody,     \* none of them
    TermMax,    \* bounds of the search
    LogMax,
    Skew,       \* two clocks are never further apart; so within any interval they part by 2 * Skew at most
    Lease,      \* how long a lease lasts, in ticks
    LeaseTick,  \* how many ticks a promise lasts
    Off         \* names of rules that are not kept

VARIABLES
    ahead,      \* by how much a clock leads the slowest one
    term, log,  \* these and the next survive a crash; an entry is the term it is from
    vote,       \* for whom a node voted in its term, or who it knows leads it
    role,       \* "ordered" is a candidate that its leader told to take over
    promise,    \* what is left of the time in which a node helps to elect no other
    order,      \* the newest term in which a node was told to take over; the order may arrive at any time
    \* of a leader, and worth nothing at others:
    commit,     \* all up to here is committed; 0 until an entry of the own term is
    asked,      \* who answered the newest question, the leader among them; {} before the first
    behind,     \* the read index of that question lies before what was acknowledged when it was put
    worth,      \* the lease that answers to it give: what is left of it by now
    handed,     \* somebody was told to take over
    \* of the whole, known to nobody:
    acknowledged,   \* clients know that all up to here is committed
    newest          \* the newest term that had a leader

kept == <<term, log, vote>>
leading == <<commit, asked, behind, worth, handed>>
ghosts == <<acknowledged, newest>>
vars == <<ahead, kept, role, promise, order, leading, ghosts>>

-------------------------------------------------------------------------------
Kept(rule) == rule \notin Off
IsQuorum(some) == 2 * Cardinality(some) > Cardinality(Nodes)
Larger(a, b) == IF a > b THEN a ELSE b
Set(f, i, value) == [f EXCEPT ![i] = value]
Leads(i) == role[i] = "leader"

(* A tick may come right after the leader was heard, so n ticks are n - 1 intervals and no more can be said. *)
Promise == LeaseTick - 1

LastTerm(entries) == IF entries = <<>> THEN 0 ELSE entries[Len(entries)]
IsPrefix(short, long) == Len(short) <= Len(long) /\ SubSeq(long, 1, Len(short)) = short
UpToDate(i, j) ==  \* the log of i, as seen by j
    \/ LastTerm(log[i]) > LastTerm(log[j])
    \/ (LastTerm(log[i]) = LastTerm(log[j]) /\ Len(log[i]) >= Len(log[j]))

-------------------------------------------------------------------------------
(* Time: each clock goes on by itself, as far as the others let it. *)
Less(f, i) == Set(f, i, IF f[i] > 0 THEN f[i] - 1 ELSE 0)

TimePasses(i) ==
    /\ \A j \in Nodes : ahead[i] + 1 <= ahead[j] + Skew
    /\ LET on == Set(ahead, i, ahead[i] + 1) IN
       ahead' = IF \A j \in Nodes : on[j] > 0 THEN [j \in Nodes |-> on[j] - 1] ELSE on
    /\ promise' = Less(promise, i)
    /\ worth' = Less(worth, i)
    /\ UNCHANGED <<kept, role, order, commit, asked, behind, handed, ghosts>>

-------------------------------------------------------------------------------
(* Terms and elections. *)
ForgetsLeading(i) ==
    /\ commit' = Set(commit, i, 0)
    /\ asked' = Set(asked, i, {})
    /\ behind' = Set(behind, i, FALSE)
    /\ worth' = Set(worth, i, 0)
    /\ handed' = Set(handed, i, FALSE)

Reaches(i, t) ==  \* node i is in term t from now on; orders of earlier terms mean nothing to it
    /\ term' = Set(term, i, t)
    /\ order' = IF order[i] < t THEN Set(order, i, 0) ELSE order

(* Any answer may tell of a newer term, a refused pre-vote too, however late it comes. *)
LearnsTerm(i) ==
    \E t \in term[i] + 1 .. TermMax :
        /\ \E j \in Nodes : term[j] >= t
        /\ Reaches(i, t)
        /\ vote' = Set(vote, i, Nobody)
        /\ role' = Set(role, i, "follower")
        /\ promise' = IF Kept("a new term leaves the promise") THEN promise ELSE Set(promise, i, 0)
        /\ ForgetsLeading(i)
        /\ UNCHANGED <<ahead, log, ghosts>>

Stands(i, t, how) ==
    /\ t <= TermMax
    /\ Reaches(i, t)
    /\ vote' = Set(vote, i, i)
    /\ role' = Set(role, i, how)
    /\ ForgetsLeading(i)
    /\ UNCHANGED <<ahead, log, promise, ghosts>>

(* The election time-out, or a hint that the connection closed, and pre-votes if it had to ask: all that only says when. *)
Campaigns(i) ==
    /\ promise[i] = 0 \/ ~Kept("its own vote is promised too")
    /\ Stands(i, term[i] + 1, "candidate")

TakesOver(i) ==
    /\ order[i] > 0 /\ order[i] >= term[i]
    /\ role[i] = "follower" \/ order[i] > term[i]
    /\ Stands(i, order[i] + 1, "ordered")

MayVote(j, i) ==
    \/ role[i] = "ordered"
    \/ promise[j] = 0
    \/ (term[j] = term[i] /\ ~Kept("requests of the own term are held against the promise"))

(* Node j votes for i. A majority makes a leader at once: what it does with its office may come as late as it likes. *)
Votes(j, i) ==
    /\ i # j
    /\ role[i] \in {"candidate", "ordered"}
    /\ term[j] < term[i] \/ (term[j] = term[i] /\ vote[j] = Nobody)
    /\ UpToDate(i, j)
    /\ MayVote(j, i)
    /\ Len(log[i]) < LogMax
    /\ Reaches(j, term[i])
    /\ vote' = Set(vote, j, i)
    /\ LET yes == {k \in Nodes : term'[k] = term[i] /\ vote'[k] = i}
           stood == Set(role, j, "follower")
       IN IF IsQuorum(yes)
          THEN /\ role' = Set(stood, i, "leader")
               /\ log' = Set(log, i, Append(log[i], term[i]))
               /\ newest' = Larger(newest, term[i])
          ELSE /\ role' = stood
               /\ UNCHANGED <<log, newest>>
    /\ ForgetsLeading(j)
    /\ UNCHANGED <<ahead, promise, acknowledged>>

(* What was promised before is forgotten, so a start counts as having heard a leader. *)
Restarts(i) ==
    /\ role' = Set(role, i, "follower")
    /\ promise' = Set(promise, i, IF Kept("a restart promises") THEN Promise ELSE 0)
    /\ ForgetsLeading(i)
    /\ UNCHANGED <<ahead, kept, order, ghosts>>

-------------------------------------------------------------------------------
(* A leader and its log. *)
HearsLeader(j, i) ==  \* a leader of an earlier term must have learnt of this one before
    /\ i # j /\ Leads(i) /\ ~Leads(j) /\ term[j] <= term[i]
    /\ Reaches(j, term[i])
    /\ vote' = Set(vote, j, i)
    /\ role' = Set(role, j, "follower")
    /\ promise' = Set(promise, j, Promise)

Writes(i) ==
    /\ Leads(i) /\ Len(log[i]) < LogMax
    /\ log' = Set(log, i, Append(log[i], term[i]))
    /\ UNCHANGED <<ahead, term, vote, role, promise, order, leading, ghosts>>

(* Node j takes what it lacks of the log of i. With three voters that is a majority, and clients may learn of it. *)
Replicates(i, j) ==
    /\ HearsLeader(j, i)
    /\ ~IsPrefix(log[i], log[j]) \/ commit[i] < Len(log[i])
    /\ log' = IF IsPrefix(log[i], log[j]) THEN log ELSE Set(log, j, log[i])
    /\ commit' = Set(commit, i, Len(log[i]))
    /\ acknowledged' = Larger(acknowledged, Len(log[i]))
    /\ UNCHANGED <<ahead, asked, behind, worth, handed, newest>>

-------------------------------------------------------------------------------
(* Reads: a question stands for every read that came before it was put. *)
Asks(i) ==
    /\ Leads(i)
    /\ commit[i] > 0 \/ ~Kept("an entry of the own term is committed")
    /\ asked' = Set(asked, i, {i})
    /\ behind' = Set(behind, i, commit[i] < acknowledged)
    /\ worth' = Set(worth, i, Lease)
    /\ UNCHANGED <<ahead, kept, role, promise, order, commit, handed, ghosts>>

Answered(i) == asked[i] # {} /\ (IsQuorum(asked[i]) \/ ~Kept("a majority answers"))

Answers(j, i) ==
    /\ HearsLeader(j, i)
    /\ asked[i] # {} /\ ~IsQuorum(asked[i])
    /\ asked' = Set(asked, i, asked[i] \union {j})
    /\ UNCHANGED <<ahead, log, commit, behind, worth, handed, ghosts>>

HoldsLease(i) ==
    /\ Leads(i) /\ Answered(i) /\ worth[i] > 0
    /\ handed[i] => ~Kept("a transfer ends the lease")

(* An answer that was long on its way is no reason to count from now. *)
CountsFromAnswer(i) ==
    /\ Leads(i) /\ Answered(i) /\ ~Kept("a lease counts from the asking")
    /\ worth' = Set(worth, i, Lease)
    /\ UNCHANGED <<ahead, kept, role, promise, order, commit, asked, behind, handed, ghosts>>

-------------------------------------------------------------------------------
(* Transfer of leadership. *)
HandsOver(i, j) ==
    /\ i # j /\ Leads(i) /\ ~handed[i] /\ term[j] <= term[i]
    /\ term[i] < TermMax  \* nobody could obey
    /\ handed' = Set(handed, i, TRUE)
    /\ order' = Set(order, j, term[i])
    /\ UNCHANGED <<ahead, kept, role, promise, commit, asked, behind, worth, ghosts>>

(* The time for a transfer is over. The order may still be on its way, so this gives the leader no lease back. *)
GivesTransferUp(i) ==
    /\ handed[i] /\ ~Kept("no lease again in that term")
    /\ handed' = Set(handed, i, FALSE)
    /\ UNCHANGED <<ahead, kept, role, promise, order, commit, asked, behind, worth, ghosts>>

-------------------------------------------------------------------------------
(* Nodes differ by nothing but their names. *)
Alike == Permutations(Nodes)

(* Some node leads in term 1, its first entry is everywhere and acknowledged, and nobody is bound by anything. *)
Init ==
    /\ ahead = [i \in Nodes |-> 0]
    /\ term = [i \in Nodes |-> 1]
    /\ \E first \in Nodes :
        /\ vote = [i \in Nodes |-> first]
        /\ role = [i \in Nodes |-> IF i = first THEN "leader" ELSE "follower"]
        /\ commit = [i \in Nodes |-> IF i = first THEN 1 ELSE 0]
    /\ log = [i \in Nodes |-> <<1>>]
    /\ promise = [i \in Nodes |-> 0]
    /\ order = [i \in Nodes |-> 0]
    /\ asked = [i \in Nodes |-> {}]
    /\ behind = [i \in Nodes |-> FALSE]
    /\ worth = [i \in Nodes |-> 0]
    /\ handed = [i \in Nodes |-> FALSE]
    /\ acknowledged = 1
    /\ newest = 1

Next ==
    \/ \E i \in Nodes :
        \/ TimePasses(i) \/ LearnsTerm(i) \/ Campaigns(i) \/ TakesOver(i) \/ Restarts(i)
        \/ Writes(i) \/ Asks(i) \/ CountsFromAnswer(i) \/ GivesTransferUp(i)
    \/ \E i, j \in Nodes : Votes(j, i) \/ Replicates(i, j) \/ Answers(j, i) \/ HandsOver(i, j)

Spec == Init /\ [][Next]_vars

-------------------------------------------------------------------------------
(* What must hold. *)
OneLeaderPerTerm == \A i, j \in Nodes : Leads(i) /\ Leads(j) /\ term[i] = term[j] => i = j

(* A leader has all that was acknowledged before it, so that an index says all of a state. *)
LeaderIsComplete == \A i \in Nodes : Leads(i) /\ term[i] = newest => Len(log[i]) >= acknowledged

(* A lease read is answered at once from what is committed here: nothing acknowledged is missing. *)
LeaseReadsAreLinearizable == \A i \in Nodes : HoldsLease(i) => commit[i] >= acknowledged

LeasesMeetNoNewerLeader == \A i \in Nodes : HoldsLease(i) => term[i] = newest

(* A read index holds what was acknowledged when it was asked for, wherever it is applied later. *)
ReadIndexesAreLinearizable == \A i \in Nodes : Leads(i) /\ Answered(i) => ~behind[i]

-------------------------------------------------------------------------------
(* What must be possible: each is there to be broken, else the search was for nothing. *)
NoLaterLease == \A i \in Nodes : ~(HoldsLease(i) /\ term[i] = TermMax)
NoLaterReadIndex == \A i \in Nodes : ~(Leads(i) /\ Answered(i) /\ term[i] = TermMax)
NoTransferUnderPromise ==
    ~\E i, j \in Nodes : Leads(i) /\ term[i] > 1 /\ commit[i] > 0 /\ handed[j] /\ worth[j] > 0
NoLeaderBesideAnother == \A i, j \in Nodes : Leads(i) /\ Leads(j) => i = j
===============================================================================
