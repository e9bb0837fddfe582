"""The server alone: for one user on one machine, in one process, with everything in one folder.

``defaults`` completes the configuration, ``directory`` is the folder, ``issuer`` makes tokens, ``backend``
stands behind the tools, and ``serve`` runs it all until told to end.
"""
