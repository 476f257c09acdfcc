"""minirnn measured beside other installed libraries: the same task, interleaved in one run.

``task`` is what everybody runs; ``own``, ``peers`` and ``pytorch`` say how; ``compare``, ``streaming``, ``compiling``
and ``fitting`` give rows; ``suite`` puts them together, ``ratios`` and ``targets`` judge them, ``table`` prints them.
``minirnn bench`` is the command. Importing this package loads neither JAX nor any of the peers.
"""
