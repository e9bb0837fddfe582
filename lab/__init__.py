"""The lab: Debian machines as systemd containers, used by `make lab` and by Molecule alike.

What lives here: images, networks, boot, the stand-in's container, a user's session, and what
`make lab` prints. What does not: anything that a real installation needs; that is the collection's work.
"""
