"""Learning by reading and doing: the page that shows each equation beside its lines in both halves; exercises."""
