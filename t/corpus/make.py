#!/usr/bin/python3
#
# Copyright (C) the ngx_http_comms_module authors
#
# Mails as people's software writes them, made by Python's email package, and
# what must be understood of each; then all mails, also those of make.mjs, as
# the forms that SendGrid's Inbound Parse makes of them, and bodies of its
# Event Webhook.
#
#   node t/corpus/make.mjs && python3 t/corpus/make.py
#
# NAME.eml, NAME.form, NAME.events: the input.  NAME.json: "envelope", and what
# the event must hold ("event"), must not hold ("absent") and what is attached
# ("media", in order, with the SHA-256 of its bytes).  What is expected is
# written down here by hand, never taken from what the module made of it.

import base64
import email
import email.policy
import email.utils
import hashlib
import json
import pathlib
import random
from email.message import EmailMessage, MIMEPart
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

TOP = pathlib.Path(__file__).resolve().parent
MAIL = TOP / 'mail'
SENDGRID = TOP / 'sendgrid'

THREAD = '01k9z8v7w6x5y4t3s2r1q0p9n8'
ENTRY = '01k9z8v7w6x5y4t3s2r1q0p9n9'
OURS = f'<th_{THREAD}.{ENTRY}@acme.example>'
MARKER = f'th_{THREAD.upper()}.{ENTRY.upper()}'
TO = f'reply+{THREAD}-abcdefgh01234567@in.acme.example'
COMPANY = 'mailto:reply@in.acme.example'
ADA = 'ada@example.org'
PNG = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA'
    'WjR9awAAAABJRU5ErkJggg==')
PHOTO = PNG + bytes(range(256)) * 40
PDF = b'%PDF-1.4\n' + bytes(range(256)) * 4 + b'\n%%EOF\n'
OUR_TEXT = ('Dear Ada,\n\nthank you for your interest in the role of '
            'Healthcare Assistant.\nWhen can you start?\n\nGrace, Acme Care')

CRLF = email.policy.SMTP.clone(max_line_length=998)
names = set()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def save(name, raw, event=None, absent=(), media=None, envelope_from=ADA,
         to=TO):
    assert name not in names, name
    names.add(name)
    (MAIL / f'{name}.eml').write_bytes(raw)
    expected = {'envelope': {'from': envelope_from, 'to': to},
                'event': event, 'absent': list(absent)}
    if media is not None:
        expected['media'] = media
    write_json(MAIL / f'{name}.json', expected)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False,
                               sort_keys=True) + '\n')


def head(m, name, subject='Re: Your application', frm='Ada Byron <%s>' % ADA,
         answers=True, agent=None, extra=()):
    m['Return-Path'] = f'<{ADA}>'
    m['Received'] = ('from mail.example.org (mail.example.org [203.0.113.7]) '
                     'by mx.acme.example with ESMTPS id 4Cx7; '
                     'Sun, 22 Nov 2026 11:46:02 +0000')
    m['From'] = frm
    m['To'] = f'Acme Care <{TO}>'
    m['Subject'] = subject
    m['Date'] = 'Sun, 22 Nov 2026 11:46:00 +0000'
    m['Message-ID'] = f'<{name}@mail.example.org>'
    if answers:
        m['In-Reply-To'] = OURS
        m['References'] = OURS
    if agent:
        m['X-Mailer'] = agent
    for key, value in extra:
        m[key] = value


def message(name, content, **more):
    event = {'kind': 'message', 'channel': 'email',
             'company_address': COMPANY,
             'person_address': f'mailto:{ADA}', 'person_name': 'Ada Byron',
             'provider_message_id': f'<{name}@mail.example.org>',
             'email_message_id': f'<{name}@mail.example.org>',
             'subject': 'Re: Your application',
             'message_ids': [OURS],
             'references': f'{OURS} <{name}@mail.example.org>',
             'reply_token': f'{THREAD}-abcdefgh01234567',
             'content': content}
    event.update(more)
    return event


def ignored(reason):
    return {'kind': 'ignored', 'reason': reason}


def status(what, **more):
    event = {'kind': 'status', 'channel': 'email', 'marker': MARKER,
             'provider_message_id': OURS, 'status': what}
    event.update(more)
    return event


def simple(name, text, content, html=None, charset='utf-8', cte=None,
           media=None, absent=('media',), envelope_from=ADA, event=None,
           **kw):
    m = EmailMessage(policy=CRLF)
    head(m, name, **kw)
    m.set_content(text, charset=charset, cte=cte)
    if html is not None:
        m.add_alternative(html, subtype='html', charset=charset)
    save(name, m.as_bytes(), event or message(name, content), absent, media,
         envelope_from)


def quote(text):
    return '\n'.join('> ' + line if line else '>' for line in
                     text.split('\n'))


def html_of(text):
    return ''.join(f'<div>{line or "<br>"}</div>' for line in
                   text.split('\n'))


# ---------------------------------------------------------------- clients

ANSWER = {
    'en': 'I can start on Monday, the 30th.\n\nIs the uniform provided?',
    'de': 'Ich kann am Montag anfangen.\n\nWird die Kleidung gestellt?',
    'fr': 'Je peux commencer lundi.\n\nLa tenue est-elle fournie\u00a0?',
    'es': 'Puedo empezar el lunes.\n\n¿Dan ustedes el uniforme?',
    'it': 'Posso iniziare lunedì.\n\nLa divisa è fornita?',
    'pt': 'Posso começar na segunda.\n\nO uniforme é fornecido?',
    'nl': 'Ik kan maandag beginnen.\n\nKrijg ik een uniform?',
    'pl': 'Mogę zacząć w poniedziałek.\n\nCzy dostanę uniform?',
}

GMAIL = {
    'en': 'On Sun, Nov 22, 2026 at 11:45 AM Acme Care <jobs@acme.example> '
          'wrote:',
    'de': 'Am So., 22. Nov. 2026 um 11:45 Uhr schrieb Acme Care '
          '<jobs@acme.example>:',
    'fr': 'Le dim. 22 nov. 2026 à 11:45, Acme Care <jobs@acme.example> a '
          'écrit\u00a0:',
    'es': 'El dom, 22 nov 2026 a las 11:45, Acme Care (<jobs@acme.example>) '
          'escribió:',
    'it': 'Il giorno dom 22 nov 2026 alle ore 11:45 Acme Care '
          '<jobs@acme.example> ha scritto:',
    'pt': 'Em dom., 22 de nov. de 2026 às 11:45, Acme Care '
          '<jobs@acme.example> escreveu:',
    'nl': 'Op zo 22 nov 2026 om 11:45 schreef Acme Care '
          '<jobs@acme.example>:',
    'pl': 'niedz., 22 lis 2026 o 11:45 Acme Care <jobs@acme.example> '
          'napisał(a):',
}

