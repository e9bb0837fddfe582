"""The admin API: what operators, administrators and auditors do over HTTP, at ``/admin/v1``.

``app`` is the frame: who is let in, how errors are told, the document that describes it all. Each other
module is a router for one theme and leaves the work to the part that it belongs to.
"""
