"""The scenario through the Python SDK `mcp` 1.x."""

import os
from contextlib import asynccontextmanager

from anyio import BrokenResourceError
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from scenario import plain, run


class Session:
    def __init__(self, session, hello):
        self.session, self.hello = session, hello
        self.pages = {
            "tools/list": session.list_tools,
            "prompts/list": session.list_prompts,
            "resources/list": session.list_resources,
            "resources/templates/list": session.list_resource_templates,
        }
        self.simple = {
            "resources/read": lambda uri: session.read_resource(AnyUrl(uri)),
            "resources/subscribe": lambda uri: session.subscribe_resource(AnyUrl(uri)),
            "resources/unsubscribe": lambda uri: session.unsubscribe_resource(AnyUrl(uri)),
            "logging/setLevel": session.set_logging_level,
        }

    async def call(self, name, arguments, progress, meta):
        return await self.session.call_tool(name, arguments, progress_callback=progress, meta=meta)

    async def prompt(self, name, arguments):
        return await self.session.get_prompt(name, arguments)

    async def complete(self, ref, argument, context):
        of_prompt = ref["type"] == "ref/prompt"
        kind = types.PromptReference if of_prompt else types.ResourceTemplateReference
        return await self.session.complete(kind(**ref), argument, context)

    async def ping(self):
        return plain(await self.session.send_ping())

    def about(self):
        return {"revision": self.hello.protocolVersion, "server": plain(self.hello.serverInfo)}


@asynccontextmanager
async def connect(scenario, seen):
    async def sampling(context, params):
        seen.told("sampling/createMessage", plain(params))
        return types.CreateMessageResult.model_validate(scenario["replies"]["sampling"])

    async def elicitation(context, params):
        seen.told("elicitation/create", plain(params))
        url = getattr(params, "mode", None) == "url"
        return types.ElicitResult.model_validate({"action": "accept"} if url else scenario["replies"]["elicitation"])

    async def roots(context):
        return types.ListRootsResult.model_validate(scenario["roots"])

    async def message(incoming):
        root = getattr(incoming, "root", None)
        if isinstance(root, types.ResourceUpdatedNotification):
            seen.told(root.method, plain(root.params))

    async def log(params):
        seen.logged(params.data)

    # Closing while the server is still writing (the cancelled call reports progress) breaks a stream of the SDK.
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            async with transport(scenario["server"], nowhere) as (reading, writing, *_):
                async with ClientSession(
                    reading,
                    writing,
                    sampling_callback=sampling,
                    elicitation_callback=elicitation,
                    list_roots_callback=roots,
                    message_handler=message,
                    logging_callback=log,
                ) as session:
                    yield Session(session, await session.initialize())
    except* BrokenResourceError:
        pass


def transport(server, nowhere):
    if "url" not in server:
        return stdio_client(StdioServerParameters(**server), errlog=nowhere)
    return sse_client(server["url"]) if server["sse"] else streamablehttp_client(server["url"])


run(connect)
