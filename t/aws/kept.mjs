
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects and credentials as they are kept on AWS, written by AWS's own SDK:
 * items of the company-data table, secrets of Secrets Manager.
 */

import { CreateSecretCommand, DeleteSecretCommand, PutSecretValueCommand,
    SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { DynamoDBClient, PutItemCommand }
    from '@aws-sdk/client-dynamodb';

import { project, secrets } from '../lib/world.mjs';
import { KEYS, REGION } from './front.mjs';
import { SecretsManager } from './secretsmanager.mjs';

export const TABLE = 'company-data';
export const NAME = 'comms/';


/* the attribute value of a JSON value */
function value(plain) {
    switch (typeof plain) {
    case 'string':
        return { S: plain };
    case 'number':
        return { N: String(plain) };
    case 'boolean':
        return { BOOL: plain };
    default:
    }

    if (plain === null) {
        return { NULL: true };
    }

    return Array.isArray(plain) ? { L: plain.map(value) } : { M: item(plain) };
}


function item(object) {
    return Object.fromEntries(Object.entries(object).map(([key, one]) =>
        [key, value(one)]));
}


export class Kept {
    static async start(emulators) {
        const kept = new Kept();

        kept.manager = await new SecretsManager().start();
        emulators.front.targets.secretsmanager = kept.manager.url;
        emulators.others.push(kept);
        kept.secrets = new SecretsManagerClient({ region: REGION,
            credentials: KEYS, endpoint: kept.manager.url });
        kept.table = new DynamoDBClient(emulators.options);

        await kept.project(project());

        for (const [id, credentials] of Object.entries(secrets())) {
            await kept.create(id, credentials);
        }

        return kept;
    }

    /* a project, found by the first of its keys */
    async project(document) {
        await this.table.send(new PutItemCommand({ TableName: TABLE,
            Item: item({ ...document,
                gsi_api_key_sha256: document.api_key_sha256[0] }) }));
    }

    async create(id, credentials) {
        await this.secrets.send(new CreateSecretCommand({ Name: NAME + id,
            SecretString: JSON.stringify(credentials) }));
    }

    async rotate(id, credentials) {
        await this.secrets.send(new PutSecretValueCommand({
            SecretId: NAME + id,
            SecretString: JSON.stringify(credentials) }));
    }

    async remove(id) {
        await this.secrets.send(new DeleteSecretCommand({
            SecretId: NAME + id, ForceDeleteWithoutRecovery: true }));
    }

    async stop() {
        this.secrets.destroy();
        this.table.destroy();
        await this.manager.stop();
    }
}
