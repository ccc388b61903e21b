"""The scenario through the Python SDK `mcp` 2.x. Mode `auto` asks `server/discover` before anything else."""

from contextlib import asynccontextmanager

from mcp import Client, StdioServerParameters, types
from mcp.client.sse import sse_client

from scenario import plain, run


class Session:
    def __init__(self, client):
        self.client = client
        self.pages = {
            "tools/list": lambda cursor: client.list_tools(cursor=cursor, cache_mode="bypass"),
            "prompts/list": lambda cursor: client.list_prompts(cursor=cursor, cache_mode="bypass"),
            "resources/list": lambda cursor: client.list_resources(cursor=cursor, cache_mode="bypass"),
            "resources/templates/list": lambda cursor: client.list_resource_templates(
                cursor=cursor, cache_mode="bypass"
            ),
        }
        self.simple = {
            "resources/read": lambda uri: client.read_resource(uri, cache_mode="bypass"),
            "resources/subscribe": client.subscribe_resource,
            "resources/unsubscribe": client.unsubscribe_resource,
            "logging/setLevel": client.set_logging_level,
        }

    async def call(self, name, arguments, progress, meta):
        return await self.client.call_tool(name, arguments, progress_callback=progress, meta=meta)

    async def prompt(self, name, arguments):
        return await self.client.get_prompt(name, arguments)

    async def complete(self, ref, argument, context):
        of_prompt = ref["type"] == "ref/prompt"
        kind = types.PromptReference if of_prompt else types.ResourceTemplateReference
        return await self.client.complete(kind(**ref), argument, context)

    async def ping(self):
        return plain(await self.client.send_ping())

    def about(self):
        return {"revision": self.client.protocol_version, "server": plain(self.client.server_info)}


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
        if isinstance(incoming, types.ResourceUpdatedNotification):
            seen.told(incoming.method, plain(incoming.params))

    async def log(params):
        seen.logged(params.data)

    client = Client(
        transport(scenario["server"]),
        logging_callback=log,
        log_level="info",
        sampling_callback=sampling,
        elicitation_callback=elicitation,
        list_roots_callback=roots,
        message_handler=message,
        mode=scenario["mode"],
    )
    async with client:
        yield Session(client)


def transport(server):
    if "url" not in server:
        return StdioServerParameters(**server)
    return sse_client(server["url"]) if server["sse"] else server["url"]


run(connect)
