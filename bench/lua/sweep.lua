-- Every object of zipf.lua in turn, so that all of them are stored before the measurement.
local OBJECTS = 10000
local heads = {}
local turn = 0

init = function(args)
  for object = 1, OBJECTS do
    heads[object] = wrk.format("GET", "/zipf/" .. object)
  end
end

request = function()
  turn = turn % OBJECTS + 1
  return heads[turn]
end
