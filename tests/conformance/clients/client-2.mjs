// The client of the official SDK's 2.x line, told to speak the revision without a handshake.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
export { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

export function make(answers) {
  const capabilities = { sampling: {}, roots: {}, elicitation: { form: { applyDefaults: true } } };
  const versionNegotiation = { mode: { pin: '2026-07-28' } };
  const client = new Client({ name: 'fixture-client-2', version: '1.0.0' }, { capabilities, versionNegotiation });
  for (const [method, answer] of Object.entries(answers)) client.setRequestHandler(method, answer);
  return client;
}

export function connect(client, target) {
  const transport = target.url
    ? (target.transport = new StreamableHTTPClientTransport(new URL(target.url), { authProvider: target.auth }))
    : new StdioClientTransport({ ...target.command, stderr: 'inherit' });
  return client.connect(transport);
}

/** Gives all that the authorization server sent back: the code, and the issuer to compare. */
export const finish = ({ transport, auth }) => transport.finishAuth(auth.callback.searchParams);
