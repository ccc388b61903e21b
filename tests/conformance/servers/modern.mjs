// The fixture server of revision 2026-07-28, on the official SDK's 2.x line. It serves no older revision.
//
//   node modern.mjs          stdio
//   node modern.mjs http     Streamable HTTP; prints the address it listens on
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import {
  McpServer, ResourceNotFoundError, createMcpHandler, createRequestStateCodec, fromJsonSchema, inputRequired,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { CAPABILITIES, INFO, PROMPTS, RESOURCES, TEMPLATES, TOOLS, complete, named, read, shown } from './surface.mjs';
import { guarded, listen } from './http.mjs';

const { mint, verify } = createRequestStateCodec({ key: randomBytes(32) });
const CLIENT_CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

/** Thrown by `call.ask` where an answer is missing, and turned into the result that asks for it. */
class Missing {
  constructor(questions) {
    this.questions = questions;
  }
}

/** Lists have a cursor each client knows, so that hints are seen to come from here. */
const HINT = { ttlMs: 300_000, cacheScope: 'public' };

function fixture(announce) {
  const mcp = new McpServer(INFO, {
    capabilities: CAPABILITIES,
    requestState: { verify },
    cacheHints: {
      'tools/list': HINT, 'prompts/list': HINT, 'resources/list': HINT, 'resources/templates/list': HINT,
      'resources/read': { ttlMs: 1000, cacheScope: 'private' },
    },
  });

  const perform = async (entry, values, ctx) => {
    const given = { ...(ctx.mcpReq.requestState()?.answers ?? {}), ...(ctx.mcpReq.inputResponses ?? {}) };
    const answered = (key) => typeof given[key] === 'object' && given[key] !== null;
    const call = {
      arguments: values ?? {},
      progressToken: ctx.mcpReq._meta?.progressToken,
      capabilities: ctx.mcpReq.envelope?.[CLIENT_CAPABILITIES] ?? {},
      notify: (method, params) => ctx.mcpReq.notify({ method, params }),
      log: (data) => ctx.mcpReq.log('info', data),
      changed: (list) => announce(list, mcp),
      closeStream: () => {},
      ask: async (questions) => {
        if (!Object.keys(questions).every(answered)) throw new Missing(questions);
        return Object.fromEntries(Object.keys(questions).map((key) => [key, given[key]]));
      },
    };
    try {
      return await entry.run(call);
    } catch (missing) {
      if (!(missing instanceof Missing)) throw missing;
      const requestState = entry.state ? await mint({ answers: given, nonce: Math.random() }, ctx) : undefined;
      return inputRequired({ inputRequests: missing.questions, ...(requestState && { requestState }) });
    }
  };

  for (const tool of TOOLS) {
    const { description, inputSchema } = tool;
    mcp.registerTool(tool.name, { description, inputSchema: fromJsonSchema(inputSchema) },
      (values, ctx) => perform(tool, values, ctx));
  }
  const on = (method, answer) => mcp.server.setRequestHandler(method, answer);
  // In place of the SDK's own, which would not see a change.
  on('tools/list', () => ({ tools: TOOLS.map(shown) }));
  on('prompts/list', () => ({ prompts: PROMPTS.map(shown) }));
  on('prompts/get', ({ params }, ctx) => perform(named(PROMPTS, params.name), params.arguments, ctx));
  on('resources/list', () => ({ resources: RESOURCES }));
  on('resources/templates/list', () => ({ resourceTemplates: TEMPLATES }));
  on('resources/read', ({ params: { uri } }) => {
    const result = read(uri);
    if (!result) throw new ResourceNotFoundError(uri);
    return result;
  });
  on('completion/complete', ({ params }) => complete(params.argument));
  return mcp;
}

const TOLD = { tools: 'toolsChanged', prompts: 'promptsChanged' };
const SENT = { tools: 'sendToolListChanged', prompts: 'sendPromptListChanged' };

if (process.argv[2] === 'http') {
  const handler = createMcpHandler(() => fixture((list) => handler.notify[TOLD[list]]()), { legacy: 'reject' });
  await listen(createServer(guarded(toNodeHandler(handler))));
} else {
  serveStdio(() => fixture((list, mcp) => mcp.server[SENT[list]]()), { legacy: 'reject' });
}
