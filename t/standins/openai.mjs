
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A stand-in for OpenAI's Conversations and Responses.  It is stateful the
 * way the real one is: items join a conversation only when a response is
 * complete, a conversation is locked while one runs, a conversation that does
 * not exist is a 404.  What it says comes from a script, a function of what
 * it was asked.
 *
 *   const openai = await start({ keys: ['sk-…'], script, think });
 *   openai.conversations       Map of id -> { items, ... }
 *   openai.calls               POST /v1/responses that were let in
 *   openai.overlaps            those that met a locked conversation
 *   openai.fault({ ... })      see server.mjs
 *
 * The script gets { model, instructions, input, schema, metadata, remembered,
 * said } and returns a string, an object (for a JSON schema), or
 * { output, status, ... } to form the response itself.  "said" is what the
 * person said so far, oldest first, as { channel, text }.
 *
 * Alone: node openai.mjs --port 9101 --key sk-…
 */

import crypto from 'node:crypto';
import { bearer, json, options, run, serve } from './server.mjs';

const NAMES = { whatsapp: 'WhatsApp', sms: 'SMS', email: 'email' };

const MEMBERS = new Set([
    'model', 'conversation', 'previous_response_id', 'input', 'instructions',
    'tools', 'tool_choice', 'parallel_tool_calls', 'max_tool_calls', 'text',
    'max_output_tokens', 'reasoning', 'store', 'background', 'stream',
    'stream_options', 'metadata', 'safety_identifier', 'prompt_cache_key',
    'prompt_cache_options', 'service_tier', 'include', 'moderation',
    'context_management', 'temperature', 'top_p', 'top_logprobs', 'user',
    'truncation', 'prompt', 'prompt_cache_retention',
]);


export async function start({ port = 0, keys, script = story,
    think = () => 0, models = null, oncall = null } = {}) {
    const state = {
        conversations: new Map(),
        calls: [],
        overlaps: [],
        strange: [],
        running: 0,
        script,
        think,
        models,
        oncall,
    };

    const server = await serve({
        port,
        handle: async (request) => {
            const answer = keys.includes(bearer(request))
                ? await route(state, request)
                : problem(401, 'Incorrect API key provided.',
                    'invalid_request_error', null, 'invalid_api_key');

            Object.assign(answer.headers, limits());

            return answer;
        },
    });

    return Object.assign(state, server);
}


/* the answers of an assistant that shows that it remembers */
export function story({ schema, said, input, remembered, instructions }) {
    const facts = [...remembered, ...input].map((i) => text(i)).join('\n');
    const name = fact(facts, 'recipient_first_name')
        ?? fact(instructions ?? '', 'recipient_first_name');
    const who = name === undefined ? '' : `, ${name}`;

    if (schema !== null) {
        return first(schema, name ?? 'there', facts);
    }

    if (said.length === 0) {
        return `Hello${who}.`;
    }

    const last = said[said.length - 1];
    const before = said.slice(0, -1).map((s) =>
        `You told me ${on(s.channel)}: "${s.text}"`);
    const now = `now ${on(last.channel)}: "${last.text}"`;

    return before.length === 0
        ? `You wrote ${on(last.channel)}: "${last.text}". Thank you${who}.`
        : `${before.join(' ')} - and ${now}. Noted${who}.`;
}


/* what a user item says: where, and what */
export function heard(item) {
    const m = /^\[(whatsapp|sms|email)\]\s*([\s\S]*)$/i.exec(text(item));

    return m === null ? { channel: null, text: text(item) } : {
        channel: m[1].toLowerCase(),
        text: m[2].replace(/^Subject: [^\n]*\n\n/, '').trim(),
    };
}


async function route(state, request) {
    const [, v1, kind, id, sub, item] = request.path.split('/');

    if (v1 !== 'v1') {
        return problem(404, 'Not found');
    }

    if (kind === 'responses' && request.method === 'POST' && !id) {
        return respond(state, request);
    }

    if (kind !== 'conversations') {
        return problem(404, `Invalid URL (${request.method} ${request.path})`);
    }

    if (!id) {
        return request.method === 'POST' ? create(state, request)
            : problem(405, 'Method not allowed');
    }

    const conversation = state.conversations.get(id);

    if (conversation === undefined) {
        return unknown(id);
    }

    if (sub === 'items') {
        return items(conversation, request, item);
    }

    return one(state, conversation, request);
}


