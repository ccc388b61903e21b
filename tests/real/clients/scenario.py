"""The scenarios that the Python SDKs run: connect, do the steps, tell the outcomes; all of them as one JSON list at the end.

See scenario.mjs for the file. An SDK is an adapter: an async context `connect(scenario, seen)` that yields an
object with one coroutine per step. `seen` is told the messages of the server.
"""

import json
import sys
import time

import anyio


def plain(model):
    """A model of pydantic as the JSON that came, without what the model adds."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Seen:
    def __init__(self):
        self.messages = []
        self.logs = []

    def logged(self, data):
        self.logs.append(data)

    def told(self, method, params):
        self.messages.append({"method": method, "params": params})


async def all_pages(list_page, key, attribute):
    items, cursor = [], None
    while True:
        page = await list_page(cursor)
        items += [plain(item) for item in getattr(page, attribute)]
        cursor = getattr(page, "nextCursor", None) or getattr(page, "next_cursor", None)
        if cursor is None:
            return {key: items}


LISTS = {
    "tools/list": ("tools", ("tools",)),
    "prompts/list": ("prompts", ("prompts",)),
    "resources/list": ("resources", ("resources",)),
    "resources/templates/list": ("resourceTemplates", ("resourceTemplates", "resource_templates")),
}


async def listed(session, method):
    key, attributes = LISTS[method]
    page = session.pages[method]
    first = await page(None)
    attribute = next(name for name in attributes if hasattr(first, name))
    return await all_pages(page, key, attribute)


async def act(session, step, seen):
    method, params = step["method"], step.get("params") or {}
    if method in LISTS:
        return await listed(session, method)
    if method == "tools/call":
        meta = dict(params.get("_meta") or {})
        wants_progress = meta.pop("progressToken", None) is not None
        reached = anyio.Event()

        async def progress(done, total, message):
            reached.set()
            if not step.get("cancel"):
                seen.told("notifications/progress", {"progress": done, "total": total, "message": message})

        call = session.call(params["name"], params.get("arguments"), progress if wants_progress else None, meta or None)
        if not step.get("cancel"):
            return plain(await call)
        return await cancelled(call, reached)
    if method == "prompts/get":
        return plain(await session.prompt(params["name"], params.get("arguments")))
    if method == "completion/complete":
        context = (params.get("context") or {}).get("arguments")
        return plain(await session.complete(params["ref"], params["argument"], context))
    if method == "ping":
        return await session.ping()
    argument = params["level"] if method == "logging/setLevel" else params["uri"]
    return plain(await session.simple[method](argument))


async def cancelled(call, reached):
    """Drops the call after its first progress."""
    async with anyio.create_task_group() as group:
        async def run():
            await call
            raise RuntimeError("a cancelled call was answered")

        group.start_soon(run)
        await reached.wait()
        group.cancel_scope.cancel()
    return {"cancelled": True}


async def wait_for_tools(session, prefixes):
    with anyio.fail_after(120):
        while prefixes:
            names = [tool["name"] for tool in (await listed(session, "tools/list"))["tools"]]
            if all(any(name.startswith(prefix) for name in names) for prefix in prefixes):
                return
            await anyio.sleep(0.2)


async def play(connect, scenario):
    seen, outcomes = Seen(), []
    started = time.monotonic()
    async with connect(scenario, seen) as session:
        connect_ms = round((time.monotonic() - started) * 1000)
        await wait_for_tools(session, scenario["prefixes"])
        for step in scenario["steps"]:
            seen.messages = []
            try:
                answer = {"result": await act(session, step, seen)}
            except Exception as error:
                inner = getattr(error, "error", None)
                answer = {"error": plain(inner) if inner is not None else {"code": None, "message": repr(error)}}
            outcomes.append({"seen": seen.messages, "answer": answer})
        about = {"connectMs": connect_ms, "logs": seen.logs, **session.about()}
    return {"about": about, "outcomes": outcomes}


def run(connect):
    with open(sys.argv[1], encoding="utf-8") as file:
        scenarios = json.load(file)
    # Each with a loop of its own, so that nothing of one is left for the next.
    print(json.dumps([anyio.run(play, connect, scenario) for scenario in scenarios]))
