"""What the system tests stand on: starting shuttled, talking to its admin endpoint, and the peers around it.

Nothing in here asserts what shuttled must do, but for two things that hold for every test: a stop is clean, and after
the traffic has gone no descriptor and no session remains (`stage.py`).
"""
