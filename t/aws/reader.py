# Copyright (C) the ngx_http_comms_module authors
#
# A second client of the tables: reads threads with boto3, by the key names and
# the indices that the product promises, and by nothing else.
#
#   reader.py ENDPOINT TABLE LAYOUT < thread ids, one a line
#
# Prints a JSON object: thread id -> {"records": [], "messages": []}.

import json
import sys

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

ENDPOINT, TABLE, LAYOUT = sys.argv[1:]
table = boto3.resource(
    'dynamodb', endpoint_url=ENDPOINT, region_name='us-east-1',
    aws_access_key_id='A', aws_secret_access_key='B',
    config=Config(retries={'max_attempts': 3})).Table(TABLE)


def query(**kwargs):
    while True:
        page = table.query(**kwargs)
        yield from page['Items']
        if 'LastEvaluatedKey' not in page:
            return
        kwargs['ExclusiveStartKey'] = page['LastEvaluatedKey']


def single(thread):
    records, messages = [], []
    for item in query(KeyConditionExpression=Key('thread_id').eq(thread)):
        if item['sort_key'] == 'record':
            records.append(item)
        elif item['sort_key'].startswith('msg#'):
            messages.append(item)
    return records, messages


def per_channel(thread):
    records, messages = [], []
    for item in query(IndexName='thread-id-index',
                      KeyConditionExpression=Key('thread_id').eq(thread)):
        if item['primary_channel'].startswith('th_'):
            continue
        if '#msg#' not in item['conversation_id']:
            records.append(item)
            messages += query(
                KeyConditionExpression=Key('primary_channel').eq(
                    item['primary_channel'])
                & Key('conversation_id').begins_with(
                    item['conversation_id'] + '#msg#'))
    return records, messages


found = {}
for line in sys.stdin:
    records, messages = (single if LAYOUT == 'single'
                         else per_channel)(line.strip())
    found[line.strip()] = {'records': records, 'messages': messages}

json.dump(found, sys.stdout, default=str)
