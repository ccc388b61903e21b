// The scenario through `@modelcontextprotocol/client` 2.x. Mode `auto` asks `server/discover` before anything else.

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { run } from "./scenario.mjs";

let client;
const handlers = [];
const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } };

await run({
  get client() { return client; },
  handle: (method, answer) => handlers.push((to) => to.setRequestHandler(method, answer)),
  notice: (method, told) => handlers.push((to) => to.setNotificationHandler(method, told)),
  connect: (server, mode) => {
    client = new Client({ name: "client-2-test-client", version: "1.0.0" }, { capabilities, versionNegotiation: { mode } });
    for (const install of handlers) install(client);
    return client.connect(new StdioClientTransport({ ...server, stderr: "ignore" }));
  },
  callTool: (params, options) => client.callTool(params, options),
});
