"""Simulated ROLLER and Stampede, for trying a configuration without a live venue.

They speak as the vendors document and as was observed on the wire, and can be told to fail
(`/_sandbox/`, see `control`). Nothing here is shared with the daemon, so that no mistake
can be made on both sides at once and stay hidden.
"""
