"""Train steps of minirnn beside those of other installed libraries: the same task, interleaved in one run.

``task`` is what everybody runs, ``own`` and ``peers`` run it, ``measure`` takes the times, ``table`` puts them side by
side. ``minirnn bench`` is the command. Importing this package loads neither JAX nor any of the peers.
"""