OUTLOOK = {
    'en': ('From', 'Sent', 'To', 'Subject', 'Sunday, November 22, 2026 '
           '11:45 AM'),
    'de': ('Von', 'Gesendet', 'An', 'Betreff', 'Sonntag, 22. November 2026 '
           '11:45'),
    'fr': ('De', 'Envoyé', 'À', 'Objet', 'dimanche 22 novembre 2026 11:45'),
    'es': ('De', 'Enviado', 'Para', 'Asunto', 'domingo, 22 de noviembre de '
           '2026 11:45'),
    'it': ('Da', 'Inviato', 'A', 'Oggetto', 'domenica 22 novembre 2026 '
           '11:45'),
    'pt': ('De', 'Enviado', 'Para', 'Assunto', 'domingo, 22 de novembro de '
           '2026 11:45'),
    'nl': ('Van', 'Verzonden', 'Aan', 'Onderwerp', 'zondag 22 november 2026 '
           '11:45'),
    'pl': ('Od', 'Wysłano', 'Do', 'Temat', 'niedziela, 22 listopada 2026 '
           '11:45'),
}

APPLE = {
    'en': 'On 22 Nov 2026, at 11:45, Acme Care <jobs@acme.example> wrote:',
    'de': 'Am 22.11.2026 um 11:45 schrieb Acme Care <jobs@acme.example>:',
    'fr': 'Le 22 nov. 2026 à 11:45, Acme Care <jobs@acme.example> a écrit :',
    'es': 'El 22 nov 2026, a las 11:45, Acme Care <jobs@acme.example> '
          'escribió:',
    'it': 'Il giorno 22 nov 2026, alle ore 11:45, Acme Care '
          '<jobs@acme.example> ha scritto:',
    'pt': 'No dia 22 de nov. de 2026, às 11:45, Acme Care '
          '<jobs@acme.example> escreveu:',
    'nl': 'Op 22 nov 2026, om 11:45 heeft Acme Care <jobs@acme.example> '
          'het volgende geschreven:',
    'pl': 'Wiadomość napisana przez Acme Care <jobs@acme.example> w dniu '
          '22 lis 2026, o godz. 11:45:',
}

PHONE = {
    'en': 'Sent from my iPhone', 'de': 'Von meinem iPhone gesendet',
    'fr': 'Envoyé de mon iPhone', 'es': 'Enviado desde mi iPhone',
    'it': 'Inviato da iPhone', 'pt': 'Enviado do meu iPhone',
    'nl': 'Verstuurd vanaf mijn iPhone', 'pl': 'Wysłane z iPhone’a',
}


def wrap(line, width=72):
    words, lines, now = line.split(' '), [], ''
    for word in words:
        if now and len(now) + 1 + len(word) > width:
            lines.append(now)
            now = word
        else:
            now = f'{now} {word}' if now else word
    return '\n'.join(lines + [now])


def clients():
    for lang, line in GMAIL.items():
        answer = ANSWER[lang]
        text = f'{answer}\n\n{wrap(line)}\n\n{quote(OUR_TEXT)}\n'
        html = (f'<div dir="ltr">{html_of(answer)}</div><br>'
                '<div class="gmail_quote gmail_quote_container">'
                f'<div dir="ltr" class="gmail_attr">'
                f'{line.replace("<", "&lt;").replace(">", "&gt;")}<br></div>'
                '<blockquote class="gmail_quote" style="margin:0px">'
                f'{html_of(OUR_TEXT)}</blockquote></div>\n')
        simple(f'gmail-{lang}', text, answer, html)

    for lang, (frm, sent, to, subject, date) in OUTLOOK.items():
        answer = ANSWER[lang]
        block = (f'{frm}: Acme Care <jobs@acme.example>\n{sent}: {date}\n'
                 f'{to}: Ada Byron <{ADA}>\n{subject}: Your application\n\n'
                 f'{OUR_TEXT}\n')
        simple(f'outlook-desktop-{lang}', f'{answer}\n\n{block}', answer,
               agent='Microsoft Outlook 16.0',
               extra=[('Thread-Topic', 'Your application'),
                      ('X-MS-Has-Attach', '')])

    for lang, line in APPLE.items():
        answer = ANSWER[lang]
        simple(f'apple-mail-{lang}',
               f'{answer}\n\n{PHONE[lang]}\n\n> {line}\n> \n'
               f'{quote(OUR_TEXT)}\n', answer,
               agent='iPhone Mail (23B85)')

    for lang in ('en', 'de', 'fr', 'es'):
        answer = ANSWER[lang]
        frm, sent, to, subject, date = OUTLOOK[lang]
        link = {'en': 'Get Outlook for iOS', 'de': 'Outlook für iOS beziehen',
                'fr': 'Télécharger Outlook pour iOS',
                'es': 'Obtener Outlook para iOS'}[lang]
        simple(f'outlook-mobile-{lang}',
               f'{answer}\n\n{link}<https://aka.ms/o0ukef>\n'
               f'{"_" * 32}\n{frm}: Acme Care <jobs@acme.example>\n'
               f'{sent}: {date}\n{to}: {ADA}\n{subject}: Your application\n'
               f'\n{OUR_TEXT}\n', answer)

    yahoo = {
        'en': 'On Sunday, November 22, 2026 at 11:45:00 AM GMT, Acme Care '
              '<jobs@acme.example> wrote:',
        'de': 'Am Sonntag, 22. November 2026 um 11:45:00 MEZ hat Acme Care '
              '<jobs@acme.example> Folgendes geschrieben:',
        'it': 'domenica 22 novembre 2026 alle ore 11:45:00 CET, Acme Care '
              '<jobs@acme.example> ha scritto:',
        'es': 'El domingo, 22 de noviembre de 2026, 11:45:00 CET, Acme Care '
              '<jobs@acme.example> escribió:',
    }
    for lang, line in yahoo.items():
        answer = ANSWER[lang]
        simple(f'yahoo-{lang}', f' {answer}\n\n    {line}\n \n '
               + OUR_TEXT.replace('\n', '\n ') + '\n  ', answer)

    simple('proton-en', f'{ANSWER["en"]}\n\nSent with Proton Mail secure '
           'email.\n\nOn Sunday, November 22nd, 2026 at 11:45 AM, Acme Care '
           f'<jobs@acme.example> wrote:\n\n{quote(OUR_TEXT)}\n',
           ANSWER['en'])
    simple('proton-old', f'{ANSWER["en"]}\n\n------- Original Message '
           '-------\nOn Sunday, November 22nd, 2026 at 11:45, Acme Care '
           f'<jobs@acme.example> wrote:\n\n{quote(OUR_TEXT)}\n',
           ANSWER['en'])
    simple('gmx-web', f'{ANSWER["de"]}\n\nGesendet: Sonntag, 22. November '
           '2026 um 11:45 Uhr\nVon: "Acme Care" <jobs@acme.example>\nAn: '
           f'{ADA}\nBetreff: Your application\n{OUR_TEXT}\n', ANSWER['de'])
    simple('gmx-app', f'{ANSWER["de"]}\n--\nDiese Nachricht wurde von meinem '
           'Android Mobiltelefon mit GMX Mail gesendet.\nAm 22.11.26, 11:45 '
           f'schrieb Acme Care <jobs@acme.example>:\n{quote(OUR_TEXT)}\n',
           ANSWER['de'])
    samsung = {
        'en': ('Sent from my Galaxy', 'Original message', 'From', 'Date',
               'To', 'Subject'),
        'de': ('Von meinem Galaxy gesendet', 'Ursprüngliche Nachricht', 'Von',
               'Datum', 'An', 'Betreff'),
        'fr': ('Envoyé depuis mon appareil Galaxy', "Message d'origine", 'De',
               'Date', 'À', 'Objet'),
        'nl': ('Verzonden vanaf mijn Galaxy', 'Oorspronkelijk bericht', 'Van',
               'Datum', 'Aan', 'Onderwerp'),
    }
    for lang, (sent, title, frm, date, to, subject) in samsung.items():
        simple(f'samsung-{lang}',
               f'{ANSWER[lang]}\n\n{sent}\n\n\n-------- {title} --------\n'
               f'{frm}: Acme Care <jobs@acme.example> \n{date}: 22/11/2026  '
               f'11:45  (GMT+00:00) \n{to}: {ADA} \n{subject}: Your '
               f'application \n\n{OUR_TEXT}\n', ANSWER[lang])

    flowed()
    interleaved()


