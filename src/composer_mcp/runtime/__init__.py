"""The few settings that may change while processes run: how they are stored, changed, followed and shown.

``current`` holds what applies in this process, ``following`` keeps it so, ``store`` is the port to the table,
``changes`` decides what may be changed, ``listing`` says where each value comes from.
"""
