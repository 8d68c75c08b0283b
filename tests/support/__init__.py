"""What several kinds of test share: a cluster of cores piped together in memory."""