def raw_text(name, body, content_type, cte='8bit', **kw):
    m = EmailMessage(policy=CRLF)
    head(m, name, **kw)
    m['MIME-Version'] = '1.0'
    m['Content-Type'] = content_type
    m['Content-Transfer-Encoding'] = cte
    return m.as_bytes() .split(b'\r\n\r\n')[0] + b'\r\n\r\n' + body


def flowed():
    answer = ('I have worked as a nurse for eleven years, and can therefore '
              'start as soon as my notice period of four weeks is over.')
    body = ('I have worked as a nurse for eleven years, and can therefore \n'
            'start as soon as my notice period of four weeks is over.\n\n'
            'Ada\n\nOn 22/11/2026 11:45, Acme Care wrote:\n'
            f'{quote(OUR_TEXT)}\n-- \nAda Byron\nNurse\n')
    save('thunderbird-en-flowed',
         raw_text('thunderbird-en-flowed',
                  body.replace('\n', '\r\n').encode(),
                  'text/plain; charset=UTF-8; format=flowed',
                  agent='Mozilla Thunderbird'),
         message('thunderbird-en-flowed', f'{answer}\n\nAda'), ['media'])
    body = ('Am 22.11.26 um 11:45 schrieb Acme Care:\n'
            f'{quote(OUR_TEXT)}\n\nIch kann am Montag anfangen, wenn Sie mir '
            'bis dahin sagen \nkönnen, wo.\n')
    save('thunderbird-de-flowed',
         raw_text('thunderbird-de-flowed',
                  body.replace('\n', '\r\n').encode('iso-8859-15'),
                  'text/plain; charset=ISO-8859-15; format=flowed',
                  agent='Mozilla Thunderbird'),
         message('thunderbird-de-flowed', 'Ich kann am Montag anfangen, wenn '
                 'Sie mir bis dahin sagen können, wo.'), ['media'])
    body = ('\u6708\u66dc\u65e5\u304b\u3089\u50cd\u3051\u307e\u3059\u3002 \n'
            '\u5236\u670d\u306f\u3042\u308a\u307e\u3059\u304b\u3002\n')
    save('flowed-delsp-ja',
         raw_text('flowed-delsp-ja',
                  body.replace('\n', '\r\n').encode('iso-2022-jp'),
                  'text/plain; charset=ISO-2022-JP; format=flowed; '
                  'delsp=yes', '7bit'),
         message('flowed-delsp-ja', body.replace(' \n', '').strip()),
         ['media'])
    body = ' From the start I wanted this.\n >no quote \nbut flowed\n'
    save('flowed-stuffed',
         raw_text('flowed-stuffed', body.replace('\n', '\r\n').encode(),
                  'text/plain; charset=us-ascii; format=flowed', '7bit'),
         message('flowed-stuffed', 'From the start I wanted this.'),
         ['media'])


def interleaved():
    simple('answers-between',
           'On Sun, 22 Nov 2026 at 11:45, Acme Care <jobs@acme.example> '
           'wrote:\n\n> When can you start?\n\nOn Monday.\n\n> Do you drive?'
           '\n\nYes.\n', 'On Monday.\n\nYes.')
    simple('signature',
           'Yes, please call me.\n\n-- \nAda Byron\n12 St James’s Square\n'
           'London\n', 'Yes, please call me.')
    simple('no-history', 'Yes.', 'Yes.')
    simple('travel-is-no-quote', 'My way to work:\n\nFrom: London\nThat is '
           'an hour.\n', 'My way to work:\n\nFrom: London\nThat is an hour.')


# --------------------------------------------------------------- charsets

CHARSETS = [
    ('iso-8859-1', 'iso-8859-1', 'Grüße aus Köln – nein'.replace('–', '-')),
    ('iso-8859-1-is-cp1252', 'cp1252', '“Quoted” – 5 €', 'iso-8859-1'),
    ('iso-8859-2', 'iso-8859-2', 'Zażółć gęślą jaźń'),
    ('iso-8859-5', 'iso-8859-5', 'Добрый день'),
    ('iso-8859-7', 'iso-8859-7', 'Καλημέρα σας'),
    ('iso-8859-9', 'iso-8859-9', 'Günaydın, ışık'),
    ('iso-8859-15', 'iso-8859-15', 'Cœur, 5 €'),
    ('windows-1250', 'cp1250', 'Příliš žluťoučký kůň', 'windows-1250'),
    ('windows-1251', 'cp1251', 'Съешь ещё', 'windows-1251'),
    ('windows-1252', 'cp1252', 'naïve — café', 'windows-1252'),
    ('windows-1255', 'cp1255', 'שלום', 'windows-1255'),
    ('windows-1256', 'cp1256', 'مرحبا', 'windows-1256'),
    ('koi8-r', 'koi8-r', 'Добрый вечер'),
    ('iso-2022-jp', 'iso-2022-jp', '月曜日から働けます'),
    ('shift-jis', 'shift_jis', 'はい、お願いします', 'Shift_JIS'),
    ('euc-jp', 'euc-jp', 'はい', 'EUC-JP'),
    ('euc-kr', 'euc-kr', '네, 감사합니다', 'EUC-KR'),
    ('gb2312', 'gb2312', '好的，谢谢', 'GB2312'),
    ('gb18030', 'gb18030', '好的，谢谢，龘', 'GB18030'),
    ('big5', 'big5', '好的，謝謝', 'Big5'),
    ('utf-16', 'utf-16', 'Sixteen – bits', 'UTF-16'),
    ('utf-8-bom', 'utf-8-sig', 'Begins with a mark', 'utf-8'),
    ('unknown-charset', 'cp1252', 'Caf\u00e9', 'x-unheard-of'),
    ('missing-charset', 'cp1252', 'Caf\u00e9', None),
]


