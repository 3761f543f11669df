std = "lua54"
max_line_length = false           -- scripts/lint.lua has the rule
codes = true
self = false                      -- methods need not use self
ignore = {
  "212",   -- unused arguments: callbacks take what their caller gives
  "542",   -- empty branches with a comment that says why
  "581",   -- not (x <= y): means something else than x > y for nan
}
exclude_files = { "build*", "tests/golden" }

local predefined = { "torch", "nn", "F", "optim", "vision" }   -- what the executable predefines
files["scripts/*.lua"] = { read_globals = predefined }
files["scripts/bench/*.lua"] = { read_globals = predefined }
files["scripts/lib/*.lua"] = { read_globals = predefined }
files["tests/lua"] = { std = "lua54+busted", read_globals = predefined }
files["tests/ops"] = { read_globals = predefined, ignore = { "311" } }   -- 311: nil frees a large table
files["tests/lua/run.lua"] = { globals = { "arg" } }
files["tensor/ops"] = { read_globals = { "op" } }
files["nn/ops"] = { read_globals = { "op" } }
