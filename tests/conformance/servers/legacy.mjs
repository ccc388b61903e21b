// The fixture server of the revisions with a handshake, on the official SDK's 1.x line.
//
//   node legacy.mjs          stdio
//   node legacy.mjs http     Streamable HTTP with sessions; prints the address it listens on
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as schema from '@modelcontextprotocol/sdk/types.js';
import { CAPABILITIES, INFO, PROMPTS, RESOURCES, TEMPLATES, TOOLS, complete, named, read, shown } from './surface.mjs';
import { guarded, listen } from './http.mjs';

const ANSWERS = {
  'elicitation/create': schema.ElicitResultSchema,
  'sampling/createMessage': schema.CreateMessageResultSchema,
  'roots/list': schema.ListRootsResultSchema,
};
const CHANGED = { tools: 'sendToolListChanged', prompts: 'sendPromptListChanged' };

function fixture() {
  const server = new Server(INFO, { capabilities: CAPABILITIES });
  const on = (request, answer) => server.setRequestHandler(request, answer);

  const call = (request, extra) => ({
    arguments: request.params.arguments ?? {},
    progressToken: request.params._meta?.progressToken,
    capabilities: server.getClientCapabilities() ?? {},
    notify: (method, params) => extra.sendNotification({ method, params }),
    log: (data) => extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } }),
    changed: (list) => server[CHANGED[list]](),
    closeStream: () => extra.closeSSEStream?.(),
    ask: async (questions) => {
      const answers = {};
      for (const [key, question] of Object.entries(questions)) {
        answers[key] = await extra.sendRequest(question, ANSWERS[question.method]);
      }
      return answers;
    },
  });
  const unknown = (what) => new schema.McpError(schema.ErrorCode.InvalidParams, `Unknown ${what}`);

  on(schema.ListToolsRequestSchema, () => ({ tools: TOOLS.map(shown) }));
  on(schema.CallToolRequestSchema, async (request, extra) => {
    const tool = named(TOOLS, request.params.name);
    if (!tool) throw unknown('tool');
    try {
      return await tool.run(call(request, extra));
    } catch (error) {
      return { content: [{ type: 'text', text: error.message }], isError: true };
    }
  });
  on(schema.ListPromptsRequestSchema, () => ({ prompts: PROMPTS.map(shown) }));
  on(schema.GetPromptRequestSchema, (request, extra) => {
    const prompt = named(PROMPTS, request.params.name);
    if (!prompt) throw unknown('prompt');
    return prompt.run(call(request, extra));
  });
  on(schema.ListResourcesRequestSchema, () => ({ resources: RESOURCES }));
  on(schema.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: TEMPLATES }));
  on(schema.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const result = read(uri);
    if (!result) throw new schema.McpError(-32002, 'Resource not found', { uri });
    return result;
  });
  on(schema.SubscribeRequestSchema, () => ({}));
  on(schema.UnsubscribeRequestSchema, () => ({}));
  on(schema.CompleteRequestSchema, (request) => complete(request.params.argument));
  return server;
}

/** Keeps the events of a session's streams, so that a client can take up a stream where it lost it. */
function events() {
  const stored = [];
  return {
    async storeEvent(stream, message) {
      stored.push({ stream, message });
      return String(stored.length);
    },
    async replayEventsAfter(last, { send }) {
      const { stream } = stored[Number(last) - 1];
      for (let index = Number(last); index < stored.length; index += 1) {
        const event = stored[index];
        if (event.stream === stream && event.message.jsonrpc) await send(String(index + 1), event.message);
      }
      return stream;
    },
  };
}

async function http() {
  const sessions = new Map();
  const refuse = (response, status, message) =>
    response.writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message } }));

  await listen(createServer(guarded(async (request, response) => {
    const id = request.headers['mcp-session-id'];
    if (id !== undefined) {
      const session = sessions.get(id);
      return session ? session.handleRequest(request, response) : refuse(response, 404, 'Session not found');
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: events(),
      retryInterval: 500,
      onsessioninitialized: (session) => sessions.set(session, transport),
      onsessionclosed: (session) => sessions.delete(session),
    });
    await fixture().connect(transport);
    return transport.handleRequest(request, response);
  })));
}

await (process.argv[2] === 'http' ? http() : fixture().connect(new StdioServerTransport()));
