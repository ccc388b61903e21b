"""The scenario through the Python SDK `mcp` 1.x."""

import os
from contextlib import asynccontextmanager

from anyio import BrokenResourceError
from mcp import ClientSession, StdioServerParameters, stdio_client, types
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
async def connect(scenario, told):
    async def sampling(context, params):
        told("sampling/createMessage", plain(params))
        return types.CreateMessageResult.model_validate(scenario["replies"]["sampling"])

    async def elicitation(context, params):
        told("elicitation/create", plain(params))
        url = getattr(params, "mode", None) == "url"
        return types.ElicitResult.model_validate({"action": "accept"} if url else scenario["replies"]["elicitation"])

    async def roots(context):
        return types.ListRootsResult.model_validate(scenario["roots"])

    async def message(incoming):
        root = getattr(incoming, "root", None)
        if isinstance(root, types.ResourceUpdatedNotification):
            told(root.method, plain(root.params))

    server = StdioServerParameters(**scenario["server"])
    # Closing while the server is still writing (the cancelled call reports progress) breaks a stream of the SDK.
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            async with stdio_client(server, errlog=nowhere) as (reading, writing):
                async with ClientSession(
                    reading,
                    writing,
                    sampling_callback=sampling,
                    elicitation_callback=elicitation,
                    list_roots_callback=roots,
                    message_handler=message,
                ) as session:
                    yield Session(session, await session.initialize())
    except* BrokenResourceError:
        pass


run(connect)
