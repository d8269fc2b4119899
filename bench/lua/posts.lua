-- Every post is a new message: @UUID@ in the body becomes a new client id. The header "X-Topics: 3,7,9" lists the
-- topics to post into in turn: @TOPIC@ in path and body becomes one of them. The header is not sent.
local template, path, headers, topics, turn = wrk.body, wrk.path, wrk.headers, {}, 0
for topic in string.gmatch(headers["X-Topics"] or "0", "%d+") do
  topics[#topics + 1] = topic
end
headers["X-Topics"] = nil
math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 1000003)

local function client_id()
  return (string.gsub("xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx", "x", function()
    return string.format("%x", math.random(0, 15))
  end))
end

function request()
  turn = turn % #topics + 1
  local topic = topics[turn]
  local body = template:gsub("@UUID@", client_id):gsub("@TOPIC@", topic)
  local to = path:gsub("@TOPIC@", topic)
  return wrk.format("POST", to, headers, body)
end
