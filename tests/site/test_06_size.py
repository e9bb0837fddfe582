"""The whole lab fits a small machine."""

from lab import platform

LIMIT = 6 * 2**30


def test_all_hosts_together_need_at_most_six_gibibytes(site, record_property):
    memory = platform.memory(site.lab)
    total = sum(memory.values())
    parts = ", ".join(f"{name} {value / 2**20:.0f}" for name, value in sorted(memory.items()))
    record_property("summary", f"memory of all lab hosts: {total / 2**30:.2f} GiB ({parts} MiB)")
    assert total <= LIMIT
