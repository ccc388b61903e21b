// A Switchboard of its own for one scenario: a config whose one server is the scenario, and the commands to use it.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The document that the suite expects as client id where documents are taken for one. It need not exist. */
export const CLIENT_METADATA = 'https://conformance-test.local/client-metadata.json';

/** How the scenario's server stands in the config. */
function entry(url, scenario, context, protocol) {
  const server = { url, prefix: '', ...(protocol && { protocol }) };
  if (!scenario.startsWith('auth/')) return server;
  const { client_id, client_secret, private_key_pem: private_key, signing_algorithm: algorithm } = context;
  if (scenario.startsWith('auth/client-credentials')) {
    // What the context does not give is left out when this becomes JSON.
    const type = 'client_credentials';
    return { ...server, auth: { type, client_id, client_secret, private_key, algorithm } };
  }
  return { ...server, auth: { client_metadata_url: CLIENT_METADATA, client_id, client_secret } };
}

/** The commands of a Switchboard in front of `url`: `serve`, and `login`. */
export function switchboard({ program, home, protocol }, url, scenario, context) {
  const folder = mkdtempSync(join(home, 'scenario-'));
  const config = join(folder, 'switchboard.json');
  writeFileSync(config, JSON.stringify({ servers: { scenario: entry(url, scenario, context, protocol) } }));
  const env = { PATH: process.env.PATH, HOME: folder, SWITCHBOARD_HOME: folder };
  const command = (...args) => ({ command: program, args: [...args, '--config', config], env });
  return { serve: command('serve'), login: command('auth', 'login', 'scenario', '--no-browser') };
}
