"""A router's tenants file and the keys in it."""
import json
import subprocess

import openai

from cluster import BINARY


def new_key():
    """(key, hash)"""
    lines = subprocess.run([BINARY, "key"], capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0].split()[1], lines[1].split()[1]


class TenantsFile:
    """Written beside and renamed; `keys` has each tenant's (key, hash)."""

    def __init__(self, path):
        self.path = path
        self.keys = {}

    def write(self, **tenants):
        lines = ["tenants:"]
        for name, settings in tenants.items():
            key, digest = self.keys.setdefault(name, new_key())
            lines += [f"  - name: {name}", f"    keys: [{digest}]"]
            lines += [f"    {setting}: {json.dumps(value)}" for setting, value in settings.items()]
        fresh = self.path.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.rename(self.path)

    def client(self, router, name, retries=0):
        return openai.OpenAI(base_url=f"http://{router.address}/v1", api_key=self.keys[name][0], max_retries=retries, timeout=60)