function create(state, request) {
    const body = document(request);

    if (body === null) {
        return problem(400, 'We could not parse the JSON body of your '
            + 'request.');
    }

    const wrong = badMetadata(body.metadata) ?? badItems(body.items ?? []);

    if (wrong !== null) {
        return problem(400, wrong);
    }

    const conversation = {
        id: newId('conv'),
        created_at: now(),
        metadata: body.metadata ?? {},
        items: (body.items ?? []).map(stored),
        busy: false,
        request,
    };

    state.conversations.set(conversation.id, conversation);

    return json(200, shown(conversation));
}


function one(state, conversation, request) {
    if (request.method === 'GET') {
        return json(200, shown(conversation));
    }

    if (request.method === 'DELETE') {
        state.conversations.delete(conversation.id);

        return json(200, {
            id: conversation.id, object: 'conversation.deleted', deleted: true,
        });
    }

    if (request.method === 'POST') {
        const body = document(request);
        const wrong = body === null ? 'not JSON' : badMetadata(body.metadata);

        if (wrong !== null) {
            return problem(400, wrong, undefined, 'metadata');
        }

        conversation.metadata = body.metadata;

        return json(200, shown(conversation));
    }

    return problem(405, 'Method not allowed');
}


function items(conversation, request, id) {
    if (id) {
        return oneItem(conversation, request, id);
    }

    if (request.method === 'GET') {
        return json(200, page(conversation.items, request.query));
    }

    if (request.method !== 'POST') {
        return problem(405, 'Method not allowed');
    }

    const body = document(request);
    const wrong = !Array.isArray(body?.items) || body.items.length < 1
        ? "Missing required parameter: 'items'." : badItems(body.items);

    if (wrong !== null) {
        return problem(400, wrong, undefined, 'items');
    }

    if (conversation.busy) {
        return locked();
    }

    const added = body.items.map(stored);

    conversation.items.push(...added);

    return json(200, listed(added, false));
}


function oneItem(conversation, request, id) {
    const i = conversation.items.findIndex((item) => item.id === id);

    if (i < 0) {
        return problem(404, `Item with id '${id}' not found.`);
    }

    if (request.method === 'GET') {
        return json(200, conversation.items[i]);
    }

    if (request.method !== 'DELETE') {
        return problem(405, 'Method not allowed');
    }

    conversation.items.splice(i, 1);

    return json(200, shown(conversation));
}


async function respond(state, request) {
    const body = document(request);

    if (body === null) {
        return problem(400, 'We could not parse the JSON body of your '
            + 'request.');
    }

    state.strange.push(...Object.keys(body).filter((k) => !MEMBERS.has(k)));

    const wrong = badResponse(state, body);

    if (wrong !== null) {
        return wrong;
    }

    const id = typeof body.conversation === 'object'
        ? body.conversation?.id : body.conversation;
    const conversation = id === undefined ? null
        : state.conversations.get(id);

    if (conversation === undefined) {
        return unknown(id);
    }

    if (conversation?.busy) {
        state.overlaps.push({ id, at: Date.now() });
        return locked();
    }

    const call = {
        request,
        body,
        conversation: id ?? null,
        began: Date.now(),
        ended: null,
        remembered: conversation?.items.length ?? 0,
    };

    state.calls.push(call);
    state.oncall?.(call);

    if (conversation !== null) {
        conversation.busy = true;
    }

    state.running += 1;

    try {
        const ms = state.think(call);

        if (ms > 0) {
            await new Promise((resolve) => { setTimeout(resolve, ms); });
        }

        return await complete(state, conversation, call);
    } finally {
        state.running -= 1;
        call.ended = Date.now();

        if (conversation !== null) {
            conversation.busy = false;
        }
    }
}


async function complete(state, conversation, call) {
    const { body } = call;
    const input = (typeof body.input === 'string'
        ? [{ role: 'user', content: body.input }] : body.input ?? [])
        .map(stored);
    const format = body.text?.format ?? { type: 'text' };
    const schema = format.type === 'json_schema' ? format.schema : null;
    const memory = conversation?.items ?? [];

    const said = await state.script({
        model: body.model,
        instructions: body.instructions,
        input,
        schema,
        metadata: body.metadata ?? {},
        remembered: memory,
        said: [...memory, ...input].filter(fromPerson).map(heard),
    });

    const formed = form(said);
    const response = resource(call, input, formed);

    call.input = input;
    call.said = said;
    call.response = response;

    if (conversation !== null && response.status === 'completed') {
        conversation.items.push(...input, ...response.output);
    }

    return json(200, response, {
        'openai-processing-ms': String(Date.now() - call.began),
    });
}


