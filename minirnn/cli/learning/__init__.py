"""The parts of ``minirnn learn``: what is printed, and what teachers call."""
