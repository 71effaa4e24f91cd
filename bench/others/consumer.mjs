/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A consumer of a queue as programs for node have one, by the npm package
 * sqs-consumer: each message is parsed and done with.
 *
 *   BENCH_PORT      where it says how many it has done
 *   BENCH_QUEUE     URL of the queue
 *   BENCH_ENDPOINT  of SQS
 *   BENCH_BATCH     1: ten messages are handled and deleted by one call
 *   BENCH_READ      what GetItem is asked for each message; empty: nothing
 */

import http from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../t/aws/package.json',
    import.meta.url));
const { SQSClient } = require('@aws-sdk/client-sqs');
const { DynamoDBClient, GetItemCommand } = require('@aws-sdk/client-dynamodb');
const { Consumer } = require('sqs-consumer');

const how = { region: process.env.AWS_REGION,
    endpoint: process.env.BENCH_ENDPOINT };
const item = process.env.BENCH_READ === '' ? null
    : JSON.parse(process.env.BENCH_READ);
const tables = new DynamoDBClient(how);

let done = 0;

async function handle(message) {
    if (typeof JSON.parse(message.Body).body.kind !== 'string') {
        throw new Error('no message of ours');
    }

    if (item && !(await tables.send(new GetItemCommand(item))).Item) {
        throw new Error('no such item');
    }

    done++;
}

const consumer = Consumer.create({
    queueUrl: process.env.BENCH_QUEUE,
    sqs: new SQSClient(how),
    batchSize: 10,
    waitTimeSeconds: 20,
    ...process.env.BENCH_BATCH === '1' ? {
        handleMessageBatch: async (messages) => {
            await Promise.all(messages.map(handle));

            return messages;
        },
    } : {
        handleMessage: async (message) => {
            await handle(message);

            return message;
        },
    },
});

consumer.on('error', (err) => {
    console.error(err.stack);
    process.exit(1);
});
consumer.on('processing_error', (err) => {
    console.error(err.stack);
    process.exit(1);
});
consumer.start();

http.createServer((request, response) => {
    response.end(String(done));
}).listen(Number(process.env.BENCH_PORT), '127.0.0.1');
