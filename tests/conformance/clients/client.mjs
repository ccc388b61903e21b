// The client that the suite starts for a client scenario: `node client.mjs URL`, with the scenario's name, revision and
// context in the environment. It speaks either to the scenario itself, or to a Switchboard whose one server the
// scenario is; then it is Switchboard's requests that the scenario judges.
//
//   FIXTURE_CLIENT     the module that makes the client: `sdk-1.mjs` or `client-2.mjs`
//   FIXTURE_THROUGH    JSON: { program, home, protocol? }; without it, direct
import { login, needs_login, provider } from './auth.mjs';
import { switchboard } from './switchboard.mjs';

const url = process.argv[2];
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const sdk = await import(`./${process.env.FIXTURE_CLIENT}`);
const authorized = scenario.startsWith('auth/');
const through = process.env.FIXTURE_THROUGH
  && switchboard(JSON.parse(process.env.FIXTURE_THROUGH), url, scenario, context);

/** Arguments that the schema of a tool allows, where no context gives them. */
function some_arguments(tool) {
  const value = { number: 2, integer: 2, string: 'text', boolean: true };
  const properties = Object.entries(tool.inputSchema.properties ?? {});
  return Object.fromEntries(properties.map(([name, schema]) => [name, value[schema.type] ?? 'text']));
}

/** Everything that a client may do with a server: each list, each tool, each resource, each prompt. */
async function everything(client) {
  const offers = client.getServerCapabilities() ?? {};
  const tools = offers.tools ? await all_tools(client) : [];
  const calls = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: some_arguments(tool) }));
  if (authorized && calls.length === 0) throw Object.assign(new Error('no tools'), { needsLogin: true });
  for (const call of calls) {
    const { isError, content } = await client.callTool(call);
    if (authorized && isError) throw Object.assign(new Error(JSON.stringify(content)), { needsLogin: true });
  }
  if (offers.resources) {
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
  }
  if (offers.prompts) {
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  }
}

/** The tools of the scenario, without those that are Switchboard's own. */
async function all_tools(client) {
  const { tools } = await client.listTools();
  return tools.filter((tool) => !tool.name.startsWith('switchboard__'));
}

/** A call that asks, an unrelated one while the question stands, and the rest. */
async function with_questions(client, questions) {
  const unrelated = () => client.callTool({ name: 'test_mrtr_unrelated', arguments: {} });
  questions.before_answer = unrelated;
  await client.callTool({ name: 'test_mrtr_echo_state', arguments: {} });
  questions.before_answer = undefined;
  await client.callTool({ name: 'test_mrtr_no_state', arguments: {} });
  await client.callTool({ name: 'test_mrtr_no_result_type', arguments: {} });
}

const STEPS = {
  'sep-2322-client-request-state': with_questions,
  'json-schema-ref-no-deref': (client) => all_tools(client),
  'json-schema-2020-12-preservation': async (client) => {
    const tool = (await all_tools(client)).find(({ name }) => name === 'json_schema_2020_12_tool');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: tool.inputSchema } });
  },
};

const questions = {};
const answers = {
  'elicitation/create': async () => {
    await questions.before_answer?.();
    // The content is for the SDK to fill in from the defaults of the schema.
    return { action: 'accept', content: {} };
  },
  'sampling/createMessage': () => ({ role: 'assistant', content: { type: 'text', text: 'Yes.' }, model: 'none' }),
  'roots/list': () => ({ roots: [] }),
};

const target = through
  ? { command: through.serve }
  : { url, auth: authorized ? provider(scenario, context, sdk) : undefined };
const steps = STEPS[scenario] ?? everything;
const log_in = () => (through ? login(through.login) : sdk.finish(target));

if (through && authorized && !scenario.includes('client-credentials')) await log_in();
// A scenario decides what a token is good for, so a login may be asked for at any step, and again.
for (let attempt = 0; ; attempt += 1) {
  const client = sdk.make(answers);
  try {
    await sdk.connect(client, target);
    await steps(client, questions);
    await client.close();
    break;
  } catch (error) {
    await client.close().catch(() => {});
    if (!authorized || attempt === 2 || !needs_login(error)) throw error;
    await log_in();
  }
}
process.exit(0);
