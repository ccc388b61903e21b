// The scenarios that both TypeScript SDKs run, one after the other: connect, do the steps, tell the outcomes. All of them are told as
// one JSON list at the end.
//
// The file named by the first argument holds a list of scenarios: `server` (command, args, env, cwd; or url, and sse for HTTP+SSE), `roots`, `replies` (to
// sampling and elicitation), `prefixes` (tool names to wait for), `mode` and `steps` (method, params, cancel).
// An SDK is an adapter, made anew for each scenario: `connect(server, mode)`, `handle(method, answer)`, `notice(method, told)`, `client`,
// `callTool(params, options)`.

import { readFileSync } from "node:fs";

// Stdout is for the one document; an SDK may say something on the console.
console.log = console.info = console.debug = console.error;

const scenarios = JSON.parse(readFileSync(process.argv[2], "utf8"));

export async function run(makeSdk) {
  const told = [];
  for (const scenario of scenarios) told.push(await play(makeSdk(), scenario));
  process.stdout.write(JSON.stringify(told) + "\n");
}

async function play(sdk, scenario) {
  let seen = [];
  const answered = (method, answer) =>
    sdk.handle(method, async (request) => {
      if (method !== "roots/list") seen.push({ method, params: withoutToken(request.params) });
      return answer(request.params ?? {});
    });
  answered("roots/list", () => scenario.roots);
  answered("sampling/createMessage", () => scenario.replies.sampling);
  answered("elicitation/create", (params) =>
    params.mode === "url" ? { action: "accept" } : scenario.replies.elicitation);
  let listChanges = 0;
  const logs = [];
  sdk.notice("notifications/tools/list_changed", () => { listChanges += 1; });
  sdk.notice("notifications/message", (told) => { logs.push(told.params.data); });
  sdk.notice("notifications/resources/updated", (told) => seen.push({ method: told.method, params: told.params }));

  const started = performance.now();
  await sdk.connect(scenario.server, scenario.mode);
  const connectMs = Math.round(performance.now() - started);
  await waitForTools(sdk, scenario.prefixes);

  const outcomes = [];
  for (const step of scenario.steps) {
    seen = [];
    let answer;
    try {
      answer = { result: await act(sdk, step, seen) };
    } catch (error) {
      answer = { error: { code: error.code ?? null, message: error.message, data: error.data ?? null } };
    }
    outcomes.push({ seen: [...seen], answer });
  }
  const client = sdk.client;
  const about = {
    connectMs,
    listChanges,
    logs,
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions?.() ?? null,
    revision: client.getNegotiatedProtocolVersion?.() ?? null,
  };
  await client.close();
  return { about, outcomes };
}

async function act(sdk, { method, params, cancel }, seen) {
  const client = sdk.client;
  switch (method) {
    case "tools/list": return allPages((page) => client.listTools(page), "tools");
    case "prompts/list": return allPages((page) => client.listPrompts(page), "prompts");
    case "resources/list": return allPages((page) => client.listResources(page), "resources");
    case "resources/templates/list": return allPages((page) => client.listResourceTemplates(page), "resourceTemplates");
    case "tools/call": return callTool(sdk, params, cancel, seen);
    case "prompts/get": return client.getPrompt(params);
    case "resources/read": return client.readResource(params);
    case "resources/subscribe": return client.subscribeResource(params);
    case "resources/unsubscribe": return client.unsubscribeResource(params);
    case "completion/complete": return client.complete(params);
    case "logging/setLevel": return client.setLoggingLevel(params.level);
    case "ping": return client.ping();
    default: throw new Error(`no such step: ${method}`);
  }
}

function callTool(sdk, params, cancel, seen) {
  const options = {};
  const wantsProgress = params._meta?.progressToken !== undefined;
  const stop = new AbortController();
  if (cancel) options.signal = stop.signal;
  if (wantsProgress) {
    params = withoutToken(params);
    options.onprogress = (progress) => {
      if (cancel) stop.abort("changed my mind");
      // The last progress comes right before the answer; in one read with it, the SDK 1.x drops it.
      else if (progress.progress !== progress.total) seen.push({ method: "notifications/progress", params: progress });
    };
  }
  return sdk.callTool(params, options);
}

// The token is the SDK's own; only the rest of `_meta` is the scenario's.
function withoutToken(params) {
  if (params?._meta === undefined) return params;
  const { _meta: { progressToken, ...meta }, ...rest } = params;
  return Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest;
}

async function allPages(list, key) {
  const items = [];
  let page = {};
  do {
    const result = await list(page);
    items.push(...result[key]);
    page = result.nextCursor === undefined ? undefined : { cursor: result.nextCursor };
  } while (page);
  return { [key]: items };
}

async function waitForTools(sdk, prefixes) {
  const end = performance.now() + 120_000;
  for (;;) {
    if (prefixes.length === 0) return;
    const { tools } = await allPages((page) => sdk.client.listTools(page), "tools");
    const shown = (prefix) => tools.some((tool) => tool.name.startsWith(prefix));
    if (prefixes.every(shown)) return;
    if (performance.now() > end) throw new Error("the tools of some server were never listed");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
