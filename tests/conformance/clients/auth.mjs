// Logging in without a person. The authorization servers of the scenarios grant at once: they answer the address that
// a browser would be sent to with a redirect to the client.
import { spawn } from 'node:child_process';
import { CLIENT_METADATA } from './switchboard.mjs';

const CALLBACK = 'http://localhost:3000/callback';

/** What the SDKs ask for a login, kept in memory. Credentials belong to the issuer that gave them. */
class Provider {
  redirectUrl = CALLBACK;
  clientMetadataUrl = CLIENT_METADATA;
  clientMetadata = {
    client_name: 'fixture-client', redirect_uris: [CALLBACK], application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  };
  #clients = new Map();
  #kept;

  constructor({ client_id, client_secret }) {
    if (client_id) this.#kept = { client_id, client_secret, redirect_uris: [CALLBACK] };
  }

  clientInformation(context) { return this.#kept ?? this.#clients.get(context?.issuer); }
  saveClientInformation(client, context) { this.#clients.set(context?.issuer, client); }
  tokens() { return this.given; }
  saveTokens(tokens) {
    this.given = tokens;
    // The next login discovers anew: the server may have moved to another authorization server.
    this.discovered = undefined;
  }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  saveDiscoveryState(state) { this.discovered = state; }
  discoveryState() { return this.discovered; }
  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'tokens') this.given = undefined;
    if (scope === 'all' || scope === 'client') this.#clients.clear();
    if (scope === 'all' || scope === 'discovery') this.discovered = undefined;
  }
  async redirectToAuthorization(address) {
    const response = await fetch(address, { redirect: 'manual' });
    this.callback = new URL(response.headers.get('location'));
  }
}

/** How to get a token for the scenario: by a login, or by the client's own credentials. */
export function provider(scenario, context, { ClientCredentialsProvider, PrivateKeyJwtProvider }) {
  const { client_id: clientId, client_secret: clientSecret, private_key_pem: privateKey, signing_algorithm } = context;
  switch (scenario) {
    case 'auth/client-credentials-basic': return new ClientCredentialsProvider({ clientId, clientSecret });
    case 'auth/client-credentials-jwt':
      return new PrivateKeyJwtProvider({ clientId, privateKey, algorithm: signing_algorithm ?? 'ES256' });
    default: return new Provider(context);
  }
}

/** Whether an error means that somebody has to log in. */
export const needs_login = (error) => error.constructor.name === 'UnauthorizedError' || error.needsLogin === true;

/** Runs `switchboard auth login` and opens the address that it prints. */
export async function login({ command, args, env }) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let opened;
  const listen = (chunk) => {
    said += chunk;
    const address = /https?:\/\/\S*[?&]response_type=\S+/.exec(said)?.[0];
    if (address && /\s$/.test(said)) opened ??= fetch(address);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  const code = await new Promise((done) => child.on('close', done));
  await opened?.catch(() => {});
  if (code !== 0) throw new Error(`auth login ended with ${code}: ${said}`);
}
