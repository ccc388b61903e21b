// What the fixture servers show: the tools, prompts and resources that the scenarios of the conformance suite ask
// for. A tool's `run` gets a `call`, which each server makes out of its own SDK:
//
//   call.arguments      the arguments of the tool
//   call.progressToken  the token of the request, or undefined
//   call.capabilities   what the client declared
//   call.notify(method, params)   a notification that belongs to this call
//   call.log(data)      a log message
//   call.ask(requests)  asks the client, `{ key: { method, params } }`, and gives `{ key: answer }`
//   call.changed(list)  tells that `tools` or `prompts` changed; they did, by `change`
//   call.closeStream()  ends the stream on which the answer should come, if there is one

// A red PNG of one pixel, and a WAV of no samples.
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
const SILENCE = Buffer.concat([
  Buffer.from('RIFF'), Buffer.from([36, 0, 0, 0]), Buffer.from('WAVEfmt '), Buffer.from([16, 0, 0, 0, 1, 0, 1, 0]),
  Buffer.from([0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0]), Buffer.from('data'), Buffer.from([0, 0, 0, 0]),
]).toString('base64');

export const INFO = { name: 'switchboard-conformance-fixture', version: '1.0.0' };

export const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
};

const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const said = (...values) => ({ content: values.map(text) });
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const NOTHING = { type: 'object', properties: {} };
const object = (properties, required = []) => ({ type: 'object', properties, required });
const string = (description, more = {}) => ({ type: 'string', description, ...more });

const form = (message, properties, required = []) => ({
  method: 'elicitation/create',
  params: { message, requestedSchema: { type: 'object', properties, required } },
});
const sample = (prompt, maxTokens = 100) => ({
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: text(prompt) }], maxTokens },
});
const ROOTS = { method: 'roots/list', params: {} };
const ask_name = form('What is your name?', { name: { type: 'string' } }, ['name']);
const ask_ok = form('Please confirm', { ok: { type: 'boolean' } }, ['ok']);
const spoken = (answer) => (Array.isArray(answer.content) ? answer.content[0] : answer.content)?.text;

