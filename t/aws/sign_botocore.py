# Copyright (C) the ngx_http_comms_module authors
#
# Compares the signer with botocore's, byte for byte, over generated requests:
#   /usr/bin/python3 t/aws/sign_botocore.py build/unit/aws_sign_print [N]

import calendar
import datetime
import json
import random
import subprocess
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PROGRAM = sys.argv[1]
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
SAFE = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~'
CLASSES = [SAFE, ' ', '\t', '!$\'()*,;:@', '=&', '+', '%', '/\\', '"<>[]{}|^`',
           '\r\n', '\x00\x01\x1f\x7f', 'äß\u00a0', '€漢\u2028', '😀']
SERVICES = ['sns', 'sqs', 'dynamodb', 'secretsmanager', 'sts']
rnd = random.Random(20261122)


def text(classes, most):
    return ''.join(rnd.choice(rnd.choice(classes))
                   for _ in range(rnd.randrange(most)))


def escaped(most, keep=''):
    """as on the wire: safe characters, escapes, and what is kept"""
    out = ''
    for _ in range(rnd.randrange(most)):
        out += rnd.choice([rnd.choice(SAFE), '%%%02X' % rnd.randrange(256),
                           rnd.choice(keep) if keep else 'x'])
    return out


def path():
    parts = [rnd.choice(['', '.', '..', escaped(6, "!$'()*,;:@+=&")])
             for _ in range(rnd.randrange(5))]
    return '/'.join(parts)


def args():
    pairs = []
    for _ in range(rnd.randrange(5)):
        pair = escaped(4) + 'a'
        if rnd.random() < .8:
            pair += '=' + escaped(6, "!$'()*,;:@+/?=")
        pairs.append(pair)
    return '&'.join(pairs)


def request(i):
    service = rnd.choice(SERVICES)
    region = rnd.choice(['us-east-1', 'eu-west-1', 'cn-north-1'])
    host = '%s.%s.amazonaws.com' % (service, region)
    if rnd.random() < .3:
        host = 'localhost:%d' % rnd.randrange(1024, 65536)
    # of header values, what may stand there; blanks of Unicode are not
    # trimmed by AWS, but by Python
    values = [SAFE, ' ', '\t', '!$\'()*,;:@', '=&+%/\\"<>[]{}|^`', 'äß', '漢']
    headers = [['Host', host],
               ['Content-Type', rnd.choice(['application/x-amz-json-1.0',
                'application/x-www-form-urlencoded; charset=utf-8'])]]
    if rnd.random() < .6:
        headers.append(['X-Amz-Target', 'AmazonSQS.' + rnd.choice(SAFE)])
    for name in ['x-amz-meta', 'X-Amz-Meta-B', 'amz-sdk-request', 'Zebra',
                 'x-amz-date-foo', 'User-Agent', 'Expect', 'A']:
        if rnd.random() < .4:
            headers.append([name, text(values, 20)])
    if rnd.random() < .2:
        headers.append(['zebra', text(values, 9)])
    # every character at least once, then anything
    body = chr(i + 1) if i < 0x250 else text(CLASSES, 200)
    body = body.replace('\x00', '')
    return {
        'method': rnd.choice(['POST', 'POST', 'GET', 'PUT']),
        'path': '' if rnd.random() < .5 else path(),
        'args': '' if rnd.random() < .5 else args(),
        'headers': headers, 'body': body, 'region': region,
        'service': service, 'time': rnd.randrange(0, 4102444800),
        'access_key': 'AKIA' + text([SAFE[:62]], 20),
        'secret_key': text([SAFE[:62], '/+'], 60) + 'k',
        'token': '' if rnd.random() < .5 else text([SAFE, '/+='], 900),
    }


class Fixed(SigV4Auth):
    """add_auth() without its clock"""

    def sign(self, rq, when):
        rq.context['timestamp'] = when
        self._modify_request_before_signing(rq)
        canonical = self.canonical_request(rq)
        signature = self.signature(self.string_to_sign(rq, canonical), rq)
        self._inject_signature_to_request(rq, signature)
        return canonical, rq.headers['Authorization']


def expected(r):
    host = r['headers'][0][1]
    rq = AWSRequest(method=r['method'], data=r['body'].encode(),
                    url='https://%s/%s%s' % (host, r['path'],
                                             '?' + r['args'] if r['args']
                                             else ''))
    for name, value in r['headers']:
        rq.headers.add_header(name, value)
    auth = Fixed(Credentials(r['access_key'], r['secret_key'],
                             r['token'] or None), r['service'], r['region'])
    when = datetime.datetime.utcfromtimestamp(r['time'])
    assert calendar.timegm(when.timetuple()) == r['time']
    return auth.sign(rq, when.strftime('%Y%m%dT%H%M%SZ'))


requests = [request(i) for i in range(COUNT)]
answers = json.loads(subprocess.run(
    [PROGRAM], input=json.dumps(requests).encode(), stdout=subprocess.PIPE,
    check=True).stdout)
assert len(answers) == COUNT

bad = 0
for r, a in zip(requests, answers):
    canonical, authorization = expected(r)
    if a is None or a['canonical'] != canonical \
       or a['authorization'] != authorization:
        bad += 1
        if bad <= 3:
            print('request:   %r\nbotocore:  %r\nours:      %r\n'
                  % (r, canonical, a and a['canonical']))

print('%d requests signed as botocore signs them, %d differently'
      % (COUNT - bad, bad))
sys.exit(1 if bad else 0)
