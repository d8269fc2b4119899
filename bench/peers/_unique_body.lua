-- Every body another one: the word UNIQUE gives way to a number that no other request of any run has.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  sent = 0
  started = os.time()
end

function request()
  sent = sent + 1
  local mark = started .. "-" .. number .. "-" .. sent
  return wrk.format(nil, nil, nil, (wrk.body:gsub("UNIQUE", mark)))
end
