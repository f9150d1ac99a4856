"""What the Lua scripts of `RedisJobStore` have in common: the keys, and how to keep them in step.

The scripts are its atomic steps.

What they are given is in ``ARGV``, packed, and in ``BLOBS`` from 2 on, where it may be long.
They only compare and set: which status may follow which, and what becomes of a job, is said by
`lambda_kit.core.model.transitions`.

Each key begins with ``{prefix}:``, so that all are in one slot of a cluster::

    job:ID              hash; r: the record, v: id of the write that made it what it is, n: number by creation,
                        st: status, tool, key: idempotency key, of: principal, tk: lease token, h: home, le: when the
                        lease runs out, tb: assigned worker, c: 1 if its cancel was requested, exp: when it expires,
                        seq: last event, bt and bn: last batch of events, q and qt: request and its type, b: result,
                        du: until when it is kept for sinks (only where one has an entry of it).
                        Members that change without the record (tb, le) count more than the record's.
    log:ID              stream; the ids are the numbers of the events
    key:KEY             id of the job with that idempotency key
    number              counter of creations
    of:PRINCIPAL        sorted set of job ids by creation number
    tools               set of the tools of all jobs so far
    is:STATUS:TOOL      sorted set of job ids by creation number
    expiry:STATUS:TOOL  sorted set of the final ones by expiry
    leases              sorted set of executing jobs by the end of their lease
    queues:TOOL         set of the workers that have pending jobs of a tool; empty: no worker
    queue:N:TOOL:WORKER sorted set of these by creation number; N: length of the tool's name
    alive               sorted set of workers by the end of the lease of their last heartbeat
    share:SHARE         set of the ids of the unfinished jobs of a share; SHARE: in hexadecimal digits
    bucket:NAME         hash of a token bucket that is not full; used: tokens that are missing, at: when that was so
    slots               set of the names of which there were slots
    slots:NAME          sorted set of holders by the end of their lease
    sinks               set of sinks
    sinks_seen          sorted set of them by when they were last registered
    confirmed:SINK      hash; job id to the last event that was confirmed
    ready:SINK          sorted set, by creation number, of jobs with something to deliver
    given:SINK          hash; job id to the end of the lease of its delivery, and its holder
    retired             sorted set, by `du`, of jobs that have expired and are kept for sinks alone. Their hash, log and
                        entries have the id ``ID~N`` (N: the number by creation), which no job can have
    secret:callers      key of the hashes of callers
    layout              version of all this
"""

import hashlib

__all__ = ["LAYOUT", "Script"]

LAYOUT = 2
"""The version of the keys' meaning."""

