"""What third parties say of a host that this collection has provisioned, written to docs/audits.

The hosts are containers with Debian 12 and 13. Reasons why a finding is not followed live beside the
scenario, in molecule/hardening: here is only how an auditor is run, read and shown.
"""
