"""One server on three SDKs: `server.py SDK stdio`, or `server.py SDK http|sse PORT [stateless] [json]`."""

import asyncio
import sys

from pydantic import BaseModel

SDK, TRANSPORT, *OPTIONS = sys.argv[1:]
PLACE = {"host": "127.0.0.1", "port": int(OPTIONS[0])} if OPTIONS else {}
STYLE = {}
if TRANSPORT == "http":
    STYLE = {"stateless_http": "stateless" in OPTIONS, "json_response": "json" in OPTIONS}

if SDK == "mcp-1":
    from mcp.server.fastmcp import Context, FastMCP
    from mcp.types import Completion, SamplingMessage, TextContent

    app = FastMCP("python", log_level="ERROR", **PLACE, **STYLE)
    names, arguments = {"http": "streamable-http"}, {}
elif SDK == "mcp-2":
    from mcp.server.mcpserver import Context, MCPServer
    from mcp_types import Completion, SamplingMessage, TextContent

    app = MCPServer("python", log_level="ERROR")
    names, arguments = {"http": "streamable-http"}, {**PLACE, **STYLE}
else:
    from fastmcp import Context, FastMCP
    from mcp_types import Completion, SamplingMessage, TextContent

    app = FastMCP("python")
    names, arguments = {}, {"show_banner": False, **PLACE, **STYLE}


class Person(BaseModel):
    name: str


class Sum(BaseModel):
    value: float
    parts: list[int]


@app.tool()
def add(a: int, b: int) -> Sum:
    """Adds."""
    return Sum(value=a + b, parts=[a, b])


@app.tool()
def echo(text: str) -> str:
    return text


@app.tool()
def fail() -> str:
    raise ValueError("on purpose ☃")


@app.tool()
async def slow(steps: int, ctx: Context) -> str:
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await asyncio.sleep(0.05)
    return "done"


@app.tool()
async def log(ctx: Context) -> str:
    await ctx.warning("mind the gap")
    return "logged"


@app.tool()
async def ask(ctx: Context) -> str:
    answer = await ctx.elicit("Who are you?", Person)
    return f"{answer.action} {answer.data.name}"


@app.tool()
async def sample(ctx: Context) -> str:
    said = SamplingMessage(role="user", content=TextContent(type="text", text="Say ☃"))
    answer = await ctx.session.create_message([said], max_tokens=7, related_request_id=ctx.request_id)
    return f"{answer.model}: {answer.content.text}"


@app.resource("note://one", mime_type="text/plain")
def one() -> str:
    return "The first note ä."


@app.resource("note://by/{author}")
def by(author: str) -> str:
    return f"Notes by {author}"


@app.prompt()
def greet(name: str) -> str:
    return f"Greet {name}."


if hasattr(app, "completion"):

    @app.completion()
    async def complete(ref, argument, context) -> Completion:
        return Completion(values=[name for name in ("Ada", "Grace") if name.startswith(argument.value)])


app.run(names.get(TRANSPORT, TRANSPORT), **arguments)
