"""Stub."""
def guess_season(y, f): return 1
