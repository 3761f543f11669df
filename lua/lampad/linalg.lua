-- torch.linalg: the ops of the schema, and the class of their errors.
local core = require "lampad.core"

local linalg = core.modules.linalg

-- An error of linalg is a text as any other; one that a matrix is to blame for has the word LinAlgError in it, behind
-- the op's name. torch.isinstance(err, torch.linalg.LinAlgError) tells these from the others.
local LinAlgError = { __name = "LinAlgError" }

--- True when the error value comes from a matrix that is singular, not positive definite, or defeats the algorithm.
function LinAlgError.is(err) return type(err) == "string" and err:find("LinAlgError: ", 1, true) ~= nil end

--- error(torch.linalg.LinAlgError("no pivot")) raises one of your own.
linalg.LinAlgError = setmetatable(LinAlgError, {
  __call = function(_, message) return "LinAlgError: " .. tostring(message or "") end,
  __tostring = function() return "class LinAlgError" end,
})

return linalg