/* what a script returned, as the members of a response */
function form(said) {
    if (typeof said === 'object' && Array.isArray(said.output)) {
        return {
            ...said,
            output: said.output.map((o) => ({ id: newId('msg'), ...o })),
        };
    }

    return {
        output: [message(typeof said === 'string' ? said
            : JSON.stringify(said))],
    };
}


/* an output item that says something */
export function message(words, members = {}) {
    return {
        id: newId('msg'),
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{
            type: 'output_text', text: words, annotations: [], logprobs: [],
        }],
        ...members,
    };
}


/* an output item that declines */
export function refusal(words) {
    return message('', { content: [{ type: 'refusal', refusal: words }] });
}


function resource(call, input, formed) {
    const { body } = call;
    const inTokens = tokens(JSON.stringify(input))
        + tokens(body.instructions ?? '') + call.remembered * 12;
    const outTokens = tokens(JSON.stringify(formed.output));

    return {
        id: newId('resp'),
        object: 'response',
        created_at: now(),
        completed_at: now(),
        status: 'completed',
        background: false,
        error: null,
        incomplete_details: null,
        instructions: body.instructions ?? null,
        max_output_tokens: body.max_output_tokens ?? null,
        model: body.model,
        parallel_tool_calls: true,
        previous_response_id: null,
        reasoning: { effort: null, summary: null },
        service_tier: 'default',
        store: body.store ?? true,
        temperature: 1,
        text: body.text ?? { format: { type: 'text' } },
        tool_choice: 'auto',
        tools: [],
        top_p: 1,
        truncation: 'disabled',
        usage: {
            input_tokens: inTokens,
            input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
            output_tokens: outTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: inTokens + outTokens,
        },
        metadata: body.metadata ?? {},
        ...call.conversation === null ? {}
            : { conversation: { id: call.conversation } },
        ...formed,
    };
}


function badResponse(state, body) {
    if (typeof body.model !== 'string' || body.model === '') {
        return problem(400, "Missing required parameter: 'model'.",
            undefined, 'model', 'missing_required_parameter');
    }

    if (state.models !== null && !state.models.includes(body.model)) {
        return problem(404, `The model '${body.model}' does not exist or you `
            + 'do not have access to it.', undefined, null, 'model_not_found');
    }

    if (body.conversation && body.previous_response_id) {
        return problem(400, 'Mutually exclusive parameters.');
    }

    if (body.max_output_tokens !== undefined
        && !(Number.isInteger(body.max_output_tokens)
            && body.max_output_tokens >= 16))
    {
        return problem(400, "Invalid 'max_output_tokens'.", undefined,
            'max_output_tokens', 'integer_below_min_value');
    }

    const format = body.text?.format;

    if (format?.type === 'json_schema') {
        const wrong = badSchema(format);

        if (wrong !== null) {
            return problem(400, wrong, undefined, 'text.format',
                'invalid_json_schema');
        }
    }

    const wrong = badMetadata(body.metadata)
        ?? (Array.isArray(body.input) ? badItems(body.input) : null);

    return wrong === null ? null : problem(400, wrong);
}


function badSchema(format) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(format.name ?? '')) {
        return "Invalid 'text.format.name'.";
    }

    return format.strict ? strict(format.schema, 'root') : null;
}


/* strict schemas: all members required, none additional */
function strict(schema, where) {
    if (schema?.type !== 'object') {
        return null;
    }

    const names = Object.keys(schema.properties ?? {});

    if (schema.additionalProperties !== false) {
        return `Invalid schema: 'additionalProperties' is required to be `
            + `false (${where}).`;
    }

    if (names.some((n) => !(schema.required ?? []).includes(n))) {
        return `Invalid schema: 'required' must include every key (${where}).`;
    }

    for (const name of names) {
        const wrong = strict(schema.properties[name], `${where}.${name}`);

        if (wrong !== null) {
            return wrong;
        }
    }

    return null;
}


function badMetadata(metadata = {}) {
    const pairs = metadata === null || typeof metadata !== 'object' ? null
        : Object.entries(metadata);

    return pairs !== null && pairs.length <= 16
        && pairs.every(([k, v]) => k.length <= 64 && typeof v === 'string'
            && v.length <= 512)
        ? null : "Invalid 'metadata'.";
}


function badItems(list) {
    if (!Array.isArray(list) || list.length > 1000) {
        return "Invalid 'items'.";
    }

    const bad = list.find((i) => (i.type ?? 'message') === 'message'
        && !(['user', 'assistant', 'system', 'developer'].includes(i.role)
            && (typeof i.content === 'string' || Array.isArray(i.content))));

    return bad === undefined ? null : "Invalid value: 'input'.";
}