def charsets():
    for row in CHARSETS:
        name, codec, text = row[:3]
        label = row[3] if len(row) > 3 else row[1]
        kind = 'text/plain' if label is None \
            else f'text/plain; charset={label}'
        body = base64.encodebytes(text.encode(codec)).replace(b'\n', b'\r\n')
        content = text if name != 'missing-charset' else 'Caf\ufffd'
        save(f'charset-{name}', raw_text(f'charset-{name}', body, kind,
                                         'base64'),
             message(f'charset-{name}', content), ['media'])

    # one blank stands between encoded-words only where text was between them
    name = 'encoded-words'
    subject = ('=?iso-2022-jp?B?GyRCJE8kJBsoQg==?= =?koi8-r?B?5MHCxcE=?=\r\n '
               '=?utf-8?q?caf=C3=A9?=')
    raw = (f'Return-Path: <{ADA}>\r\n'
           'From: =?windows-1252?Q?Ad=E1_Byron=2C_RN?= <Ada@Example.ORG>\r\n'
           f'To: {TO}\r\nSubject: {subject}\r\nMessage-ID: '
           f'<{name}@mail.example.org>\r\nIn-Reply-To: {OURS}\r\n'
           'MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nYes\r\n')
    save(name, raw.encode(),
         message(name, 'Yes', person_name='Adá Byron, RN',
                 subject='はい' + bytes.fromhex('e4c1c2c5c1').decode('koi8-r')
                 + 'café'), ['media'])


# ----------------------------------------------- reports, automatic mails

def dsn(name, text, fields, original, event, frm='MAILER-DAEMON@mx.example',
        subject='Undelivered Mail Returned to Sender', headers_only=True,
        report='delivery-status', subtype='delivery-status', extra=(),
        absent=('content', 'person_address')):
    m = MIMEMultipart('report', **{'report-type': report}, policy=CRLF)
    m['Return-Path'] = '<>'
    m['From'] = f'Mail Delivery System <{frm}>'
    m['To'] = TO
    m['Subject'] = subject
    m['Date'] = 'Sun, 22 Nov 2026 11:46:00 +0000'
    m['Message-ID'] = f'<{name}@mx.example>'
    for key, value in extra:
        m[key] = value
    m.attach(MIMEText(text, 'plain', 'us-ascii', policy=CRLF))
    part = MIMEBase('message', subtype, policy=CRLF)
    part.set_payload([email.message_from_string(block + '\n\n', policy=CRLF)
                      for block in fields.strip('\n').split('\n\n')]
                     if subtype == 'delivery-status' else fields)
    m.attach(part)
    if original:
        kind = ('text', 'rfc822-headers') if headers_only \
            else ('message', 'rfc822')
        part = MIMEBase(*kind, policy=CRLF)
        if headers_only:
            part.set_payload(original)
        else:
            part.set_payload([email.message_from_string(original,
                                                        policy=CRLF)])
        m.attach(part)
    save(name, m.as_bytes(policy=CRLF), event, absent, envelope_from='')


ORIGINAL = (f'Received: from nginx (unknown [192.0.2.1]) by mx.example; Sun, '
            f'22 Nov 2026 11:45:00 +0000\nReferences: <x1@mail.example.org> '
            f'<th_{ENTRY}.{THREAD}@acme.example>\n'
            f'Message-ID: {OURS}\nFrom: Acme Care <jobs@acme.example>\n'
            f'To: {ADA}\nSubject: Your application\n\n')


def fields(action, code, diagnostic=None, name=ADA):
    text = ('Reporting-MTA: dns; mx.example\n'
            'Arrival-Date: Sun, 22 Nov 2026 11:45:00 +0000 (UTC)\n\n'
            f'Final-Recipient: rfc822; {name}\nAction: {action}\n'
            f'Status: {code}\n')
    if diagnostic:
        text += f'Diagnostic-Code: {diagnostic}\n'
    return text


