-- Is a random user in a random flag, or with FLAGS 0: in which of all flags? USERS: how many there are, from customer-1 on.
dofile(os.getenv("LOAD") .. "/common.lua")
local users, flags = tonumber(os.getenv("USERS")), tonumber(os.getenv("FLAGS"))
local list, n = nil, 0

function init()
  seed()
  list = heads("Content-Type: application/json\r\n")
end

function request()
  local body = '{"context":{"targetingKey":"customer-' .. math.random(users) .. '"}}'
  local flag = flags > 0 and "/SEGMENT_" .. math.random(flags) or ""
  n = n % #list + 1
  return "POST /ofrep/v1/evaluate/flags" .. flag .. " HTTP/1.1\r\n" .. list[n]
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end
