-- Copyright (C) the ngx_http_comms_module authors
--
-- Requests for wrk.  Each one is new: a webhook that Twilio would have signed,
-- or a start request with a request_id of its own.  Where nobody looks at them
-- (plain proxying, "return 200") one request made beforehand will do, so that
-- making them is not what is measured.
--
--   BENCH_MODE   webhook | start | same
--   BENCH_BODY   of "same"
--   BENCH_COUNT  stop after so many answers; without it wrk's -d decides
--   BENCH_SEED   distinguishes runs against one database
--   BENCH_FIRST, BENCH_PEOPLE  which phone numbers write or are written to
--
-- The last line printed is JSON; bench.mjs reads it.

local ffi = require "ffi"

ffi.cdef [[
const void *EVP_sha1(void);
unsigned char *HMAC(const void *md, const void *key, int key_len,
    const unsigned char *d, size_t n, unsigned char *out, unsigned int *len);
int EVP_EncodeBlock(unsigned char *t, const unsigned char *f, int n);
]]

local crypto = ffi.load("libcrypto.so.3")
local sha1 = crypto.EVP_sha1()
local digest = ffi.new("unsigned char[64]")
local text = ffi.new("unsigned char[128]")
local size = ffi.new("unsigned int[1]")

local mode = os.getenv("BENCH_MODE")
local count = tonumber(os.getenv("BENCH_COUNT") or "0")
local seed = tonumber(os.getenv("BENCH_SEED") or "0")
local first = tonumber(os.getenv("BENCH_FIRST") or "0")
local people = tonumber(os.getenv("BENCH_PEOPLE") or "1000000")
local token = os.getenv("BENCH_TOKEN")
local sid = os.getenv("BENCH_SID")
local number = os.getenv("BENCH_NUMBER")
local url = os.getenv("BENCH_URL")
local key = os.getenv("BENCH_KEY")
local body = os.getenv("BENCH_BODY")

local sent, answered, failed = 0, 0, 0
local checked = false
local path

local function escape(s)
    return (s:gsub("[^%w%-%._~]", function(c)
        return string.format("%%%02X", c:byte())
    end))
end

local function sign(s)
    crypto.HMAC(sha1, token, #token, s, #s, digest, size)

    return ffi.string(text, crypto.EVP_EncodeBlock(text, digest, size[0]))
end

local function webhook(n)
    -- sorted by name, as they are signed
    local from = string.format("+4477%08d", first + n % people)
    local message = string.format("SM%08x%024x", seed, n)
    local fields = {
        { "AccountSid", sid }, { "ApiVersion", "2010-04-01" },
        { "Body", "I can start on Monday, would ten o'clock suit you?" },
        { "From", from }, { "FromCity", "" }, { "FromCountry", "GB" },
        { "MessageSid", message }, { "NumMedia", "0" },
        { "NumSegments", "1" }, { "SmsMessageSid", message },
        { "SmsSid", message }, { "SmsStatus", "received" },
        { "To", number }, { "ToCountry", "GB" },
    }
    local signed, form = { url }, {}

    for i, f in ipairs(fields) do
        signed[#signed + 1] = f[1]
        signed[#signed + 1] = f[2]
        form[i] = f[1] .. "=" .. escape(f[2])
    end

    return wrk.format("POST", path, {
        ["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8",
        ["User-Agent"] = "TwilioProxy/1.1",
        ["X-Twilio-Signature"] = sign(table.concat(signed)),
    }, table.concat(form, "&"))
end

local function start(n)
    return wrk.format("POST", path, {
        ["Content-Type"] = "application/json",
        ["x-api-key"] = key,
    }, string.format('{"company_data":{"company_id":"ci-aaa-001",'
        .. '"project_id":"pi-aaa-001"},"recipient_data":{'
        .. '"recipient_first_name":"Ada","recipient_last_name":"Byron",'
        .. '"recipient_tel":"+4477%08d","recipient_email":"p%d@example.org",'
        .. '"comms_consent":true},"project_data":{"jobRole":'
        .. '"Healthcare Assistant"},"request_data":{"request_id":'
        .. '"%08x-e29b-41d4-a716-%012x","channel_method":["whatsapp","sms"],'
        .. '"initial_request_timestamp":"2026-11-22T11:45:32.789Z"}}',
        first + n % people, n, seed, n))
end

local make = ({ webhook = webhook, start = start })[mode]
local none, always

-- wrk has the path of the URL it was given by the time of init()
function init(args)
    path = wrk.path
    none = wrk.format("GET", "/bench-none")
    always = wrk.format("POST", path, { ["Content-Type"] = "text/plain" },
        body)
end

function request()
    -- wrk looks at one request, which it does not send, before it begins
    if not checked then
        checked = true
        return none
    end

    sent = sent + 1

    if count > 0 and sent > count then
        return none
    end

    return make and make(sent) or always
end

-- wrk itself would wait until the end of its -d
if count > 0 then
    function response(status)
        answered = answered + 1
        failed = failed + (status > 399 and 1 or 0)

        if answered >= count then
            io.write(string.format('\n{"requests":%d,"us":1,"failed":%d,'
                .. '"broken":0,"p50":0,"p99":0}\n', answered, failed))
            io.flush()
            os.exit(0)
        end
    end
end

function done(summary, latency)
    local e = summary.errors

    io.write(string.format('\n{"requests":%d,"us":%d,"failed":%d,'
        .. '"broken":%d,"p50":%g,"p99":%g}\n', summary.requests,
        summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
