// The client of the official SDK's 1.x line, which speaks the revisions with a handshake.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
export { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

const SCHEMAS = {
  'elicitation/create': types.ElicitRequestSchema,
  'sampling/createMessage': types.CreateMessageRequestSchema,
  'roots/list': types.ListRootsRequestSchema,
};

export function make(answers) {
  const capabilities = { sampling: {}, roots: {}, elicitation: { form: { applyDefaults: true } } };
  const client = new Client({ name: 'fixture-sdk-1', version: '1.0.0' }, { capabilities });
  for (const [method, answer] of Object.entries(answers)) client.setRequestHandler(SCHEMAS[method], answer);
  return client;
}

export function connect(client, target) {
  const transport = target.url
    ? (target.transport = new StreamableHTTPClientTransport(new URL(target.url), { authProvider: target.auth }))
    : new StdioClientTransport({ ...target.command, stderr: 'inherit' });
  return client.connect(transport);
}

/** Gives the code that the authorization server sent back. This line does not look at the issuer beside it. */
export const finish = ({ transport, auth }) => transport.finishAuth(auth.callback.searchParams.get('code'));
