"""Simulated clusters, from seeds: the share of every commit.

`test_seeds` runs seeds of the core and of whole nodes over all profiles, `test_kept` what once failed, `test_directed`
what chance hardly ever finds, `test_leases` leases alone, `test_determinism` the same seeds twice, `test_checks` the
checks themselves.
"""
