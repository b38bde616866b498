"""The shell that moves: the sync cycle and the daemon around it.  Knows stores and files by their protocols only."""
