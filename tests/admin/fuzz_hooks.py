"""What the fuzzer may not think of by itself: searches go to places of this machine at which nobody is disturbed."""

import os

import schemathesis

HERE = os.path.dirname(os.path.abspath(__file__))
# Nobody listens at this port; the file is one of the test's own.
PLACES = {
    "base_urls": "http://127.0.0.1:9",
    "service_endpoints": "http://127.0.0.1:9/registry",
    "config_paths": os.path.join(HERE, "found.json"),
}
# Seconds for an address. Searches would take most of the time otherwise.
PATIENCE = 0.2


@schemathesis.hook
def before_call(context, case, **kwargs):
    """Keeps what is right right, and what is wrong wrong: any string would do at these places."""
    if not case.operation.path.endswith("/discovery") or not isinstance(case.body, dict):
        return
    body = {"base_urls": [PLACES["base_urls"]], "config_paths": [PLACES["config_paths"]], **case.body}
    for name, place in PLACES.items():
        if isinstance(body.get(name), list):
            body[name] = [place if isinstance(one, str) else one for one in body[name]]
    seconds = body.get("timeout", PATIENCE)
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= 60:
        body["timeout"] = min(seconds, PATIENCE)
    case.body = body
