
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The tables of the DynamoDB store, in either layout, as its file head in
 * src/store/ngx_comms_store_dynamodb.c describes them.
 */

import { CreateTableCommand, DynamoDBClient, waitUntilTableExists }
    from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';

export { BatchWriteItemCommand, GetItemCommand, PutItemCommand,
    ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
export { DynamoDBClient, dynalite };

const NUMBERS = new Set(['gsi_sweep_at']);
const SWEEP = { 'sweep-index': ['gsi_sweep', 'gsi_sweep_at'] };
const KEYS_ONLY = new Set(['sweep-index', 'open-index']);

const LAYOUTS = {
    single: { key: ['thread_id', 'sort_key'], indices: {} },
    per_channel: {
        key: ['primary_channel', 'conversation_id'],
        indices: { 'thread-id-index': ['thread_id'] },
    },
};

const INDICES = {
    'company-created-index': ['gsi_company_id', 'gsi_created'],
    'open-index': ['gsi_open'],
    'company-whatsapp-number-recipient-tel-index':
        ['gsi_company_whatsapp_number', 'gsi_recipient_tel'],
    'company-sms-number-recipient-tel-index':
        ['gsi_company_sms_number', 'gsi_recipient_tel'],
    'company-email-recipient-email-index':
        ['gsi_company_email', 'gsi_recipient_email'],
    MessageIdIndex: ['initial_email_message_id'],
    'company-id-project-id-index': ['company_id', 'project_id'],
    ...SWEEP,
};


function keys(names) {
    return names.map((name, i) => ({ AttributeName: name,
        KeyType: i === 0 ? 'HASH' : 'RANGE' }));
}


function table(name, key, indices) {
    const used = new Set([key, ...Object.values(indices)].flat());

    return {
        TableName: name,
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: keys(key),
        AttributeDefinitions: [...used].map((attribute) => ({
            AttributeName: attribute,
            AttributeType: NUMBERS.has(attribute) ? 'N' : 'S' })),
        ...(Object.keys(indices).length === 0 ? {} : {
            GlobalSecondaryIndexes: Object.entries(indices)
                .map(([index, names]) => ({
                    IndexName: index,
                    KeySchema: keys(names),
                    Projection: { ProjectionType: KEYS_ONLY.has(index)
                        ? 'KEYS_ONLY' : 'ALL' } })),
        }),
    };
}


/*
 * What CreateTable takes; "names": {table, inbound, consent, effects?,
 * locks?, projects?}.
 */
export function tables(layout, names) {
    const { key, indices } = LAYOUTS[layout];
    const plain = ['item_key', 'sort_key'];

    return [
        table(names.table, key, { ...INDICES, ...indices }),
        table(names.inbound, plain, SWEEP),
        table(names.consent, plain, {}),
        ...(names.effects ? [table(names.effects, plain, {})] : []),
        table(names.locks ?? 'comms-locks', plain, {}),
        ...(names.projects ? [table(names.projects,
            ['company_id', 'project_id'],
            { 'api-key-sha256-index': ['gsi_api_key_sha256'] })] : []),
    ];
}


/* "change" makes other definitions of them: something is missing there */
export async function createTables(options, layout, names,
    change = (definitions) => definitions) {
    const client = new DynamoDBClient(options);

    try {
        for (const one of change(tables(layout, names))) {
            await client.send(new CreateTableCommand(one));
            await waitUntilTableExists({ client, maxWaitTime: 60,
                minDelay: 1, maxDelay: 1 }, { TableName: one.TableName });
        }
    } finally {
        client.destroy();
    }
}