_COMMON = """
local base, BLOBS, ARGV = KEYS[1], ARGV, cmsgpack.unpack(ARGV[1])
local function key(kind, name) return base .. kind .. ':' .. name end
local function queue(tool, worker_id) return key('queue', #tool .. ':' .. tool .. ':' .. worker_id) end

-- A server without memory refuses a script's first write if that may need some, and no later one (Redis' script.c,
-- scriptVerifyOOM). What keeps, ends and frees jobs goes on then: it begins with a write that needs none.
local function go_on_when_full() redis.call('UNLINK', base .. 'nothing') end

local function load(id)
  local m = redis.call('HMGET', key('job', id), 'v', 'n', 'st', 'tool', 'tb', 'le', 'exp', 'key', 'seq', 'tk', 'c',
    'of', 'du')
  if not m[1] then return nil end
  return {id = id, v = m[1], n = m[2], st = m[3], tool = m[4], tb = m[5], le = m[6], exp = m[7], key = m[8],
    seq = m[9], tk = m[10], c = m[11], of = m[12], du = m[13]}
end

local function state(id)
  return redis.call('HMGET', key('job', id), 'r', 'v', 'n', 'tb', 'le', 'seq', 'bt', 'bn')
end

local function add(job)
  redis.call('ZADD', key('is', job.st .. ':' .. job.tool), job.n, job.id)
  if job.exp ~= '' then
    redis.call('ZADD', key('expiry', job.st .. ':' .. job.tool), job.exp, job.id)
  elseif job.le ~= '' then
    redis.call('ZADD', base .. 'leases', job.le, job.id)
  else
    redis.call('ZADD', queue(job.tool, job.tb), job.n, job.id)
    redis.call('SADD', key('queues', job.tool), job.tb)
  end
end

local function remove(job)
  redis.call('ZREM', key('is', job.st .. ':' .. job.tool), job.id)
  if job.exp ~= '' then
    redis.call('ZREM', key('expiry', job.st .. ':' .. job.tool), job.id)
  elseif job.le ~= '' then
    redis.call('ZREM', base .. 'leases', job.id)
  else
    redis.call('ZREM', queue(job.tool, job.tb), job.id)
    if redis.call('EXISTS', queue(job.tool, job.tb)) == 0 then
      redis.call('SREM', key('queues', job.tool), job.tb)
    end
  end
end

local function forget_deliveries(id)
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    redis.call('HDEL', key('confirmed', sink), id)
    redis.call('ZREM', key('ready', sink), id)
    redis.call('HDEL', key('given', sink), id)
  end
end

local function is_waiting(id)
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    if redis.call('HEXISTS', key('confirmed', sink), id) == 1 then return true end
  end
  return false
end

local function forget_retired(id)
  redis.call('UNLINK', key('job', id), key('log', id))
  redis.call('ZREM', base .. 'retired', id)
  forget_deliveries(id)
end

-- the entries of an expired job get an id of their own: its id may be another one's from now on
local function retire_entries(id, number, deliver_until)
  local retired = id .. '~' .. number
  redis.call('ZADD', base .. 'retired', deliver_until, retired)
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    local confirmed = redis.call('HGET', key('confirmed', sink), id)
    if confirmed then
      redis.call('HSET', key('confirmed', sink), retired, confirmed)
      redis.call('ZADD', key('ready', sink), number, retired)
      local lease = redis.call('HGET', key('given', sink), id)
      if lease then redis.call('HSET', key('given', sink), retired, lease) end
    end
  end
  forget_deliveries(id)
end

-- an expired job is gone for clients; what a sink has not confirmed of it is kept under an id of its own
local function leave(job)
  remove(job)
  if job.key ~= '' and redis.call('GET', key('key', job.key)) == job.id then
    redis.call('DEL', key('key', job.key))
  end
  if job.of ~= '' then redis.call('ZREM', key('of', job.of), job.id) end
  if not is_waiting(job.id) then
    redis.call('UNLINK', key('job', job.id), key('log', job.id))
    forget_deliveries(job.id)
    return
  end
  local id = job.id .. '~' .. job.n
  redis.call('RENAME', key('job', job.id), key('job', id))
  if redis.call('EXISTS', key('log', job.id)) == 1 then redis.call('RENAME', key('log', job.id), key('log', id)) end
  if not job.du then -- an older version has ended it: that is kept for a day from now on
    for _, kind in ipairs({'job', 'log'}) do redis.call('PEXPIRE', key(kind, id), 86460000) end
  end
  retire_entries(job.id, job.n, job.du or tonumber(job.exp) + 86400)
end

-- a job that Redis itself has dropped: what a sink has not confirmed of it is overdue
local function leave_lost(id)
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    local number = redis.call('ZSCORE', key('ready', sink), id)
    if number then return retire_entries(id, number, 0) end
  end
  forget_deliveries(id)
end

local function is_expired(job, now) return job.exp ~= '' and tonumber(job.exp) <= tonumber(now) end

-- whether a sink has not confirmed all of a job
local function to_deliver(job)
  local is_any = false
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    if redis.call('HEXISTS', key('confirmed', sink), job.id) == 1 then
      redis.call('ZADD', key('ready', sink), job.n, job.id)
      is_any = true
    end
  end
  return is_any
end

-- appends the entries that are described by ARGV from `first` on; their bodies are in BLOBS from `body` on
local function append(id, size, first, body)
  for i = first, #ARGV, 4 do
    if ARGV[i + 3] ~= '' then
      redis.call('XADD', key('log', id), 'MAXLEN', size, ARGV[i] .. '-0', 't', ARGV[i + 1], 'st', ARGV[i + 3])
    else
      redis.call('XADD', key('log', id), 'MAXLEN', size, ARGV[i] .. '-0', 't', ARGV[i + 1], 's', ARGV[i + 2],
        'b', BLOBS[body])
      body = body + 1
    end
  end
end

local function publish(write, status, c, id)
  redis.call('PUBLISH', base .. 'changes', write .. ' ' .. status .. ' ' .. c .. ' ' .. id)
end
"""


class Script:
    """One script.

    Attributes:
        text: Its source.
        sha: Redis knows it by that.
    """

    def __init__(self, body: str) -> None:
        self.text = (_COMMON + body).encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()
