"""Grokking from lazy to rich training (Kumar, Bordelon, Gershman and Pehlevan, arXiv 2310.06110)."""