def reports():
    unknown = dict(verdict='refused', label='unknown_mailbox')
    dsn('dsn-postfix', 'This is the mail system at host mx.example.\n\nI\'m '
        'sorry to have to inform you that your message could not\nbe '
        f'delivered.\n\n<{ADA}>: host mail.example.org said: 550 5.1.1 '
        'User unknown', fields('failed', '5.1.1', 'smtp; 550 5.1.1 '
                               f'<{ADA}>:\n    Recipient address rejected'),
        ORIGINAL, status('bounced', code='550 5.1.1', **unknown))
    dsn('dsn-sendmail', 'The original message was received\n   ----- The '
        f'following addresses had permanent fatal errors -----\n<{ADA}>',
        fields('failed', '5.2.2', 'SMTP; 552 5.2.2 Over quota'), ORIGINAL,
        status('bounced', code='552 5.2.2', label='mailbox_full',
               verdict='refused'), headers_only=False,
        subject='Returned mail: see transcript for details')
    dsn('dsn-gmail', '** Address not found **\n\nYour message wasn\'t '
        'delivered', fields('failed', '5.1.1', 'smtp; 550-5.1.1 The email '
                            'account that you tried to reach does not '
                            'exist.\n 550 5.1.1 Learn more'), ORIGINAL,
        status('bounced', code='550 5.1.1', **unknown), headers_only=False,
        frm='mailer-daemon@googlemail.com',
        subject='Delivery Status Notification (Failure)',
        extra=[('X-Failed-Recipients', ADA),
               ('Auto-Submitted', 'auto-replied')])
    dsn('dsn-office365', 'Your message to ada@example.org couldn\'t be '
        'delivered.', fields('failed', '5.7.1', 'smtp;550 5.7.1 Delivery '
                             'not authorized'), ORIGINAL,
        status('bounced', code='550 5.7.1', label='policy',
               verdict='refused'), headers_only=False,
        frm='postmaster@example.org',
        subject='Undeliverable: Your application')
    dsn('dsn-exchange-vague', 'Delivery has failed', fields(
        'failed', '5.0.0', 'smtp;554 5.4.14 Hop count exceeded'), ORIGINAL,
        status('bounced', code='554 5.4.14', verdict='refused'),
        frm='MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.org',
        subject='Undeliverable: Your application')
    dsn('dsn-spf', 'rejected', fields('failed', '5.7.26', 'smtp; 550-5.7.26 '
                                      'Unauthenticated email'), ORIGINAL,
        status('bounced', code='550 5.7.26', label='unauthenticated',
               verdict='config'))
    dsn('dsn-second-recipient', 'x', fields('delivered', '2.0.0')
        + '\nFinal-Recipient: rfc822; b@example.org\nAction: failed\n'
        'Status: 5.4.7\n', ORIGINAL,
        status('bounced', code='5.4.7', label='expired', verdict='refused'))
    dsn('dsn-delayed', 'This is the mail system. THIS IS A WARNING ONLY. YOU '
        'DO NOT NEED TO RESEND', fields('delayed', '4.4.1'), ORIGINAL,
        ignored('null envelope sender'), subject='Delayed Mail (still being '
        'retried)')
    dsn('dsn-delivered', 'Your message was delivered', fields(
        'delivered', '2.0.0'), ORIGINAL, status('delivered'),
        subject='Successful Mail Delivery Report')
    dsn('dsn-relayed', 'relayed', fields('relayed', '2.0.0'), ORIGINAL,
        ignored('null envelope sender'))
    dsn('dsn-not-ours', 'bounced', fields('failed', '5.1.1'),
        'Message-ID: <other@acme.example>\nIn-Reply-To: ' + OURS + '\n\n',
        ignored('null envelope sender'))
    dsn('dsn-without-original', f'Message {OURS} could not be delivered: '
        '550 5.1.1 unknown', fields('failed', '5.1.1'), None,
        status('bounced', code='5.1.1', **unknown))
    dsn('receipt-read', 'Your message was read on Sunday',
        'Reporting-UA: example.org; Mail\nFinal-Recipient: rfc822;'
        f'{ADA}\nOriginal-Message-ID: {OURS}\nDisposition: manual-action/'
        'MDN-sent-manually; displayed\n', None, status('read'), frm=ADA,
        subject='Read: Your application', report='disposition-notification',
        subtype='disposition-notification')
    dsn('receipt-deleted', 'Your message was deleted without being read',
        'Reporting-UA: example.org; Mail\nFinal-Recipient: rfc822;'
        f'{ADA}\nOriginal-Message-ID: {OURS}\nDisposition: automatic-action/'
        'MDN-sent-automatically; deleted\n', None,
        ignored('null envelope sender'), frm=ADA,
        report='disposition-notification',
        subtype='disposition-notification')
    dsn('complaint', 'This is an email abuse report',
        'Feedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n'
        f'Original-Rcpt-To: {ADA}\n', ORIGINAL,
        {'kind': 'consent', 'channel': 'email', 'opted_out': True,
         'marker': MARKER, 'person_address': f'mailto:{ADA}',
         'proof': 'complaint: feedback report'}, headers_only=False,
        frm='fbl@mailbox.example', report='feedback-report',
        subtype='feedback-report', absent=('content',))

    plain = [
        ('bounce-qmail', 'MAILER-DAEMON@mx.example',
         'failure notice', 'Hi. This is the qmail-send program at mx.example.'
         '\nI\'m afraid I wasn\'t able to deliver your message to the '
         f'following addresses.\n\n<{ADA}>:\n192.0.2.7 does not like '
         'recipient.\nRemote host said: 550 5.1.1 no mailbox by that name '
         '(#5.1.1)\nGiving up on 192.0.2.7.\n\n--- Below this line is a copy '
         f'of the message.\n\n{ORIGINAL}Dear Ada\n', (),
         status('bounced', code='550 5.1.1', **unknown)),
        ('bounce-exim', 'Mailer-Daemon@mx.example',
         'Mail delivery failed: returning message to sender',
         'This message was created automatically by mail delivery software.\n'
         '\nA message that you sent could not be delivered to one or more of '
         f'its\nrecipients. This is a permanent error.\n\n  {ADA}\n    '
         'SMTP error from remote mail server after RCPT TO:\n    550 Unrouted '
         'address\n\n------ This is a copy of the message, including all the '
         f'headers. ------\n\n{ORIGINAL}Dear Ada\n',
         [('X-Failed-Recipients', ADA)],
         status('bounced', code='550', label='mailbox_unavailable',
                verdict='refused')),
        ('bounce-exim-warning', 'Mailer-Daemon@mx.example',
         'Warning: message 1abcde-000000-00 delayed 24 hours',
         'A message that you sent has not yet been delivered\n\n'
         f'{ORIGINAL}', [('X-Failed-Recipients', ADA)],
         ignored('null envelope sender')),
        ('bounce-gateway', 'postmaster@gateway.example',
         'Undeliverable mail', 'Your mail could not be delivered.\nReason: '
         f'4.4.7 expired\nMessage-Id: {OURS.upper()}\n', (),
         status('bounced', code='4.4.7', label='expired',
                verdict='refused')),
        ('bounce-nothing-known', 'MAILER-DAEMON@mx.example', 'failed',
         'Your mail was not delivered.\n', (),
         ignored('null envelope sender')),
    ]
    for name, frm, subject, text, extra, event in plain:
        m = EmailMessage(policy=CRLF)
        m['Return-Path'] = '<>'
        m['From'] = f'Mail Delivery System <{frm}>'
        m['To'] = TO
        m['Subject'] = subject
        m['Message-ID'] = f'<{name}@mx.example>'
        for key, value in extra:
            m[key] = value
        m.set_content(text)
        save(name, m.as_bytes(), event, ['content'], envelope_from='')


def automatic():
    rows = [
        ('absence-exchange', 'Automatic reply: Your application',
         [('Auto-Submitted', 'auto-generated'),
          ('X-Auto-Response-Suppress', 'All')], 'auto-submitted'),
        ('absence-exchange-stripped', 'Automatic reply: Your application',
         [], 'auto-submitted'),
        ('absence-de', 'Automatische Antwort: Ihre Bewerbung', [],
         'auto-submitted'),
        ('absence-fr', 'Réponse automatique\u00a0: Votre candidature', [],
         'auto-submitted'),
        ('absence-gmail', 'Out of office Re: Your application',
         [('Auto-Submitted', 'auto-replied'), ('Precedence', 'bulk'),
          ('X-Autoreply', 'yes')], 'auto-submitted'),
        ('absence-vacation', 'away from my mail',
         [('Auto-Submitted', 'auto-replied (vacation)')], 'auto-submitted'),
        ('absence-old', 'Abwesend', [('X-Autoreply', 'yes')],
         'auto-submitted'),
        ('absence-precedence', 'Away', [('Precedence', 'auto_reply')],
         'bulk mail'),
        ('list-mailman', '[nurses] Weekly digest',
         [('List-Id', 'Nurses <nurses.lists.example.org>'),
          ('List-Post', '<mailto:nurses@lists.example.org>'),
          ('Precedence', 'list')], 'bulk mail'),
        ('list-id-only', '[nurses] Hello',
         [('List-Id', 'Nurses <nurses.lists.example.org>')], 'mailing list'),
        ('newsletter', 'Our offers', [('Precedence', 'junk')], 'bulk mail'),
    ]
    for name, subject, extra, reason in rows:
        simple(name, 'I am away until Monday.', None, subject=subject,
               extra=extra, event=ignored(reason), absent=['content'])
    m = EmailMessage(policy=CRLF)
    m['From'] = 'Acme Care <jobs@acme.example>'
    m['To'] = TO
    m['Subject'] = 'Your application'
    m['Message-ID'] = OURS
    m.set_content('Dear Ada')
    save('own-mail-back', m.as_bytes(),
         ignored('a mail of ours that came back'), ['content'])
    simple('auto-submitted-no', 'Yes', 'Yes',
           extra=[('Auto-Submitted', 'no')])
    simple('answers-an-absence', 'I am back', 'I am back',
           subject='Re: Automatic reply: Hello',
           event=message('answers-an-absence', 'I am back',
                         subject='Re: Automatic reply: Hello'))
    simple('null-sender', 'Hello', None, event=ignored(
        'null envelope sender'), envelope_from='', absent=['content'])


