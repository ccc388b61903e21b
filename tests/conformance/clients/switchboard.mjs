// A Switchboard of its own for one scenario: a config whose one server is the scenario, and the commands to use it.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How the scenario's server stands in the config. */
function entry(url, scenario, context) {
  const server = { url, prefix: '' };
  if (!scenario.startsWith('auth/')) return server;
  const oauth = { client_metadata_url: 'https://conformance-test.local/client-metadata.json' };
  if (context.client_id) oauth.client_id = context.client_id;
  if (context.client_secret) oauth.client_secret = context.client_secret;
  if (context.private_key_pem) oauth.private_key = context.private_key_pem;
  if (scenario.startsWith('auth/client-credentials')) oauth.grant = 'client_credentials';
  return { ...server, oauth };
}

/** The commands of a Switchboard in front of `url`: `serve`, and `login`. */
export function switchboard({ program, home }, url, scenario, context) {
  const folder = mkdtempSync(join(home, 'scenario-'));
  const config = join(folder, 'switchboard.json');
  writeFileSync(config, JSON.stringify({ servers: { scenario: entry(url, scenario, context) } }));
  const env = { PATH: process.env.PATH, HOME: folder, SWITCHBOARD_HOME: folder };
  const command = (...args) => ({ command: program, args: [...args, '--config', config], env });
  return { serve: command('serve'), login: command('auth', 'login', 'scenario', '--no-browser') };
}
