"""The Lua scripts of `RedisJobStore` that read and change one job. See `redis_lua` for the keys."""

from lambda_kit.adapters.stores.redis.lua import Script

__all__ = [
    "APPEND",
    "ASK_TO_CANCEL",
    "CHANGE",
    "CREATE",
    "DISCARD",
    "OVERDUE",
    "READ_BODY",
    "READ_BY_KEY",
    "READ_LOG",
    "RENEW",
]

CREATE = Script("""
local id, write, now, most, size, tool = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local idempotency_key = ARGV[7]
local there = load(id)
if there and is_expired(there, now) then forget(there); there = nil end
if not there and idempotency_key ~= '' then
  local other = redis.call('GET', key('key', idempotency_key))
  there = other and load(other)
  if there and is_expired(there, now) then forget(there); there = nil end
end
if there then return {0, state(there.id)} end
if most ~= '' then
  local unfinished = redis.call('ZCARD', key('is', 'pending:' .. tool))
    + redis.call('ZCARD', key('is', 'executing:' .. tool))
  if unfinished >= tonumber(most) then return {-1} end
end
local n = redis.call('INCR', base .. 'number')
local job = {id = id, n = n, tool = tool, tb = ARGV[9], le = ARGV[13], exp = ''}
redis.call('UNLINK', key('log', id))
redis.call('HSET', key('job', id), 'v', write, 'n', n, 'st', ARGV[8], 'tool', tool, 'tb', job.tb, 'le', job.le,
  'exp', '', 'key', idempotency_key, 'seq', 0, 'tk', ARGV[10], 'h', ARGV[14], 'c', '0', 'r', BLOBS[2], 'qt', ARGV[11],
  'q', BLOBS[3])
if idempotency_key ~= '' then redis.call('SET', key('key', idempotency_key), id) end
redis.call('SADD', base .. 'tools', tool)
job.st = 'pending'
log_status(job, ARGV[12], size)
job.st = ARGV[8]
if ARGV[15] ~= '' then log_status(job, ARGV[15], size) end
add(job)
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  redis.call('HSET', key('confirmed', sink), id, 0)
  redis.call('ZADD', key('ready', sink), n, id)
end
publish(write, job.st, '0', id)
return {1, n}
""")

CHANGE = Script("""
local id, write, now, size = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
local job = load(id)
if not job then return {-1} end
if job.v ~= ARGV[3] or (ARGV[4] ~= '' and job.le ~= ARGV[4]) then return {0, state(id)} end
remove(job)
job.st, job.tb, job.le, job.exp = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
redis.call('HSET', key('job', id), 'v', write, 'st', job.st, 'tb', job.tb, 'le', job.le, 'exp', job.exp,
  'tk', ARGV[11], 'h', ARGV[12], 'c', ARGV[13], 'r', BLOBS[2])
add(job)
log_status(job, now, size)
to_deliver(job)
publish(write, job.st, ARGV[13], id)
if job.exp ~= '' then
  redis.call('HDEL', key('job', id), 'q')
  if BLOBS[3] then redis.call('HSET', key('job', id), 'b', BLOBS[3]) end
  redis.call('PEXPIRE', key('job', id), ARGV[14])
  redis.call('PEXPIRE', key('log', id), ARGV[14])
  if job.key ~= '' then redis.call('PEXPIRE', key('key', job.key), ARGV[14]) end
end
local progress = redis.call('HGET', key('job', id), 'p')
if ARGV[15] == '' then return {1, progress} end
local is_small = redis.call('HSTRLEN', key('job', id), 'q') <= tonumber(ARGV[15])
return {1, progress, redis.call('HGET', key('job', id), 'qt'), is_small and redis.call('HGET', key('job', id), 'q')}
""")

ASK_TO_CANCEL = Script("""
local id, write = ARGV[1], ARGV[2]
local job = load(id)
if not job then return {-1} end
if job.v ~= ARGV[3] then return {0, state(id)} end
redis.call('HSET', key('job', id), 'v', write, 'c', '1')
publish(write, job.st, '1', id)
return {1, state(id)}
""")

DISCARD = Script("""
local job = load(ARGV[1])
if not job or job.le ~= '' or job.exp ~= '' then return 0 end
forget(job)
publish(ARGV[2], '-', '0', job.id)
return 1
""")

READ_BY_KEY = Script("""
local id = redis.call('GET', key('key', ARGV[1]))
return id and state(id)
""")

READ_BODY = Script("""
local name, most = ARGV[2], tonumber(ARGV[3])
local is_small = redis.call('HSTRLEN', key('job', ARGV[1]), name) <= most
return {state(ARGV[1]), redis.call('HEXISTS', key('job', ARGV[1]), name), redis.call('HGET', key('job', ARGV[1]), 'qt'),
  is_small and redis.call('HGET', key('job', ARGV[1]), name)}
""")

RENEW = Script("""
local answers = {}
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  if job and job.le ~= '' and job.tk == ARGV[i + 1] then
    redis.call('HSET', key('job', job.id), 'le', ARGV[1])
    redis.call('ZADD', base .. 'leases', ARGV[1], job.id)
    answers[#answers + 1] = job.c
  else
    answers[#answers + 1] = '-'
  end
end
return answers
""")

OVERDUE = Script("""
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'leases', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  if load(id) then found[#found + 1] = state(id) else redis.call('ZREM', base .. 'leases', id) end
end
return found
""")

APPEND = Script("""
local id, write, token, dropped, batch, size = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local job = load(id)
if not job or job.le == '' or job.tk ~= token then return {-1} end
local seq = tonumber(job.seq)
if batch ~= '' then
  local last = redis.call('HMGET', key('job', id), 'bt', 'bn')
  if last[1] == token and tonumber(last[2]) >= tonumber(batch) then return {seq, job.c} end
end
seq = seq + tonumber(dropped)
for i = 8, #ARGV, 2 do
  seq = seq + 1
  redis.call('XADD', key('log', id), 'MAXLEN', size, seq .. '-0', 't', ARGV[i], 's', ARGV[i + 1], 'b',
    BLOBS[i / 2 - 2])
end
redis.call('HSET', key('job', id), 'seq', seq)
if batch ~= '' then redis.call('HSET', key('job', id), 'bt', token, 'bn', batch) end
if ARGV[7] ~= '' then redis.call('HSET', key('job', id), 'p', ARGV[7]) end
to_deliver(job)
publish(write, job.st, job.c, id)
return {seq, job.c}
""")

READ_LOG = Script("""
local job = load(ARGV[1])
if not job then return false end
return {job.seq, job.exp, redis.call('XRANGE', key('log', job.id), ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])}
""")
