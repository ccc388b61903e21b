"""The scenario through FastMCP's client."""

import os
from contextlib import asynccontextmanager
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp import types

from scenario import plain, run


class Session:
    def __init__(self, client):
        self.client = client
        self.pages = {
            "tools/list": lambda cursor: client.list_tools_mcp(cursor=cursor, cache_mode="bypass"),
            "prompts/list": lambda cursor: client.list_prompts_mcp(cursor=cursor, cache_mode="bypass"),
            "resources/list": lambda cursor: client.list_resources_mcp(cursor=cursor, cache_mode="bypass"),
            "resources/templates/list": lambda cursor: client.list_resource_templates_mcp(
                cursor=cursor, cache_mode="bypass"
            ),
        }
        self.simple = {
            "resources/read": client.read_resource_mcp,
            "resources/subscribe": lambda uri: client.session.subscribe_resource(uri),
            "resources/unsubscribe": lambda uri: client.session.unsubscribe_resource(uri),
            "logging/setLevel": lambda level: client.session.set_logging_level(level),
        }

    async def call(self, name, arguments, progress, meta):
        return await self.client.call_tool_mcp(name, arguments or {}, progress_handler=progress, meta=meta)

    async def prompt(self, name, arguments):
        return await self.client.get_prompt_mcp(name, arguments)

    async def complete(self, ref, argument, context):
        of_prompt = ref["type"] == "ref/prompt"
        kind = types.PromptReference if of_prompt else types.ResourceTemplateReference
        return await self.client.complete_mcp(kind(**ref), argument, context)

    async def ping(self):
        return {"alive": await self.client.ping()}

    def about(self):
        return {"revision": self.client.protocol_version, "server": plain(self.client.server_info)}


@asynccontextmanager
async def connect(scenario, seen):
    async def sampling(messages, params, context):
        seen.told("sampling/createMessage", plain(params))
        return types.CreateMessageResult.model_validate(scenario["replies"]["sampling"])

    async def elicitation(message, response_type, params, context):
        seen.told("elicitation/create", plain(params))
        url = getattr(params, "mode", None) == "url"
        return types.ElicitResult.model_validate({"action": "accept"} if url else scenario["replies"]["elicitation"])

    async def roots(context):
        return [types.Root.model_validate(root) for root in scenario["roots"]["roots"]]

    async def message(incoming):
        if isinstance(incoming, types.ResourceUpdatedNotification):
            seen.told(incoming.method, plain(incoming.params))

    async def log(message):
        seen.logged(message.data)

    client = Client(
        transport(scenario["server"]),
        log_handler=log,
        roots=roots,
        sampling_handler=sampling,
        elicitation_handler=elicitation,
        message_handler=message,
        mode=scenario["mode"],
    )
    async with client:
        yield Session(client)


def transport(server):
    if "url" not in server:
        return StdioTransport(**server, keep_alive=False, log_file=Path(os.devnull))
    return SSETransport(server["url"]) if server["sse"] else StreamableHttpTransport(server["url"])


run(connect)
