"""The Lua scripts of `RedisJobStore` for what is not yet delivered to sinks. See `lua` for the keys."""

from lambda_kit.adapters.stores.redis.lua import Script

__all__ = ["DROP_OVERDUE", "DROP_SILENT", "MARK_DELIVERED", "READ_DELIVERY", "REGISTER_SINK", "UNDELIVERED"]

# As `lambda_kit.core.ports.outbox.right_to_deliver`. "" for who has a right without a lease, the text of the lease that
# it has to take, or nil.
_RIGHTS = """
local function right(sink, id, holder, now, until_, is_begun)
  local home = redis.call('HGET', key('job', id), 'h') or ''
  local ends, other = string.match(redis.call('HGET', key('given', sink), id) or '', '^(%S+) (.*)$')
  if ends and tonumber(ends) <= now then other = nil end
  if other and other ~= holder then return nil end
  local alive = home ~= '' and tonumber(redis.call('ZSCORE', base .. 'alive', home) or '-inf') or nil
  if alive and alive > now then
    if home == holder then return '' end
    if not (is_begun and other) then return nil end
  end
  return until_ .. ' ' .. holder
end

-- the id under which a job is kept now, of which `number` is the number by creation
local function where(id, number)
  if redis.call('HGET', key('job', id), 'n') == number then return id end
  return id .. '~' .. number
end
"""

REGISTER_SINK = Script("""
go_on_when_full()
redis.call('SADD', base .. 'sinks', ARGV[1])
redis.call('ZADD', base .. 'sinks_seen', ARGV[2], ARGV[1])
""")

UNDELIVERED = Script(
    _RIGHTS
    + """
local sink, now, limit, holder, until_ = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local ready, given = key('ready', sink), key('given', sink)
if holder ~= '' then go_on_when_full() end
local answer, start = {}, 0
while #answer < limit do
  local ids = redis.call('ZRANGE', ready, start, start + limit - 1, 'WITHSCORES')
  if #ids == 0 then break end
  start = start + #ids / 2
  for i = 1, #ids, 2 do
    local id = ids[i]
    local lease = redis.call('EXISTS', key('job', id)) == 1 and ''
    if lease and holder ~= '' then lease = right(sink, id, holder, now, until_, false) end
    if lease then
      if lease ~= '' then redis.call('HSET', given, id, lease) end
      answer[#answer + 1] = {id, redis.call('HGET', key('confirmed', sink), id), ids[i + 1]}
    end
    if #answer == limit then break end
  end
end
return answer
"""
)

READ_DELIVERY = Script(
    _RIGHTS
    + """
local sink, id, now, holder, until_ = ARGV[1], where(ARGV[2], ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local job = redis.call('HEXISTS', key('confirmed', sink), id) == 1 and load(id)
if not job then return false end
if holder ~= '' then
  local lease = right(sink, id, holder, now, until_, true)
  if not lease then return false end
  if lease ~= '' then
    go_on_when_full()
    redis.call('HSET', key('given', sink), id, lease)
  end
end
local events = redis.call('XRANGE', key('log', id), ARGV[7] .. '-0', '+', 'COUNT', ARGV[8])
local last = events[#events]
local is_last = job.exp ~= '' and (not last or string.match(last[1], '^(%d+)') == job.seq)
local size = is_last and redis.call('HSTRLEN', key('job', id), 'b') or 0
local is_there = is_last and redis.call('HEXISTS', key('job', id), 'b') or 0
return {id, state(id), events, is_last and 1 or 0, is_there,
  is_there == 1 and size <= tonumber(ARGV[9]) and redis.call('HGET', key('job', id), 'b')}
"""
)

MARK_DELIVERED = Script(
    _RIGHTS
    + """
go_on_when_full()
local sink, id, seq, is_complete = ARGV[1], where(ARGV[2], ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local holder, now = ARGV[6], tonumber(ARGV[7])
local confirmed = redis.call('HGET', key('confirmed', sink), id)
if not confirmed then return 0 end
local ends, other = string.match(redis.call('HGET', key('given', sink), id) or '', '^(%S+) (.*)$')
if holder ~= '' and ends and other ~= holder and tonumber(ends) > now then return 0 end
local job = load(id)
if is_complete or not job then
  redis.call('HDEL', key('confirmed', sink), id)
  redis.call('HDEL', key('given', sink), id)
  redis.call('ZREM', key('ready', sink), id)
  if string.find(id, '~', 1, true) and not is_waiting(id) then forget_retired(id) end
  return 1
end
seq = math.max(seq, tonumber(confirmed))
redis.call('HSET', key('confirmed', sink), id, seq)
if seq >= tonumber(job.seq) and job.exp == '' then redis.call('ZREM', key('ready', sink), id) end
return 1
"""
)

DROP_OVERDUE = Script("""
go_on_when_full()
local dropped = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'retired', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
    if redis.call('HEXISTS', key('confirmed', sink), id) == 1 then dropped[#dropped + 1] = {sink, id} end
  end
  forget_retired(id)
end
return dropped
""")

# Sinks that an older version has registered were seen now. One that is silent gets no entries of new jobs from the
# first step on, though it may take several until those that it has are gone.
DROP_SILENT = Script("""
go_on_when_full()
local now, before, limit, dropped = ARGV[1], ARGV[2], tonumber(ARGV[3]), {}
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  if not redis.call('ZSCORE', base .. 'sinks_seen', sink) then redis.call('ZADD', base .. 'sinks_seen', now, sink) end
end
for _, sink in ipairs(redis.call('ZRANGEBYSCORE', base .. 'sinks_seen', '-inf', before)) do
  redis.call('SREM', base .. 'sinks', sink)
  local found = redis.call('HSCAN', key('confirmed', sink), '0', 'COUNT', limit)[2]
  for i = 1, #found, 2 do
    local id = found[i]
    redis.call('HDEL', key('confirmed', sink), id)
    redis.call('HDEL', key('given', sink), id)
    redis.call('ZREM', key('ready', sink), id)
    if string.find(id, '~', 1, true) and not is_waiting(id) then forget_retired(id) end
    dropped[#dropped + 1] = {sink, id}
  end
  if redis.call('EXISTS', key('confirmed', sink)) == 0 then
    redis.call('ZREM', base .. 'sinks_seen', sink)
    redis.call('UNLINK', key('ready', sink), key('given', sink))
  end
  if #dropped >= limit then break end
end
return dropped
""")