# ------------------------------------------------------ forms of the body

def bodies():
    name = 'html-outlook-web'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content(
        '<html><head><meta charset="utf-8"><style>P {margin:0}</style></head>'
        '<body dir="ltr"><div class="elementToProof">I can start on Monday.'
        '</div><div class="elementToProof"><br></div><div '
        'class="elementToProof">Ada &amp; friends</div><div '
        'id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>From:</b> '
        'Acme Care<br><b>Sent:</b> Sunday<br></div><div>Dear Ada</div>'
        '</body></html>', subtype='html')
    save(name, m.as_bytes(), message(name, 'I can start on Monday.\n\nAda & '
                                     'friends'), ['media'])

    name = 'html-latin1'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('<p>Sch\u00f6ne Gr\u00fc\u00dfe</p><script>alert(1)'
                  '</script>', subtype='html', charset='iso-8859-1')
    save(name, m.as_bytes(), message(name, 'Schöne Grüße'), ['media'])

    name = 'html-list'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('<p>One</p><p>Two</p><blockquote type="cite">Dear Ada'
                  '</blockquote>', subtype='html')
    save(name, m.as_bytes(), message(name, 'One\n\nTwo'), ['media'])

    name = 'forward-gmail'
    text = ('See what I got:\n\n---------- Forwarded message ---------\nFrom: '
            'Bob <bob@example.net>\nDate: Sat, 21 Nov 2026 at 10:00\nSubject:'
            ' Reference\nTo: Ada <ada@example.org>\n\nAda is a fine nurse.')
    simple(name, text, text)
    name = 'forward-apple'
    text = ('For you.\n\nBegin forwarded message:\n\nFrom: Bob '
            '<bob@example.net>\nSubject: Reference\nDate: 21 November 2026\n'
            'To: ada@example.org\n\nAda is a fine nurse.')
    simple(name, text, text)
    name = 'forward-thunderbird-de'
    text = ('Zur Kenntnis.\n\n-------- Weitergeleitete Nachricht --------\n'
            'Betreff: Zeugnis\nDatum: Sat, 21 Nov 2026\nVon: Bob '
            '<bob@example.net>\nAn: ada@example.org\n\nAda ist gut.')
    simple(name, text, text)

    attachments()
    inline()
    security()
    nested()


def medium(kind, filename, data):
    one = {'content_type': kind, 'sha256': sha(data)}
    if filename:
        one['filename'] = filename
    return one


def attachments():
    name = 'attachment-pdf'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('My papers are attached.')
    m.add_attachment(PDF, maintype='application', subtype='pdf',
                     filename='CV.pdf')
    m.add_attachment(PHOTO, maintype='image', subtype='png',
                     filename='Führungszeugnis – Seite 1.png')
    save(name, m.as_bytes(), message(name, 'My papers are attached.'),
         media=[medium('application/pdf', 'CV.pdf', PDF),
                medium('image/png', 'Führungszeugnis – Seite 1.png', PHOTO)])

    name = 'attachment-only'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content(PDF, maintype='application', subtype='pdf',
                  filename='cv.pdf', disposition='attachment')
    save(name, m.as_bytes(), message(name, '[attachment: cv.pdf]'),
         media=[medium('application/pdf', 'cv.pdf', PDF)])

    name = 'attachment-calendar'
    ics = (b'BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nSUMMARY:'
           b'Interview\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n')
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content(' ')
    m.add_attachment(ics, maintype='text', subtype='calendar',
                     filename='invite.ics')
    save(name, m.as_bytes(),
         message(name, '[attachment: calendar invitation]'),
         media=[medium('text/calendar', 'invite.ics', ics)])

    name = 'attachment-winmail'
    tnef = b'\x78\x9f\x3e\x22' + bytes(range(200))
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('Yes, on Monday.')
    m.add_attachment(tnef, maintype='application', subtype='ms-tnef',
                     filename='winmail.dat')
    save(name, m.as_bytes(), message(name, 'Yes, on Monday.'),
         media=[medium('application/ms-tnef', 'winmail.dat', tnef)])


def inline():
    name = 'inline-pictures'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('Look:\n\n[cid:photo]\n')
    m.add_alternative('<p>Look:</p><img src="cid:photo"><p>Ada</p><img '
                      'src="cid:logo">', subtype='html')
    html = m.get_payload()[1]
    html.add_related(PHOTO, maintype='image', subtype='png', cid='<photo>',
                     filename='photo.png', disposition='inline')
    html.add_related(PNG, maintype='image', subtype='png', cid='<logo>',
                     filename='logo.png', disposition='inline')
    save(name, m.as_bytes(), message(name, 'Look:\n\n[cid:photo]'),
         media=[medium('image/png', 'photo.png', PHOTO)])


def security():
    name = 'signed-smime'
    m = MIMEMultipart('signed', policy=CRLF, protocol='application/'
                      'pkcs7-signature', micalg='sha-256')
    head(m, name)
    m.attach(MIMEText('Signed, and yes.', 'plain', 'utf-8', policy=CRLF))
    part = MIMEBase('application', 'pkcs7-signature', name='smime.p7s')
    part.set_payload(base64.encodebytes(b'0\x82' + bytes(400)).decode())
    part['Content-Transfer-Encoding'] = 'base64'
    part['Content-Disposition'] = 'attachment; filename="smime.p7s"'
    m.attach(part)
    save(name, m.as_bytes(policy=CRLF), message(name, 'Signed, and yes.'),
         ['media'])

    name = 'signed-pgp'
    m = MIMEMultipart('signed', policy=CRLF, micalg='pgp-sha512',
                      protocol='application/pgp-signature')
    head(m, name)
    m.attach(MIMEText('Signed by PGP.', 'plain', 'utf-8', policy=CRLF))
    part = MIMEBase('application', 'pgp-signature', name='signature.asc')
    part.set_payload('-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP '
                     'SIGNATURE-----\n')
    part['Content-Disposition'] = 'attachment; filename="signature.asc"'
    m.attach(part)
    save(name, m.as_bytes(policy=CRLF), message(name, 'Signed by PGP.'),
         ['media'])

    name = 'encrypted-smime'
    m = MIMEBase('application', 'pkcs7-mime', policy=CRLF, name='smime.p7m',
                 **{'smime-type': 'enveloped-data'})
    head(m, name)
    m.set_payload(base64.encodebytes(b'0\x82' + bytes(300)).decode())
    m['Content-Transfer-Encoding'] = 'base64'
    m['Content-Disposition'] = 'attachment; filename="smime.p7m"'
    save(name, m.as_bytes(policy=CRLF),
         message(name, '[attachment: encrypted message]'), ['media'])


