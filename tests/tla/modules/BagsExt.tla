---- MODULE BagsExt ----
\* The few operators that a trace specification needs, for a TLC whose jar does not bring the community modules.
EXTENDS Naturals, Bags

\* One more of an item.
BagAdd(bag, item) == bag (+) SetToBag({item})

\* Combine(result so far, item), once for every copy of every item, in any order.
FoldBag(Combine(_, _), base, bag) ==
    LET RECURSIVE Fold(_, _)
        Fold(result, rest) ==
            IF rest = EmptyBag THEN result
            ELSE LET item == CHOOSE any \in DOMAIN rest : TRUE
                 IN Fold(Combine(result, item), rest (-) SetToBag({item}))
    IN Fold(base, bag)
====
