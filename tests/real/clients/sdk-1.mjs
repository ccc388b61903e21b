// The scenario through `@modelcontextprotocol/sdk` 1.x, whose handlers are keyed by schemas.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";
import { run } from "./scenario.mjs";

const requests = {
  "roots/list": types.ListRootsRequestSchema,
  "sampling/createMessage": types.CreateMessageRequestSchema,
  // Releases before 1.13 do not know elicitation.
  "elicitation/create": types.ElicitRequestSchema,
};
const notifications = {
  "notifications/tools/list_changed": types.ToolListChangedNotificationSchema,
  "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
  "notifications/message": types.LoggingMessageNotificationSchema,
};
const capabilities = { roots: { listChanged: true }, sampling: {} };
if (requests["elicitation/create"]) capabilities.elicitation = { form: {}, url: {} };

function transport({ url, sse, ...server }) {
  if (!url) return new StdioClientTransport({ ...server, stderr: "ignore" });
  return sse ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
}

await run(() => {
  const client = new Client({ name: "sdk-1-test-client", version: "1.0.0" }, { capabilities });
  return {
    client,
    handle: (method, answer) => requests[method] && client.setRequestHandler(requests[method], answer),
    notice: (method, told) => client.setNotificationHandler(notifications[method], told),
    connect: (server) => client.connect(transport(server)),
    callTool: (params, options) => client.callTool(params, undefined, options),
  };
});