def nested():
    name = 'nested'
    outer = MIMEMultipart('mixed', policy=CRLF)
    head(outer, name)
    mixed = MIMEMultipart('mixed')
    related = MIMEMultipart('related')
    alternative = MIMEMultipart('alternative')
    alternative.attach(MIMEText('Deep in here.', 'plain', 'utf-8'))
    alternative.attach(MIMEText('<p>Deep in here.</p>', 'html', 'utf-8'))
    related.attach(alternative)
    mixed.attach(related)
    outer.attach(mixed)
    part = MIMEBase('application', 'pdf')
    part.set_payload(base64.encodebytes(PDF).decode())
    part['Content-Transfer-Encoding'] = 'base64'
    part['Content-Disposition'] = 'attachment; filename="a.pdf"'
    outer.attach(part)
    save(name, outer.as_bytes(policy=CRLF), message(name, 'Deep in here.'),
         media=[medium('application/pdf', 'a.pdf', PDF)])

    name = 'no-message-id'
    raw = (f'From: {ADA}\r\nTo: {TO}\r\nSubject: Hi\r\n\r\nOld software.\r\n')
    save(name, raw.encode(),
         {'kind': 'message', 'content': 'Old software.', 'subject': 'Hi',
          'person_address': f'mailto:{ADA}'},
         ['email_message_id', 'message_ids', 'person_name'])

    name = 'many-recipients'
    m = EmailMessage(policy=CRLF)
    head(m, name)
    m.set_content('To all of you.')
    save(name, m.as_bytes(), message(name, 'To all of you.'), ['media'],
         to=f'other@in.acme.example,{TO}')


# --------------------------------------------------- SendGrid's own forms

def form(name, raw, expected, send_raw=False):
    m = email.message_from_bytes(raw)
    block = raw.split(b'\r\n\r\n', 1)[0] + b'\r\n'
    envelope = {'to': expected['envelope']['to'].split(','),
                'from': expected['envelope']['from']}
    parts = [('to', TO.encode()), ('from', (m['From'] or '').encode()),
             ('sender_ip', b'203.0.113.7'), ('SPF', b'pass'),
             ('dkim', b'{@example.org : pass}'),
             ('envelope', json.dumps(envelope).encode())]
    files = []
    kinds = {}
    if send_raw:
        parts.append(('rawEmail' if len(name) % 2 else 'email', raw))
    else:
        taken, files, kinds, cids = take_apart(m)
        parts.append(('headers', block))
        for key, (charset, data) in taken.items():
            parts.append((key, data))
            if charset:
                kinds[key] = charset
        subject = email.header.decode_header(m['Subject'] or '')
        parts.append(('subject', str(email.header.make_header(
            subject)).encode() if 'x-unheard' not in str(subject) else b''))
        kinds['subject'] = 'UTF-8'
        if files:
            parts.append(('attachments', str(len(files)).encode()))
            parts.append(('attachment-info', json.dumps(
                {f'attachment{i + 1}': {'filename': f, 'type': t}
                 for i, (f, t, d) in enumerate(files)}).encode()))
        if cids:
            parts.append(('content-ids', json.dumps(cids).encode()))
    parts.append(('charsets', json.dumps(kinds).encode()))
    body = b''
    for key, data in parts:
        body += (b'--xYzZY\r\nContent-Disposition: form-data; name="'
                 + key.encode() + b'"\r\n\r\n' + data + b'\r\n')
    for i, (filename, kind, data) in enumerate(files):
        body += (f'--xYzZY\r\nContent-Disposition: form-data; name="attachment'
                 f'{i + 1}"; filename="{filename}"\r\nContent-Type: {kind}'
                 '\r\n\r\n').encode() + data + b'\r\n'
    body += b'--xYzZY--\r\n'
    (SENDGRID / f'{name}.form').write_bytes(body)
    write_json(SENDGRID / f'{name}.json', expected)


def take_apart(m):
    taken, files, kinds, cids = {}, [], {}, {}

    def leaf(part):
        kind = part.get_content_type()
        filename = part.get_filename()
        if filename is not None:
            filename = ' '.join(str(email.header.make_header(
                email.header.decode_header(filename))).split())
        attached = part.get_content_disposition() == 'attachment'
        key = {'text/plain': 'text', 'text/html': 'html'}.get(kind)
        if key and not attached and key not in taken:
            taken[key] = (part.get_content_charset(),
                          part.get_payload(decode=True))
            return
        data = (part.get_payload(0).as_bytes() if kind == 'message/rfc822'
                else part.get_payload(decode=True)
                or str(part.get_payload()).encode())
        if kind.startswith('message/') and kind != 'message/rfc822':
            data = '\n\n'.join(
                p.as_string().strip('\n') for p in part.get_payload()
            ).encode() if isinstance(part.get_payload(), list) else data
        files.append((filename or f'attachment{len(files) + 1}', kind, data))
        cid = part['Content-ID']
        if cid and not attached:
            cids[cid.strip('<>')] = f'attachment{len(files)}'

    def walk(part):
        if part.get_content_maintype() == 'multipart':
            for child in part.get_payload():
                walk(child)
        else:
            leaf(part)

    walk(m)
    return taken, files, kinds, cids


RAW = {'gmail-en', 'attachment-pdf', 'dsn-postfix', 'charset-koi8-r',
       'inline-pictures', 'absence-exchange', 'nested', 'signed-pgp'}


# what a form can say differently from the mail itself
FORMS = {
    'charset-missing-charset': {'content': 'Caf\ufffd'},
}


def forms():
    for path in sorted(MAIL.glob('*.eml')):
        expected = json.loads(path.with_suffix('.json').read_text())
        raw = path.read_bytes()
        expected['event'].update(FORMS.get(path.stem, {}))
        if path.stem in RAW:
            form(f'raw-{path.stem}', raw, expected, True)
        form(path.stem, raw, expected)


# -------------------------------------------------------- Event Webhook

def event_of(kind, n=1, **more):
    event = {'email': ADA, 'timestamp': 1795347960 + n,
             'smtp-id': OURS, 'event': kind, 'category': ['care'],
             'sg_event_id': f'ZXZ{kind}{n}',
             'sg_message_id': 'LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756'
             'b745b58-kmzbl-18-5F5FC76C-9.0', 'comms_effect': MARKER}
    event.update(more)
    return {k: v for k, v in event.items() if v is not None}


