
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The official API descriptions, made digestible for Prism; the meaning stays.
 *
 *   Twilio    repeatable form fields are written out, as the API takes them
 *   OpenAI    unions overlap, so "one of" becomes "any of"
 *   Meta      a message is its common members and those of its type, which
 *             shut each other out as written; "recipient" joined in 2026
 *   SendGrid  custom_args is an object, as the API's own documentation says
 */

import fs from 'node:fs';
import path from 'node:path';

export const FILES = {
    openai: 'openai-responses-conversations-webhooks.json',
    twilio: 'twilio-api-v2010-messages.json',
    meta: 'meta-whatsapp-messages-v23.json',
    sendgrid: 'sendgrid-tsg_mail_v3.json',
};

const PATCHES = { openai, twilio, meta, sendgrid };


/* writes the patched description into "to"; its path */
export function patch(name, from, to) {
    const spec = JSON.parse(fs.readFileSync(path.join(from, FILES[name]),
        'utf8'));
    const file = path.join(to, `${name}.json`);

    PATCHES[name](spec);
    fs.writeFileSync(file, JSON.stringify(spec));

    return file;
}


function openai(spec) {
    walk(spec, (node) => {
        if (Array.isArray(node.oneOf)) {
            node.anyOf = [...node.anyOf ?? [], ...node.oneOf];
            delete node.oneOf;
            delete node.discriminator;
        }
    });
}


function twilio(spec) {
    walk(spec, (node) => {
        const form = node.content?.['application/x-www-form-urlencoded'];

        for (const [name, field] of Object.entries(
            form?.schema?.properties ?? {}))
        {
            if (field.type === 'array') {
                form.encoding ??= {};
                form.encoding[name] = { style: 'form', explode: true };
            }
        }
    });
}


/* unknown members stay forbidden: what both halves know is listed in each */
function meta(spec) {
    const { schemas } = spec.components;
    const base = schemas.BaseMessageProperties;

    base.required = base.required.filter((name) => name !== 'to');
    base.anyOf = [{ required: ['to'] }, { required: ['recipient'] }];
    Object.assign(base.properties, {
        recipient: { type: 'string', pattern: '^[A-Z]{2}\\.' },
        biz_opaque_callback_data: { type: 'string', maxLength: 512 },
    });
    base.properties.to.pattern = '^\\+?[0-9]+$';

    for (const schema of Object.values(schemas)) {
        const own = schema.allOf?.[1];

        if (schema.allOf?.[0].$ref?.endsWith('/BaseMessageProperties')) {
            own.additionalProperties = false;
            own.properties = { ...base.properties, ...own.properties };
        }
    }
}


function sendgrid(spec) {
    walk(spec, (node) => {
        if (node.properties?.custom_args?.type === 'string') {
            node.properties.custom_args.type = 'object';
        }
    });
}


function walk(node, visit) {
    if (node === null || typeof node !== 'object') {
        return;
    }

    if (!Array.isArray(node)) {
        visit(node);
    }

    Object.values(node).forEach((child) => walk(child, visit));
}
