
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Secrets Manager, as far as the engine and the SDK use it here: secrets with
 * versions and their stages.  What the engine asks by an operation that the
 * official description has is held against it, member by member; the rest
 * against what is written down below.
 *
 *   wrong   what did not fit, in words
 *   asked   [{ operation, body }]
 */

import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

import { TOP } from '../lib/nginx.mjs';
import { ACCOUNT, REGION } from './front.mjs';

const FILE = path.resolve(TOP, process.env.COMMS_API_SPECS ?? '../shared/specs',
    'aws-secretsmanager.service-2.trimmed.json');

/* the description at hand may be without the operation */
const SHAPES = {
    ListSecretsRequest: { type: 'structure', members: {
        MaxResults: { shape: 'MaxResultsType' },
        NextToken: { shape: 'NextTokenType' },
        Filters: { shape: 'FiltersListType' },
        SortOrder: { shape: 'NextTokenType' },
    } },
    MaxResultsType: { type: 'integer', min: 1, max: 100 },
    NextTokenType: { type: 'string', min: 1, max: 4096 },
    FiltersListType: { type: 'list', max: 10, member: { shape: 'Filter' } },
    Filter: { type: 'structure', members: { Key: { shape: 'FilterKey' },
        Values: { shape: 'FilterValues' } } },
    FilterKey: { type: 'string', enum: ['description', 'name', 'tag-key',
        'tag-value', 'primary-region', 'owning-service', 'all'] },
    FilterValues: { type: 'list', min: 1, max: 10,
        member: { shape: 'FilterValue' } },
    FilterValue: { type: 'string', min: 1, max: 512 },
};


export class SecretsManager {
    constructor() {
        const found = fs.existsSync(FILE)
            ? JSON.parse(fs.readFileSync(FILE, 'utf8')) : { shapes: {} };

        this.described = fs.existsSync(FILE);
        this.shapes = { ...SHAPES, ...found.shapes };
        this.secrets = new Map();
        this.asked = [];
        this.wrong = [];
        this.pageSize = 100;
        this.server = http.createServer(async (request, response) => {
            const chunks = [];

            for await (const chunk of request) {
                chunks.push(chunk);
            }

            const [service, operation] = String(
                request.headers['x-amz-target']).split('.');
            const body = JSON.parse(Buffer.concat(chunks).toString());

            if (service !== 'secretsmanager'
                || request.headers['content-type']
                    !== 'application/x-amz-json-1.1') {
                this.wrong.push(`target or type of ${operation}`);
            }

            const [status, answer] = this.answer(operation, body);

            response.writeHead(status, {
                'Content-Type': 'application/x-amz-json-1.1' });
            response.end(JSON.stringify(answer));
        });
    }

    async start() {
        await new Promise((resolve) => {
            this.server.listen(0, '127.0.0.1', resolve);
        });
        this.url = `http://127.0.0.1:${this.server.address().port}`;

        return this;
    }

    async stop() {
        this.server.closeAllConnections();
        await new Promise((resolve) => { this.server.close(resolve); });
    }

    /* a value against the shape of that name */
    check(name, value, where) {
        const shape = this.shapes[name];
        const type = { string: 'string', integer: 'number',
            boolean: 'boolean' }[shape?.type];

        if (shape === undefined) {
            return;
        }

        if (shape.type === 'structure') {
            for (const member of shape.required ?? []) {
                if (value?.[member] === undefined) {
                    this.wrong.push(`${where}: no ${member}`);
                }
            }

            for (const [member, one] of Object.entries(value ?? {})) {
                if (!(member in shape.members)) {
                    this.wrong.push(`${where}: unknown ${member}`);
                } else {
                    this.check(shape.members[member].shape, one,
                        `${where}.${member}`);
                }
            }
        } else if (shape.type === 'list') {
            if (!Array.isArray(value)) {
                this.wrong.push(`${where}: is no list`);
                return;
            }

            value.forEach((one) => this.check(shape.member.shape, one, where));
            this.bounds(shape, value.length, where);
        } else if (type !== undefined && typeof value !== type) {
            this.wrong.push(`${where}: is no ${shape.type}`);
        } else {
            this.bounds(shape, type === 'number' ? value
                : String(value).length, where);

            if (shape.enum && !shape.enum.includes(value)) {
                this.wrong.push(`${where}: "${value}"`);
            }
        }
    }

    bounds({ min = -Infinity, max = Infinity }, n, where) {
        if (n < min || n > max) {
            this.wrong.push(`${where}: ${n} is not within ${min} and ${max}`);
        }
    }

    answer(operation, body) {
        this.asked.push({ operation, body });
        this.check(`${operation}Request`, body, operation);

        const secret = this.secrets.get(body.SecretId);

        switch (operation) {
        case 'CreateSecret':
            this.secrets.set(body.Name, { Name: body.Name, versions: [],
                ARN: `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:`
                    + `${body.Name}-AbCdEf` });
            return this.put(this.secrets.get(body.Name), body.SecretString);
        case 'ListSecrets':
            return this.list(body);
        default:
        }

        if (secret === undefined) {
            return [400, { __type: 'ResourceNotFoundException',
                Message: 'Secrets Manager can\'t find the specified secret.' }];
        }

        switch (operation) {
        case 'PutSecretValue':
            return this.put(secret, body.SecretString);
        case 'DeleteSecret':
            this.secrets.delete(secret.Name);
            return [200, { ARN: secret.ARN, Name: secret.Name }];
        case 'GetSecretValue':
            return this.get(secret, body.VersionStage ?? 'AWSCURRENT');
        default:
            return [400, { __type: 'UnknownOperationException' }];
        }
    }

    /* the current version becomes the previous one */
    put(secret, text) {
        secret.versions.unshift({ id: crypto.randomUUID(), text });
        secret.versions.length = Math.min(secret.versions.length, 2);

        return [200, { ARN: secret.ARN, Name: secret.Name,
            VersionId: secret.versions[0].id }];
    }

    get(secret, stage) {
        const version = secret.versions[
            ['AWSCURRENT', 'AWSPREVIOUS'].indexOf(stage)];

        return version === undefined
            ? [400, { __type: 'ResourceNotFoundException',
                Message: `no version with ${stage}` }]
            : [200, { ARN: secret.ARN, Name: secret.Name,
                VersionId: version.id, SecretString: version.text,
                VersionStages: [stage],
                CreatedDate: Date.now() / 1000 }];
    }

    list({ MaxResults = 100, NextToken = '0', Filters = [] }) {
        const names = [...this.secrets.keys()].sort().filter((name) =>
            Filters.every(({ Key, Values }) => Key !== 'name'
                || Values.some((value) => name.startsWith(value))));
        const size = Math.min(MaxResults, this.pageSize);
        const at = Number(NextToken);

        return [200, {
            SecretList: names.slice(at, at + size).map((name) => ({
                Name: name, ARN: this.secrets.get(name).ARN })),
            ...(at + size < names.length ? { NextToken: `${at + size}` } : {}),
        }];
    }
}
