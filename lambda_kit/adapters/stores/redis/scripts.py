"""The Lua scripts of `RedisJobStore` that read and change one job. See `lua` for the keys."""

from lambda_kit.adapters.stores.redis.lua import Script

__all__ = [
    "CHANGE",
    "CREATE",
    "OVERDUE",
    "READ_BODY",
    "READ_BY_KEY",
    "READ_LOG",
    "RENEW",
]

_GROWTH_BYTES = 4096
"""What a change of status may add to a job while the server has no memory left: its end must fit."""

CREATE = Script("""
local id, write, now, most, size, tool = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local idempotency_key, principal = ARGV[7], ARGV[15]
local there = load(id)
if there and is_expired(there, now) then leave(there); there = nil end
if not there and idempotency_key ~= '' then
  local other = redis.call('GET', key('key', idempotency_key))
  there = other and load(other)
  if there and is_expired(there, now) then leave(there); there = nil end
end
if there then return {0, state(there.id)} end
if most ~= '' then
  local unfinished = redis.call('ZCARD', key('is', 'pending:' .. tool))
    + redis.call('ZCARD', key('is', 'executing:' .. tool))
  if unfinished >= tonumber(most) then return {-1} end
end
local share, most_of_share = ARGV[16], ARGV[17]
if most_of_share ~= '' and redis.call('SCARD', key('share', share)) >= tonumber(most_of_share) then
  -- a server of an older version, which knows no shares, leaves in them what it has ended
  for _, other in ipairs(redis.call('SRANDMEMBER', key('share', share), 100)) do
    local job = load(other)
    if not job or job.exp ~= '' then redis.call('SREM', key('share', share), other) end
  end
  if redis.call('SCARD', key('share', share)) >= tonumber(most_of_share) then return {-3} end
end
local n = redis.call('INCR', base .. 'number')
local job = {id = id, n = n, st = ARGV[8], tool = tool, tb = ARGV[9], le = ARGV[12], exp = ''}
redis.call('UNLINK', key('log', id))
redis.call('HSET', key('job', id), 'v', write, 'n', n, 'st', job.st, 'tool', tool, 'tb', job.tb, 'le', job.le,
  'exp', '', 'key', idempotency_key, 'of', principal, 'seq', ARGV[14], 'bt', 0, 'bn', 0, 'tk', ARGV[10],
  'h', ARGV[13], 'c', '0', 'r', BLOBS[2], 'qt', ARGV[11], 'q', BLOBS[3])
if idempotency_key ~= '' then redis.call('SET', key('key', idempotency_key), id) end
if principal ~= '' then
  for _, old in ipairs(redis.call('ZRANGE', key('of', principal), 0, 1)) do -- Redis may have expired it
    if redis.call('EXISTS', key('job', old)) == 0 then redis.call('ZREM', key('of', principal), old) end
  end
  redis.call('ZADD', key('of', principal), n, id)
end
redis.call('SADD', base .. 'tools', tool)
if share ~= '' then redis.call('SADD', key('share', share), id) end
append(id, size, 18, 4)
add(job)
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  redis.call('HSET', key('confirmed', sink), id, 0)
  redis.call('ZADD', key('ready', sink), n, id)
end
publish(write, job.st, '0', id)
return {1, n}
""")

CHANGE = Script(
    """
local id, write, size = ARGV[1], ARGV[2], ARGV[4]
local job = load(id)
if not job or job.v ~= ARGV[3] then return {0} end
local is_moved = job.st ~= ARGV[5] or job.tb ~= ARGV[6] or job.le ~= ARGV[7]
local function write_members()
  return redis.pcall('HSET', key('job', id), 'v', write, 'st', ARGV[5], 'tb', ARGV[6], 'le', ARGV[7], 'exp', ARGV[8],
    'tk', ARGV[9], 'c', ARGV[10], 'seq', ARGV[13], 'bt', ARGV[14], 'bn', ARGV[15], 'r', BLOBS[2])
end
local answer = write_members()
if type(answer) == 'table' then
  if not string.find(answer.err, 'OOM') then return answer end
  local growth = #BLOBS[2] + #BLOBS[3] - redis.call('HSTRLEN', key('job', id), 'r')
  if ARGV[8] ~= '' then growth = growth - redis.call('HSTRLEN', key('job', id), 'q') end
  if BLOBS[4] or growth > """
    + str(_GROWTH_BYTES)
    + """ then return {-2} end
  go_on_when_full()
  write_members()
end
if is_moved then remove(job) end
job.st, job.tb, job.le, job.exp = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
if is_moved then add(job) end
append(id, size, 21, 4)
local is_waiting = false
if ARGV[16] == '0' then
  is_waiting = to_deliver(job)
  publish(write, job.st, ARGV[10], id)
end
if job.exp ~= '' then
  redis.call('HDEL', key('job', id), 'q')
  if ARGV[17] == '1' then redis.call('HSET', key('job', id), 'b', BLOBS[3]) end
  local lasts = is_waiting and ARGV[18] or ARGV[11]
  if is_waiting then redis.call('HSET', key('job', id), 'du', ARGV[19]) end
  redis.call('PEXPIRE', key('job', id), lasts)
  redis.call('PEXPIRE', key('log', id), lasts)
  if job.key ~= '' then redis.call('PEXPIRE', key('key', job.key), ARGV[11]) end
  if ARGV[20] ~= '' then redis.call('SREM', key('share', ARGV[20]), id) end
end
if ARGV[12] == '' then return {1} end
local is_small = redis.call('HSTRLEN', key('job', id), 'q') <= tonumber(ARGV[12])
return {1, redis.call('HGET', key('job', id), 'qt'), is_small and redis.call('HGET', key('job', id), 'q')}
"""
)

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
go_on_when_full()
local answers = {}
for i = 3, #ARGV, 2 do
  local job = load(ARGV[i])
  if job and job.le ~= '' and job.tk == ARGV[i + 1] then
    redis.call('HSET', key('job', job.id), 'v', ARGV[1], 'le', ARGV[2])
    redis.call('ZADD', base .. 'leases', ARGV[2], job.id)
    answers[#answers + 1] = {job.c, job.v}
  else
    answers[#answers + 1] = {'-', ''}
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

READ_LOG = Script("""
local job = load(ARGV[1])
if not job then return false end
return {job.seq, job.exp, redis.call('XRANGE', key('log', job.id), ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])}
""")
