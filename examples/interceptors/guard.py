#!/usr/bin/env python3
"""Keeps calls of a file server below one folder. In the config:

interceptors:
  - { match: "files__*", command: ./guard.py, timeout: 500ms }
"""
import json
import sys

for line in sys.stdin:  # one question per line, one verdict per line
    question = json.loads(line)
    path = question["payload"].get("arguments", {}).get("path", "")
    verdict = {"id": question["id"], "valid": True}
    if not path.startswith("/home/me/") or ".." in path:
        reason = {"message": "path must be below /home/me", "severity": "error"}
        verdict.update(valid=False, severity="error", messages=[reason])
    print(json.dumps(verdict), flush=True)
