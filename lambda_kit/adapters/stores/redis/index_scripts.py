"""The Lua scripts of `RedisJobStore` that look at many jobs, or at none. See `lua` for the keys."""

from lambda_kit.adapters.stores.redis.lua import Script
from lambda_kit.core.ports.token_buckets import TOLERANCE

__all__ = [
    "ACQUIRE_SLOT",
    "ADOPT",
    "CHECK",
    "COUNT",
    "EXPIRE_WORKER",
    "HEARTBEAT",
    "LIST",
    "LIST_OF_PRINCIPAL",
    "PLACES",
    "PURGE",
    "TAKE_TOKEN",
]

CHECK = Script("""
go_on_when_full() -- a write in any case: the right to write is looked at too
redis.call('SET', base .. 'layout', ARGV[1], 'NX')
return redis.call('GET', base .. 'layout')
""")

HEARTBEAT = Script("""
go_on_when_full()
redis.call('ZADD', base .. 'alive', ARGV[2], ARGV[1])
return redis.call('TIME')
""")

EXPIRE_WORKER = Script("""
go_on_when_full()
redis.call('ZREM', base .. 'alive', ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', base .. 'leases', 0, -1)) do
  if redis.call('HGET', key('job', id), 'tb') == ARGV[1] then
    redis.call('HSET', key('job', id), 'v', ARGV[3], 'le', ARGV[2])
    redis.call('ZADD', base .. 'leases', ARGV[2], id)
  end
end
for _, sink in ipairs(redis.call('SMEMBERS', base .. 'sinks')) do
  local leases = redis.call('HGETALL', key('given', sink))
  for i = 1, #leases, 2 do
    if string.match(leases[i + 1], '^%S+ (.*)$') == ARGV[1] then redis.call('HDEL', key('given', sink), leases[i]) end
  end
end
for _, name in ipairs(redis.call('SMEMBERS', base .. 'slots')) do
  for _, holder in ipairs(redis.call('ZRANGE', key('slots', name), 0, -1)) do
    if string.sub(holder, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then redis.call('ZREM', key('slots', name), holder) end
  end
end
""")

ADOPT = Script("""
go_on_when_full()
local me, now, limit, write = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local but_of, count = {}, tonumber(ARGV[5])
for i = 6, 5 + count do but_of[ARGV[i]] = true end
local last = limit - 1
if count > 0 then last = 19999 end
local orphans = {}
for i = 6 + count, #ARGV do
  for _, worker_id in ipairs(redis.call('SMEMBERS', key('queues', ARGV[i]))) do
    local until_ = tonumber(redis.call('ZSCORE', base .. 'alive', worker_id) or '-inf')
    if worker_id ~= me and (worker_id == '' or not until_ or until_ <= now) then
      local ids = redis.call('ZRANGE', queue(ARGV[i], worker_id), 0, last, 'WITHSCORES')
      local found = 0
      for k = 1, #ids, 2 do
        if found == limit then break end
        if count == 0 or not but_of[redis.call('HGET', key('job', ids[k]), 'of') or ''] then
          found = found + 1
          orphans[#orphans + 1] = {ids[k], tonumber(ids[k + 1])}
        end
      end
    end
  end
end
table.sort(orphans, function(a, b) return a[2] < b[2] end)
local adopted = {}
for i = 1, math.min(limit, #orphans) do
  local job = load(orphans[i][1])
  if job then
    remove(job)
    job.tb = me
    redis.call('HSET', key('job', job.id), 'v', write, 'tb', me)
    add(job)
    adopted[#adopted + 1] = state(job.id)
  end
end
return adopted
""")

LIST = Script("""
local below, limit = ARGV[1], tonumber(ARGV[2])
local tools = ARGV[3] ~= '' and {ARGV[3]} or redis.call('SMEMBERS', base .. 'tools')
local found = {}
for _, tool in ipairs(tools) do
  for i = 4, #ARGV do
    local ids = redis.call('ZREVRANGEBYSCORE', key('is', ARGV[i] .. ':' .. tool), below, '-inf', 'WITHSCORES',
      'LIMIT', 0, limit)
    for k = 1, #ids, 2 do found[#found + 1] = {ids[k], tonumber(ids[k + 1])} end
  end
end
table.sort(found, function(a, b) return a[2] > b[2] end)
local answer = {}
for i = 1, math.min(limit, #found) do answer[i] = {found[i][2], state(found[i][1])} end
return answer
""")

