// A protected server and its authorization server: `oidc-provider` as published, a person who always agrees, and a
// resource that lets in who has a token with the scopes that a request needs.
//
//   node server.mjs PATH/TO/oidc-provider/lib/index.js
//
// The first line on stdout is {"url", "issuer"}. Paths of the resource for tests: /count tells how many tokens were granted
// by which grant, /forget-access makes access tokens invalid, /forget-login everything that came from a login.

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const { default: Provider } = await import(pathToFileURL(process.argv[2]).href);
const SCOPES = ["files:read", "files:write"];

const listen = async (server) => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
};
const loginServer = createServer();
const resourceServer = createServer();
const issuer = await listen(loginServer);
const origin = await listen(resourceServer);
const url = `${origin}/mcp`;

// === the authorization server ===

const provider = new Provider(issuer, {
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== url) throw new Error(`not a resource of ours: ${resource}`);
        return { scope: SCOPES.join(" "), audience: url, accessTokenTTL: 300, accessTokenFormat: "opaque" };
      },
    },
  },
  scopes: ["openid", "offline_access"],
  cookies: { keys: ["for tests"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});
const granted = {};
const tokens = new Set();
provider.on("grant.success", (ctx) => {
  const type = ctx.oidc.params.grant_type;
  granted[type] = (granted[type] ?? 0) + 1;
});
provider.on("access_token.saved", (token) => tokens.add(token));

const interact = async (request, response) => {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: "ada" } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope(url, SCOPES.filter((scope) => params.scope.split(" ").includes(scope)).join(" "));
  const grantId = await grant.save();
  return provider.interactionFinished(request, response, { consent: { grantId } });
};
const callback = provider.callback();
loginServer.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
});

// === the resource ===

const metadata = "/.well-known/oauth-protected-resource/mcp";
const forget = async (everything) => {
  for (const token of tokens) {
    if (everything) await provider.RefreshToken.revokeByGrantId(token.grantId);
    if (everything) await provider.AccessToken.revokeByGrantId(token.grantId);
    await token.destroy();
  }
  tokens.clear();
};
const judge = async (request) => {
  const needs = request.headers["x-needs"] ?? "files:read";
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "");
  const token = bearer && (await provider.AccessToken.find(bearer[1]));
  const told = `resource_metadata="${origin}${metadata}"`;
  if (!token || token.isExpired || token.aud !== url) return [401, `Bearer scope="files:read", ${told}`];
  if (!(token.scope ?? "").split(" ").includes(needs)) {
    return [403, `Bearer error="insufficient_scope", scope="${needs}", ${told}`];
  }
  return [200];
};
const serve = async (request, response) => {
  const json = (value) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
  switch (request.url) {
    case metadata:
      return json({ resource: url, authorization_servers: [issuer], scopes_supported: SCOPES });
    case "/count":
      return json(granted);
    case "/forget-access":
      await forget(false);
      return json({});
    case "/forget-login":
      await forget(true);
      return json({});
    case "/mcp": {
      const [status, challenge] = await judge(request);
      return response.writeHead(status, challenge ? { "www-authenticate": challenge } : {}).end("{}");
    }
    default:
      return response.writeHead(404).end("{}");
  }
};
resourceServer.on("request", (request, response) => {
  request.resume();
  serve(request, response).catch((error) => response.writeHead(500).end(String(error)));
});
process.stdin.on("end", () => process.exit(0)).resume();
console.log(JSON.stringify({ url, issuer }));
