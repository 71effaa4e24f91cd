# Copyright (C) the ngx_http_comms_module authors
#
# A mail server (aiosmtpd) for one scenario: STARTTLS, AUTH, and what goes
# wrong with mail servers.  Started by smtp.mjs.
#
#   smtp.py {"certificate": .., "key": .., "username": .., "password": ..,
#            "implicit": true}
#
# Each line of its input is {"mode": ..}: how it behaves from then on.  Each
# line of its output is what happened: {"port"}, once; {"connected"};
# {"mail": {...}}; {"mode"}, when it was taken over.

import asyncio
import base64
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

# that AUTH is offered on a connection that the other side made with TLS
warnings.simplefilter('ignore')
logging.disable(logging.WARNING)

options = json.loads(sys.argv[1])
mode = 'accept'
connections = set()


def say(what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname,
                          responses):
        session.host_name = hostname

        if mode == 'no starttls':
            responses = [r for r in responses if 'STARTTLS' not in r]

        return responses

    async def handle_MAIL(self, server, session, envelope, address, params):
        if mode == 'close at mail':
            server.transport.abort()

        envelope.mail_from = address
        envelope.mail_options.extend(params)
        return '250 2.1.0 OK'

    async def handle_RCPT(self, server, session, envelope, address, params):
        if mode == 'no such user':
            return '550 5.1.1 No such user here'

        if mode == 'greylisted':
            return '451 4.7.1 Greylisted, try again later'

        envelope.rcpt_tos.append(address)
        return '250 2.1.5 OK'

    async def handle_DATA(self, server, session, envelope):
        say({'mail': {
            'from': envelope.mail_from,
            'to': envelope.rcpt_tos,
            'options': envelope.mail_options,
            'content': base64.b64encode(envelope.content).decode(),
            'tls': session.ssl is not None or bool(options.get('implicit')),
            'user': session.auth_data,
        }})

        if mode == 'die':
            server.transport.abort()
            return '250 never seen'

        if mode == 'slow':
            await asyncio.sleep(options.get('slow', 3))

        if mode == 'too busy':
            return '452 4.3.1 Insufficient system storage'

        if mode == 'spam':
            return '554 5.7.1 Message rejected as spam'

        say({'accepted': True})
        return '250 2.0.0 OK queued as 4Xy7Zq2'


def authenticate(server, session, envelope, mechanism, data):
    user = data.login.decode()
    say({'login': True})

    return AuthResult(
        success=(user == options['username']
                 and data.password.decode() == options['password']),
        handled=False, auth_data=user)


class Server(SMTP):
    def connection_made(self, transport):
        super().connection_made(transport)
        connections.add(transport)

        # STARTTLS makes a connection anew
        if self.transport is transport and not getattr(self, 'seen', False):
            self.seen = True
            say({'connected': True})

    async def smtp_QUIT(self, arg):
        say({'quit': True})
        await super().smtp_QUIT(arg)


async def main():
    global mode

    loop = asyncio.get_running_loop()
    context = None
    implicit = bool(options.get('implicit'))

    if 'certificate' in options:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options['certificate'], options['key'])

    def protocol():
        wants = 'username' in options

        return Server(
            Handler(), hostname='mail.test', loop=loop,
            tls_context=None if implicit else context,
            require_starttls=context is not None and not implicit
            and mode != 'no starttls',
            authenticator=authenticate if wants else None,
            auth_required=wants, auth_require_tls=False)

    server = await loop.create_server(
        protocol, options.get('host', '127.0.0.1'), 0,
        ssl=context if implicit else None)

    say({'port': server.sockets[0].getsockname()[1]})

    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    # the end of the input is the end of the scenario
    while line := await reader.readline():
        mode = json.loads(line)['mode']

        if mode == 'drop':
            for transport in connections:
                transport.abort()

        say({'mode': mode})


asyncio.run(main())
