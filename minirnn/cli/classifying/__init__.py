"""What ``minirnn classify`` prints and writes, and ``minirnn predict`` with its models."""
