"""What the Lua scripts of `RedisJobStore` have in common: the keys, and how to keep them in step.

The scripts are its atomic steps.

What they are given is in ``ARGV``, packed, and in ``BLOBS`` from 2 on, where it may be long.
They only compare and set: which status may follow which, and what becomes of a job, is said by
`lambda_kit.core.model.transitions`.

Each key begins with ``{prefix}:``, so that all are in one slot of a cluster::

    job:ID              hash; r: the record, v: id of the write that made it what it is, n: number by creation,
                        st: status, tool, key: idempotency key, of: principal, tk: lease token, h: home, le: when the
                        lease runs out, tb: assigned worker, c: 1 if its cancel was requested, exp: when it expires,
                        seq: last event, bt and bn: last batch of events, q and qt: request and its type, b: result.
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
    slots               set of the names of which there were slots
    slots:NAME          sorted set of holders by the end of their lease
    sinks               set of sinks
    confirmed:SINK      hash; job id to the last event that was confirmed
    ready:SINK          sorted set, by creation number, of jobs with something to deliver
    given:SINK          hash; job id to the end of the lease of its delivery, and its holder
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
    'of')
  if not m[1] then return nil end
  return {id = id, v = m[1], n = m[2], st = m[3], tool = m[4], tb = m[5], le = m[6], exp = m[7], key = m[8],
    seq = m[9], tk = m[10], c = m[11], of = m[12]}
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

local function forget(job)
  remove(job)
  redis.call('UNLINK', key('job', job.id), key('log', job.id))
  if job.key ~= '' and redis.call('GET', key('key', job.key)) == job.id then
    redis.call('DEL', key('key', job.key))
  end
  if job.of ~= '' then redis.call('ZREM', key('of', job.of), job.id) end
  forget_deliveries(job.id)
end

local function is_expired(job, now) return job.exp ~= '' and tonumber(job.exp) <= tonumber(now) end

local function to_deliver(job)
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    if redis.call('HEXISTS', key('confirmed', sink), job.id) == 1 then
      redis.call('ZADD', key('ready', sink), job.n, job.id)
    end
  end
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
