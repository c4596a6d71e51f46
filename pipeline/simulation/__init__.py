"""The pipeline on a clock of its own: the real stages and the real outbox, simulated peers.

A month of traffic takes seconds to minutes, and goes the same way each time for the same seed.
"""