LIST_OF_PRINCIPAL = Script("""
local below, limit, tool, of = ARGV[1], tonumber(ARGV[2]), ARGV[3], key('of', ARGV[4])
local wanted, answer, start = {}, {}, 0
for i = 5, #ARGV do wanted[ARGV[i]] = true end
while #answer < limit do
  local ids = redis.call('ZREVRANGEBYSCORE', of, below, '-inf', 'WITHSCORES', 'LIMIT', start, limit)
  if #ids == 0 then break end
  start = start + limit
  for k = 1, #ids, 2 do
    local job, n = load(ids[k]), tonumber(ids[k + 1])
    if #answer < limit and job and tonumber(job.n) == n and wanted[job.st] and (tool == '' or job.tool == tool) then
      answer[#answer + 1] = {n, state(job.id)}
    end
  end
end
return answer
""")

COUNT = Script("""
local counts = {}
for _, tool in ipairs(redis.call('SMEMBERS', base .. 'tools')) do
  for i = 2, #ARGV do
    local name = ARGV[i] .. ':' .. tool
    local count = redis.call('ZCARD', key('is', name)) - redis.call('ZCOUNT', key('expiry', name), '-inf', ARGV[1])
    if count > 0 then counts[#counts + 1] = {tool, ARGV[i], count} end
  end
end
return counts
""")

PLACES = Script("""
local places = {}
for i = 1, #ARGV do
  local job = load(ARGV[i])
  local place = job and job.le == '' and job.exp == ''
    and redis.call('ZRANK', key('is', job.st .. ':' .. job.tool), job.id)
  places[i] = place and place + 1 or 0
end
return places
""")

ACQUIRE_SLOT = Script("""
go_on_when_full()
local slots, holder = key('slots', ARGV[1]), ARGV[2]
redis.call('ZREMRANGEBYSCORE', slots, '-inf', ARGV[3])
if not redis.call('ZSCORE', slots, holder) and redis.call('ZCARD', slots) >= tonumber(ARGV[5]) then return 0 end
redis.call('ZADD', slots, ARGV[4], holder)
redis.call('SADD', base .. 'slots', ARGV[1])
return 1
""")

# as `token_buckets.take`
TAKE_TOKEN = Script(
    """
local bucket, rate, burst, now = key('bucket', ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local known = redis.call('HMGET', bucket, 'used', 'at')
local before, at = tonumber(known[1] or '0'), tonumber(known[2] or now)
local used = math.min(math.max(before - math.max(now - at, 0) * rate, 0), burst + 1)
local is_taken = used <= burst - 1 + """
    + str(TOLERANCE)
    + """
if is_taken then used = used + 1 end
redis.call('HSET', bucket, 'used', string.format('%.17g', used), 'at', string.format('%.17g', now))
redis.call('PEXPIRE', bucket, string.format('%.0f', math.ceil(used / rate * 1000) + 1))
return {is_taken and 1 or 0, string.format('%.17g', burst - used)}
"""
)

PURGE = Script("""
local now, limit, gone = ARGV[1], tonumber(ARGV[2]), 0
redis.call('ZREMRANGEBYSCORE', base .. 'alive', '-inf', ARGV[3])
for _, tool in ipairs(redis.call('SMEMBERS', base .. 'tools')) do
  for i = 4, #ARGV do
    local name = ARGV[i] .. ':' .. tool
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('expiry', name), '-inf', now, 'LIMIT', 0, limit - gone)) do
      local job = load(id)
      if job and is_expired(job, now) and job.st == ARGV[i] and job.tool == tool then
        leave(job)
      else -- Redis has expired it, and there may be another of that id
        redis.call('ZREM', key('is', name), id)
        redis.call('ZREM', key('expiry', name), id)
        if not job then leave_lost(id) end
      end
      gone = gone + 1
    end
    if gone >= limit then return gone end
  end
end
return gone
""")
