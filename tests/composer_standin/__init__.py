"""A stand-in for EuConquisto Composer: its page and its API, as far as they are known.

It is a third party: it knows nothing of the server under test and is never friendlier than the original.
What is unknown about the original (form of lists, limits, wording of refusals) is kept to one plain guess,
marked "guess" where it is made.
"""
