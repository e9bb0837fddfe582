"""The wire: tools, and the HTTP gate in front of them. Submits jobs; does none of the work itself."""