/* an input item as the conversation keeps it */
function stored(item) {
    const type = item.role === 'assistant' ? 'output_text' : 'input_text';

    return {
        status: 'completed',
        ...item,
        id: item.id ?? newId('msg'),
        type: item.type ?? 'message',
        content: typeof item.content === 'string'
            ? [{
                type,
                text: item.content,
                ...type === 'output_text'
                    ? { annotations: [], logprobs: [] } : {},
            }]
            : item.content,
    };
}


function page(all, query) {
    const limit = Math.min(Math.max(Number(query.get('limit') ?? 20), 1), 100);
    const sorted = query.get('order') === 'asc' ? all : [...all].reverse();
    const after = sorted.findIndex((i) => i.id === query.get('after'));
    const found = sorted.slice(after + 1, after + 1 + limit);

    return listed(found, after + 1 + limit < sorted.length);
}


function listed(data, more) {
    return {
        object: 'list',
        data,
        first_id: data[0]?.id ?? null,
        last_id: data[data.length - 1]?.id ?? null,
        has_more: more,
    };
}


function shown({ id, created_at, metadata }) {
    return { id, object: 'conversation', created_at, metadata };
}


function text(item) {
    return (Array.isArray(item.content) ? item.content : [])
        .map((c) => c.text ?? '').join('');
}


/* user items that carry the facts of the start are not the person's words */
function fromPerson(item) {
    return item.type === 'message' && item.role === 'user'
        && !/recipient_first_name/.test(text(item));
}


function first(schema, name, facts) {
    const role = fact(facts, 'jobRole');
    const about = role === undefined ? 'your application' : `the ${role} role`;
    const words = {
        whatsapp: `Hi ${name}, it is about ${about}. When may we talk?`,
        sms: `${name}, about ${about}: when may we talk?`,
        email: `Dear ${name},\n\nthank you for your interest in ${about}. `
            + 'When would be a good time to talk?\n\nKind regards',
    };
    const answer = {};

    for (const [channel, member] of Object.entries(schema.properties)) {
        answer[channel] = {};

        for (const key of Object.keys(member.properties ?? {})) {
            answer[channel][key] = key === 'subject'
                ? `About ${about}` : words[channel] ?? words.email;
        }
    }

    return answer;
}


/* a member of some JSON within a text */
function fact(words, member) {
    const m = new RegExp(`\\\\?"${member}\\\\?"\\s*:\\s*\\\\?"([^"\\\\]*)`)
        .exec(words) ?? new RegExp(`\\b${member}: *([^\\n,]+)`).exec(words);

    return m?.[1];
}


function on(channel) {
    return channel === null ? 'here'
        : channel === 'email' ? 'by email' : `on ${NAMES[channel]}`;
}


function document(request) {
    if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
        return null;
    }

    try {
        const found = JSON.parse(new TextDecoder('utf-8', { fatal: true })
            .decode(request.body));

        return found !== null && typeof found === 'object'
            && !Array.isArray(found) ? found : null;
    } catch {
        return null;
    }
}


function problem(status, words, type = 'invalid_request_error', param = null,
    code = null) {
    return json(status, { error: { message: words, type, param, code } });
}


function unknown(id) {
    return problem(404, `Conversation with id '${id}' not found.`);
}


function locked() {
    return problem(400, 'Another process is currently operating on this '
        + 'conversation. Please retry in a few seconds.',
        'invalid_request_error', 'conversation', 'conversation_locked');
}


function limits() {
    return {
        'x-request-id': `req_${crypto.randomBytes(16).toString('hex')}`,
        'openai-version': '2020-10-01',
        'openai-organization': 'stand-in',
        'x-ratelimit-limit-requests': '10000',
        'x-ratelimit-remaining-requests': '9999',
        'x-ratelimit-reset-requests': '6ms',
        'x-ratelimit-limit-tokens': '2000000',
        'x-ratelimit-remaining-tokens': '1999000',
        'x-ratelimit-reset-tokens': '30ms',
    };
}


function newId(kind) {
    return `${kind}_${crypto.randomBytes(24).toString('hex')}`;
}


function now() {
    return Math.floor(Date.now() / 1000);
}


function tokens(words) {
    return Math.ceil(words.length / 4);
}


if (import.meta.url === `file://${process.argv[1]}`) {
    const o = options();

    await run(start, {
        port: Number(o.port ?? 0),
        keys: [o.key],
        oncall: (c) => console.log(`asked about ${c.conversation}`),
    });
}
