-- Distributions against PyTorch's values, part 2: printing, shapes, moments, streams, densities, gradients.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

describe("torch.distributions", function() dofile(here .. "/distributions_values.lua")(it, "values_2") end)
