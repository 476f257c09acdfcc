"""Looking inside and showing: every figure is made here."""
