"""Measurements that people ask about; never tests, because a busy machine is no defect."""