def told(kind, n=1, **more):
    event = {'kind': 'status', 'channel': 'email', 'provider': 'sendgrid',
             'dedupe_id': f'sendgrid:ZXZ{kind}{n}', 'marker': MARKER,
             'provider_message_id': 'LRzXl_NHStOGhQ4kofSm_A',
             'person_address': f'mailto:{ADA}',
             'at': (1795347960 + n) * 1000}
    event.update(more)
    return {k: v for k, v in event.items() if v is not None}


def consent(name, out, **more):
    event = told(name, opted_out=out, proof=f'SendGrid: {name}', **more)
    event['kind'] = 'consent'
    return event


def events():
    final = ignored('an event that says nothing final')
    foreign = ignored('an event about no mail of ours')
    rows = {
        'processed': ([event_of('processed')], [told('processed',
                                                      status='sent')]),
        'delivered': ([event_of('delivered', response='250 OK')],
                      [told('delivered', status='delivered')]),
        'open': ([event_of('open', useragent='Mozilla', ip='192.0.2.1')],
                 [told('open', status='read')]),
        'click': ([event_of('click', url='https://acme.example/x')],
                  [told('click', status='read')]),
        'deferred': ([event_of('deferred', response='400 try again',
                               attempt='5')], [final]),
        'unheard-of': ([event_of('teleported')], [final]),
        'bounce': ([event_of('bounce', type='bounce', status='5.1.1',
                             reason='550 5.1.1 <ada@example.org> unknown')],
                   [told('bounce', status='bounced', verdict='refused',
                         code='5.1.1', label='unknown_mailbox')]),
        'bounce-full': ([event_of('bounce', type='bounce', status='5.2.2')],
                        [told('bounce', status='bounced', code='5.2.2',
                              verdict='refused', label='mailbox_full')]),
        'bounce-no-status': ([event_of('bounce', type='bounce',
                                       reason='550 5.7.26 no DMARC')],
                             [told('bounce', status='bounced',
                                   code='5.7.26', verdict='config',
                                   label='unauthenticated')]),
        'bounce-bare': ([event_of('bounce')],
                        [told('bounce', status='bounced', verdict='refused',
                              label='refused')]),
        'blocked': ([event_of('bounce', type='blocked', status='5.7.1')],
                    [told('bounce', status='failed', verdict='refused',
                          code='5.7.1', label='policy')]),
        'blocked-temporary': ([event_of('bounce', type='blocked',
                                        status='4.2.2')],
                              [told('bounce', status='failed',
                                    verdict='refused', code='4.2.2',
                                    label='mailbox_full')]),
        'unsubscribe': ([event_of('unsubscribe')],
                        [consent('unsubscribe', True)]),
        'group-unsubscribe': ([event_of('group_unsubscribe',
                                        asm_group_id=10)],
                              [consent('group_unsubscribe', True)]),
        'group-resubscribe': ([event_of('group_resubscribe')],
                              [consent('group_resubscribe', False)]),
        'spamreport': ([event_of('spamreport')],
                       [consent('spamreport', True)]),
        'unsubscribe-foreign': ([event_of('unsubscribe', comms_effect=None)],
                                [consent('unsubscribe', True, marker=None)]),
        'unsubscribe-no-address': ([event_of('unsubscribe', email='x')],
                                   [ignored('an unsubscription of no valid '
                                            'address')]),
        'foreign': ([event_of('delivered', comms_effect=None)], [foreign]),
        'foreign-number': ([event_of('delivered', comms_effect=7)],
                           [foreign]),
        'no-id': ([event_of('delivered', sg_event_id=None)],
                  [ignored('an event without an id')]),
        'no-timestamp': ([event_of('delivered', timestamp=None)],
                         [told('delivered', status='delivered', at=None)]),
        'old-message-id': ([event_of('delivered', sg_message_id='14c5d75ce93'
                                     '.dfd.64b469.filter0001.16648.5515E0B8'
                                     '8.0')],
                           [told('delivered', status='delivered',
                                 provider_message_id='14c5d75ce93.dfd.'
                                 '64b469')]),
        'recvd-message-id': ([event_of('delivered', sg_message_id='abc_-9.'
                                       'recvd-5d-x.0')],
                             [told('delivered', status='delivered',
                                   provider_message_id='abc_-9')]),
        'no-message-id': ([event_of('delivered', sg_message_id=None)],
                          [told('delivered', status='delivered',
                                provider_message_id=None)]),
        'capitals': ([event_of('delivered', email='Ada@Example.ORG')],
                     [told('delivered', status='delivered')]),
        'order': ([event_of('open', 3), event_of('delivered', 2),
                   event_of('processed', 1)],
                  [told('open', 3, status='read'),
                   told('delivered', 2, status='delivered'),
                   told('processed', 1, status='sent')]),
        'mixed': ([event_of('delivered', comms_effect=None),
                   event_of('delivered', 2), 7, {'event': 'x'}],
                  [foreign, told('delivered', 2, status='delivered'), final,
                   final]),
        'many': ([event_of('delivered', n) for n in range(200)],
                 [told('delivered', n, status='delivered')
                  for n in range(200)]),
    }
    drops = {
        'bounced': ('Bounced Address', 'bounced_before', 'refused'),
        'unsubscribed': ('Unsubscribed Address', 'unsubscribed',
                         'opted_out'),
        'spam-reporter': ('Spam Reporting Address', 'spam_report',
                          'opted_out'),
        'invalid': ('Invalid', 'invalid_recipient', 'refused'),
        'smtpapi': ('Invalid SMTPAPI header', 'invalid_header', 'refused'),
        'spam-content': ('Spam Content (if Spam Checker app enabled)',
                         'spam_content', 'refused'),
        'quota': ('Recipient List over Package Quota', 'quota', 'config'),
        'unknown': ('Something new', 'dropped', 'refused'),
        'silent': (None, 'dropped', 'refused'),
    }
    for name, (reason, label, verdict) in drops.items():
        rows[f'dropped-{name}'] = (
            [event_of('dropped', reason=reason)],
            [told('dropped', status='failed', verdict=verdict, label=label,
                  code='dropped')])
    for name, (said, expected) in rows.items():
        # as SendGrid writes them: CRLF between the events and at the end
        body = '[' + ',\r\n'.join(json.dumps(e, separators=(',', ':'))
                                  for e in said) + ']\r\n'
        (SENDGRID / f'event-{name}.events').write_bytes(body.encode())
        write_json(SENDGRID / f'event-{name}.json', {'events': expected})


def main():
    random.seed(1)
    MAIL.mkdir(exist_ok=True)
    SENDGRID.mkdir(exist_ok=True)
    clients()
    charsets()
    reports()
    automatic()
    bodies()
    forms()
    events()


if __name__ == '__main__':
    main()
