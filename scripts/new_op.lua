-- Where the pieces of a new op go, with a row to start from:
-- lua5.4 scripts/new_op.lua GEN_FOLDER NAME   (scripts/dev new-op NAME)

local gen, name = arg[1], arg[2]
if not name:match "^[a-z_][a-z0-9_]*$" then
  print(("'%s' cannot be an op's name: lower-case letters, digits and underscores"):format(name))
  os.exit(1)
end
for _, row in ipairs(dofile(gen .. "/op_db.lua")) do
  if row.name == name then
    print(("there is an op '%s' already: %s"):format(name, row.source))
    os.exit(1)
  end
end

print(([[
1. The schema row. Pick the family file in tensor/ops/ or nn/ops/ (docs/design/op-schema.md explains the fields).

   A pointwise op:
     op{ "NAME(Tensor self) -> Tensor", variants = "function method inplace out", kind = "unary",
         dtypes = "float complex", promote = "int->float",
         grad = { self = "grad * ..." },
         cases = { "(3,4)", "(0,)", "(2,3)t" },
         doc = "Elementwise ...", example = "torch.NAME(torch.tensor{0.5})" }

   Any other op:
     op{ "NAME(Tensor self, int dim=-1) -> Tensor", variants = "function method",
         grad = { self = "..." },
         cases = { "(3,4)", "(3,4), 0", "(0,)" },
         doc = "...", example = "torch.NAME(torch.ones(2, 3))" }

   One written in terms of other ops needs no C at all:
     op{ "NAME(Tensor self) -> Tensor", kind = "composite", composite = "exp(self) - 1", ... }

2. The code.
   unary, binary:  one scalar function NAME in tensor/cpu/simd/ (scalar_float.h and its neighbours)
   native:         LpTensor *lp_impl_NAME(...) in tensor/ or nn/; build/gen/impl.h has the exact prototype after
                   the next build: checks in dispatch/, loops in cpu/
   composite in C: lp_composite_NAME(...)

3. Expected values from PyTorch: python3 scripts/gen/golden.py build  (PyTorch 2.x)

4. Check: scripts/dev build && scripts/dev test NAME && scripts/dev explain NAME && scripts/dev reference

docs/design/adding-an-op.md follows one op through these steps.]]):gsub("NAME", name))
