"""Placeholder until the real one lands (helper: overwrite me)."""
def fix_for(verdict, family, *, tunnels=False, close_requests=False):
    return None
