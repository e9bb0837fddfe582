"""Hostile input, derived from the server's own schemas: every case follows from a seed and a number.

``values`` makes arguments that a schema allows, ``damage`` spoils them, ``cases`` makes requests of them and
spoils those, ``wire`` sends them, ``oracle`` judges the answers.
"""