async function elicited(call, question) {
  const { answer } = await call.ask({ answer: question });
  return said(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
}

const CHOICES = ['option1', 'option2', 'option3'];
const TITLED = ['value1', 'value2', 'value3'].map((value, index) => ({ const: value, title: `Choice ${index + 1}` }));

// With every keyword that a careless gateway drops.
const FULL_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

/** name, description, input schema, what it does, and whether its questions carry a request state. */
const tool = (name, description, inputSchema, run, state = false) => ({ name, description, inputSchema, run, state });

export const TOOLS = [
  tool('test_simple_text', 'Says one text', NOTHING, () => said('A simple text.')),
  tool('test_image_content', 'Shows an image', NOTHING, () => ({ content: [image] })),
  tool('test_audio_content', 'Plays a sound', NOTHING, () => ({
    content: [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }],
  })),
  tool('test_embedded_resource', 'Embeds a resource', NOTHING, () => ({
    content: [{ type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'Inside.' } }],
  })),
  tool('test_multiple_content_types', 'Mixes kinds of content', NOTHING, () => ({
    content: [
      text('Several kinds:'),
      image,
      { type: 'resource', resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"n":1}' } },
    ],
  })),
  tool('test_error_handling', 'Always fails', NOTHING, () => ({
    ...said('This tool fails on purpose.'),
    isError: true,
  })),
  tool('test_tool_with_logging', 'Logs while it works', NOTHING, async (call) => {
    for (const step of ['started', 'working', 'done']) {
      await call.log(`Tool ${step}`);
      await pause(50);
    }
    return said('Logged three times.');
  }),
  tool('test_tool_with_progress', 'Reports progress', NOTHING, async (call) => {
    for (const progress of [0, 50, 100]) {
      if (call.progressToken !== undefined) {
        const params = { progressToken: call.progressToken, progress, total: 100, message: `${progress} of 100` };
        await call.notify('notifications/progress', params);
      }
      await pause(50);
    }
    return said('Reported three times.');
  }),
  tool('test_sampling', 'Asks the model', object({ prompt: string('What to ask') }, ['prompt']), async (call) => {
    const { answer } = await call.ask({ answer: sample(call.arguments.prompt) });
    return said(`LLM response: ${spoken(answer)}`);
  }),
  tool('test_elicitation', 'Asks the user', object({ message: string('What to ask') }, ['message']), async (call) => {
    const fields = { username: string('A name'), email: string('An address') };
    const { answer } = await call.ask({ answer: form(call.arguments.message, fields, ['username', 'email']) });
    return said(`User response: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
  }),
  tool('test_elicitation_sep1034_defaults', 'Asks with defaults', NOTHING, (call) =>
    elicited(call, form('Correct what is wrong', {
      name: string('Name', { default: 'John Doe' }),
      age: { type: 'integer', description: 'Age', default: 30 },
      score: { type: 'number', description: 'Score', default: 95.5 },
      status: string('Status', { enum: ['active', 'inactive', 'pending'], default: 'active' }),
      verified: { type: 'boolean', description: 'Verified', default: true },
    }))),
  tool('test_elicitation_sep1330_enums', 'Asks with every kind of choice', NOTHING, (call) =>
    elicited(call, form('Choose', {
      untitledSingle: { type: 'string', enum: CHOICES },
      titledSingle: { type: 'string', oneOf: TITLED },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: CHOICES } },
      titledMulti: { type: 'array', items: { anyOf: TITLED } },
    }))),
  tool('test_reconnection', 'Ends its stream before it answers', NOTHING, async (call) => {
    await pause(100);
    call.closeStream();
    await pause(100);
    return said('Answered after the stream was gone.');
  }),
  tool('json_schema_2020_12_tool', 'Has a full schema', FULL_SCHEMA, (call) => said(JSON.stringify(call.arguments))),
  tool('test_mirrored_parameter', 'Has a parameter that is mirrored in a header',
    object({ region: string('Where', { 'x-mcp-header': 'Region' }) }), (call) => said(`region: ${call.arguments.region}`)),
  tool('test_missing_capability', 'Needs sampling', NOTHING, async (call) => {
    const { answer } = await call.ask({ answer: sample('Anyone there?') });
    return said(`Sampled: ${spoken(answer)}`);
  }),
  tool('test_streaming_elicitation', 'Asks the user after some progress', NOTHING, async (call) => {
    if (call.progressToken !== undefined) {
      await call.notify('notifications/progress', { progressToken: call.progressToken, progress: 1 });
    }
    return elicited(call, ask_name);
  }),
  tool('test_logging_tool', 'Logs once', NOTHING, async (call) => {
    await call.log('A trace.');
    return said('Logged, if you asked for it.');
  }),
  tool('test_trigger_tool_change', 'Changes the list of tools', NOTHING, async (call) => {
    change(TOOLS);
    await call.changed('tools');
    return said('Told.');
  }),
  tool('test_trigger_prompt_change', 'Changes the list of prompts', NOTHING, async (call) => {
    change(PROMPTS);
    await call.changed('prompts');
    return said('Told.');
  }),
  tool('test_input_required_result_elicitation', 'Asks for a name', NOTHING, async (call) => {
    const { user_name } = await call.ask({ user_name: ask_name });
    return said(`Hello, ${user_name.content?.name ?? user_name.action}!`);
  }),
  tool('test_input_required_result_sampling', 'Asks the model for a capital', NOTHING, async (call) => {
    const { capital_question } = await call.ask({ capital_question: sample('What is the capital of France?') });
    return said(`The model says: ${spoken(capital_question)}`);
  }),
  tool('test_input_required_result_list_roots', 'Asks for roots', NOTHING, async (call) => {
    const { client_roots } = await call.ask({ client_roots: ROOTS });
    return said(`Roots: ${client_roots.roots.map((root) => root.uri).join(', ')}`);
  }),
  tool('test_input_required_result_request_state', 'Asks, and remembers by a state', NOTHING, async (call) => {
    await call.ask({ confirm: ask_ok });
    return said('state-ok');
  }, true),
  tool('test_input_required_result_multiple_inputs', 'Asks three things at once', NOTHING, async (call) => {
    const { user_name, greeting, client_roots } = await call.ask({
      user_name: ask_name,
      greeting: sample('Write a greeting', 50),
      client_roots: ROOTS,
    });
    return said(`${spoken(greeting)} ${user_name.content?.name} (${client_roots.roots.length} roots)`);
  }, true),
  tool('test_input_required_result_multi_round', 'Asks twice', NOTHING, async (call) => {
    const { step1 } = await call.ask({ step1: form('Step 1: name?', { name: { type: 'string' } }, ['name']) });
    const { step2 } = await call.ask({ step2: form('Step 2: colour?', { color: { type: 'string' } }, ['color']) });
    return said(`${step1.content?.name} likes ${step2.content?.color}`);
  }, true),
  tool('test_input_required_result_tampered_state', 'Asks, and checks its state', NOTHING, async (call) => {
    await call.ask({ confirm: ask_ok });
    return said('The state was mine.');
  }, true),
  tool('test_input_required_result_capabilities', 'Asks what the client can answer', NOTHING, async (call) => {
    const questions = {};
    if (call.capabilities.elicitation) questions.elicit_input = ask_name;
    if (call.capabilities.sampling) questions.sample_input = sample('Anything', 50);
    if (Object.keys(questions).length === 0) return said('The client can answer nothing.');
    return said(`Answered: ${Object.keys(await call.ask(questions)).join(', ')}`);
  }, true),
];

const user = (content) => ({ role: 'user', content });

export const PROMPTS = [
  { name: 'test_simple_prompt', description: 'Without arguments',
    run: () => ({ messages: [user(text('A simple prompt.'))] }) },
  { name: 'test_prompt_with_arguments', description: 'With two arguments',
    arguments: [{ name: 'arg1', description: 'The first', required: true },
      { name: 'arg2', description: 'The second', required: true }],
    run: (call) => ({ messages: [user(text(`arg1=${call.arguments.arg1}, arg2=${call.arguments.arg2}`))] }) },
  { name: 'test_prompt_with_embedded_resource', description: 'With a resource inside',
    arguments: [{ name: 'resourceUri', description: 'Which resource', required: true }],
    run: (call) => ({ messages: [
      user({ type: 'resource', resource: { uri: call.arguments.resourceUri, mimeType: 'text/plain', text: 'Inside.' } }),
      user(text('Read what is above.')),
    ] }) },
  { name: 'test_prompt_with_image', description: 'With an image',
    run: () => ({ messages: [user(image), user(text('Look at what is above.'))] }) },
  { name: 'test_input_required_result_prompt', description: 'Asks before it answers',
    run: async (call) => {
      const question = form('Which context?', { context: { type: 'string' } }, ['context']);
      const { user_context } = await call.ask({ user_context: question });
      return { messages: [user(text(`Context: ${user_context.content?.context}`))] };
    } },
];

export const RESOURCES = [
  { uri: 'test://static-text', name: 'Static text', description: 'A text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'Static image', description: 'An image', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'Watched', description: 'Can be subscribed to', mimeType: 'text/plain' },
];

export const TEMPLATES = [
  { uriTemplate: 'test://template/{id}/data', name: 'By id', description: 'A template', mimeType: 'application/json' },
];

/** The contents of a resource, or undefined where there is none. */
export function read(uri) {
  const found = (content) => ({ contents: [{ uri, ...content }] });
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) return found({ mimeType: 'application/json', text: JSON.stringify({ id }) });
  switch (uri) {
    case 'test://static-text': return found({ mimeType: 'text/plain', text: 'A static text.' });
    case 'test://static-binary': return found({ mimeType: 'image/png', blob: PIXEL });
    case 'test://watched-resource': return found({ mimeType: 'text/plain', text: 'Watch me.' });
    default: return undefined;
  }
}

export function complete(argument) {
  const values = ['testing', 'tested', 'paris'].filter((value) => value.startsWith(argument.value));
  return { completion: { values, total: values.length, hasMore: false } };
}

/** Makes the list another one: its first entry is described in other words. */
function change(list) {
  const [first] = list;
  first.description = first.description.endsWith('!') ? first.description.slice(0, -1) : `${first.description}!`;
}

/** A list entry without what only the server needs. */
export const shown = ({ run, state, ...entry }) => entry;
export const named = (list, name) => list.find((entry) => entry.name === name);
