// The scenario through `@modelcontextprotocol/client` 2.x. Mode `auto` asks `server/discover` before anything else.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { run } from "./scenario.mjs";

const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } };

function transport({ url, sse, ...server }) {
  if (!url) return new StdioClientTransport({ ...server, stderr: "ignore" });
  return sse ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
}

await run(() => {
  let client;
  const handlers = [];
  return {
    get client() { return client; },
    handle: (method, answer) => handlers.push((to) => to.setRequestHandler(method, answer)),
    notice: (method, told) => handlers.push((to) => to.setNotificationHandler(method, told)),
    connect: (server, mode) => {
      client = new Client({ name: "client-2-test-client", version: "1.0.0" }, { capabilities, versionNegotiation: { mode } });
      for (const install of handlers) install(client);
      return client.connect(transport(server));
    },
    callTool: (params, options) => client.callTool(params, options),
  };
});
