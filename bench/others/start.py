# Copyright (C) the ngx_http_comms_module authors
#
# What the start is compared with: FastAPI with pydantic, uvicorn with uvloop
# and httptools, sqlite3 with the module's durability (WAL, synchronous=FULL;
# the thread, its address pairs and the queue row in one transaction, 202 after
# the commit).  With BENCH_SHARE=1 requests of one turn of the event loop share
# a commit, as in the module; without it each has its own, which is how such
# programs are usually written.

import asyncio
import hashlib
import hmac
import json
import os
import re
import sqlite3
import time
import uuid
from typing import List

import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel

UUID4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+")

share = os.environ.get("BENCH_SHARE") == "1"
project = json.loads(os.environ["BENCH_PROJECT"])
db = sqlite3.connect(os.environ["BENCH_DB"], isolation_level=None)
db.executescript("""
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE threads (
    thread_id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL UNIQUE,
    company_id TEXT, project_id TEXT, status TEXT, request_hash TEXT,
    queue_timestamp TEXT, created_at INTEGER, record TEXT);
CREATE INDEX threads_by_project
    ON threads (company_id, project_id, status, created_at);
CREATE TABLE address_pairs (
    company_address TEXT, person_address TEXT, channel TEXT,
    created_at INTEGER, thread_id TEXT,
    PRIMARY KEY (company_address, person_address, channel, created_at,
                 thread_id)) WITHOUT ROWID;
CREATE TABLE consent (company_id TEXT, person_address TEXT,
    opted_out INTEGER);
CREATE INDEX consent_by_person ON consent (company_id, person_address);
CREATE TABLE queue_messages (
    message_id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, body TEXT,
    visible_at INTEGER);
CREATE INDEX queue_by_visible_at ON queue_messages (queue, visible_at);
""")

app = FastAPI()
waiting = []


class Company(BaseModel):
    company_id: str
    project_id: str


class Recipient(BaseModel):
    recipient_first_name: str
    recipient_last_name: str
    recipient_tel: str
    recipient_email: str
    comms_consent: bool


class Asked(BaseModel):
    request_id: str
    channel_method: List[str]
    initial_request_timestamp: str


class Start(BaseModel):
    company_data: Company
    recipient_data: Recipient
    project_data: dict
    request_data: Asked


def write(start, opted):
    company, request = start.company_data, start.request_data
    conversation_id = "%s#%s#%s" % (company.company_id, company.project_id,
                                    request.request_id)
    found = db.execute("SELECT thread_id FROM threads"
                       " WHERE conversation_id = ?",
                       (conversation_id,)).fetchone()
    if found:
        return found[0], conversation_id

    person = "tel:" + start.recipient_data.recipient_tel

    if db.execute("SELECT opted_out FROM consent WHERE company_id = ?"
                  " AND person_address = ?",
                  (company.company_id, person)).fetchone():
        return None, conversation_id

    now = int(time.time() * 1000)
    thread_id = "th_" + uuid.uuid4().hex
    record = dict(start.recipient_data.dict(),
                  project_data=start.project_data,
                  channel_method=request.channel_method,
                  ai_config=project["ai_config"],
                  channel_config=project["channel_config"])
    db.execute("INSERT INTO threads VALUES (?,?,?,?,'queued',?,?,?,?)",
               (thread_id, conversation_id, company.company_id,
                company.project_id,
                hashlib.sha256(start.json().encode()).hexdigest(),
                str(now), now, json.dumps(record)))
    for channel in request.channel_method:
        db.execute("INSERT INTO address_pairs VALUES (?,?,?,?,?)",
                   (project["channel_config"][channel]
                    ["company_%s_number" % channel], person, channel, now,
                    thread_id))
    db.execute("INSERT INTO queue_messages (queue, body, visible_at)"
               " VALUES ('open', ?, ?)",
               (json.dumps({"thread_id": thread_id}), now))

    return thread_id, conversation_id


def commit():
    global waiting

    batch, waiting = waiting, []
    db.execute("BEGIN IMMEDIATE")
    done = [(future, write(start, None)) for start, future in batch]
    db.execute("COMMIT")

    for future, result in done:
        if not future.done():
            future.set_result(result)


def error(status, code, words, start):
    return JSONResponse({"status": "error", "error_code": code,
                         "message": words,
                         "request_id": start.request_data.request_id}, status)


@app.post("/initiate-conversation")
async def initiate(start: Start, x_api_key: str = Header("")):
    digest = hashlib.sha256(x_api_key.encode()).hexdigest()

    if not hmac.compare_digest(digest, project["api_key_sha256"][0]):
        return error(401, "UNAUTHORIZED", "x-api-key", start)

    if not UUID4.fullmatch(start.request_data.request_id):
        return error(400, "INVALID_REQUEST_ID", "request_id", start)

    if not E164.fullmatch(start.recipient_data.recipient_tel):
        return error(400, "INVALID_RECIPIENT_TEL", "recipient_tel", start)

    if not EMAIL.fullmatch(start.recipient_data.recipient_email):
        return error(400, "INVALID_RECIPIENT_EMAIL", "recipient_email", start)

    if not start.recipient_data.comms_consent:
        return error(403, "CONSENT_REQUIRED", "comms_consent", start)

    for channel in start.request_data.channel_method:
        if channel not in project["allowed_channels"]:
            return error(403, "CHANNEL_NOT_ALLOWED", channel, start)

    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting.append((start, future))

    if not share:
        commit()
    elif len(waiting) == 1:
        loop.call_soon(commit)

    thread_id, conversation_id = await future

    if thread_id is None:
        return error(403, "RECIPIENT_OPTED_OUT", "opted out", start)

    return JSONResponse({
        "status": "success", "request_id": start.request_data.request_id,
        "thread_id": thread_id, "conversation_id": conversation_id,
        "channels": start.request_data.channel_method,
        "message": "Request accepted and queued for processing",
        "queue_timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }, 202, {"Location": "/conversations/" + thread_id})


@app.get("/")
def root():
    return {}


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]),
            log_level="error", access_log=False)
