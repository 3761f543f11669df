-- nn.Embedding: rows of a table, looked up by integers.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
local Embedding = Module:extend "Embedding"
local spec = args [[Embedding(int num_embeddings, int embedding_dim, int padding_idx=nil, float max_norm=nil,
  float norm_type=2.0, bool scale_grad_by_freq=false, bool sparse=false, Tensor _weight=nil,
  bool _freeze=false, device device=nil, dtype dtype=nil)]]

--- weight: (num_embeddings, embedding_dim), from N(0, 1); the row padding_idx is zero and gets no gradient.
--- Input: integers of any shape (*); output (*, embedding_dim).
function Embedding:init(...)
  local count, dim, padding_idx, max_norm, norm_type, by_freq, sparse, weight, freeze, device, dtype = spec(...)
  if sparse then
    args.fail("Embedding", "sparse gradients are not part of Lampad; leave sparse = false")
  end
  if padding_idx then
    if padding_idx >= count or padding_idx < -count then
      args.fail("Embedding", "padding_idx must be within num_embeddings (%d), got %d", count, padding_idx)
    end
    if padding_idx < 0 then padding_idx = padding_idx + count end
  end
  self:_set {
    num_embeddings = count, embedding_dim = dim, padding_idx = padding_idx, max_norm = max_norm,
    norm_type = norm_type, scale_grad_by_freq = by_freq, sparse = sparse,
  }
  if weight then
    if weight.ndim ~= 2 or weight:size(0) ~= count or weight:size(1) ~= dim then
      args.fail("Embedding", "the shape of weight, %s, does not match num_embeddings and embedding_dim",
        tostring(weight.shape))
    end
    self.weight = Parameter(weight, not freeze)
  else
    self.weight = Parameter(torch.empty({ count, dim }, args.making(device, dtype)), not freeze)
    self:reset_parameters()
  end
end

function Embedding:reset_parameters()
  init.normal_(self.weight)
  if self.padding_idx then
    torch.no_grad(function() self.weight[self.padding_idx]:fill_(0) end)
  end
end

function Embedding:forward(input)
  if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
  return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)
end

function Embedding:extra_repr()
  local parts = { ("%d, %d"):format(self.num_embeddings, self.embedding_dim) }
  if self.padding_idx then parts[#parts + 1] = "padding_idx=" .. self.padding_idx end
  if self.max_norm then parts[#parts + 1] = "max_norm=" .. text.repr(self.max_norm) end
  if self.norm_type ~= 2 then parts[#parts + 1] = "norm_type=" .. text.repr(self.norm_type) end
  if self.scale_grad_by_freq then parts[#parts + 1] = "scale_grad_by_freq=True" end
  return table.concat(parts, ", ")
end

local from_spec = args [[Embedding.from_pretrained(Tensor embeddings, bool freeze=true, int padding_idx=nil,
  float max_norm=nil, float norm_type=2.0, bool scale_grad_by_freq=false, bool sparse=false)]]

--- nn.Embedding.from_pretrained(tensor): an embedding over existing rows; frozen unless freeze = false.
function Embedding.from_pretrained(...)
  local embeddings, freeze, padding_idx, max_norm, norm_type, by_freq, sparse = from_spec(...)
  if embeddings.ndim ~= 2 then
    args.fail("Embedding.from_pretrained", "Embeddings parameter is expected to be 2-dimensional, got shape %s",
      tostring(embeddings.shape))
  end
  return Embedding(embeddings:size(0), embeddings:size(1), {
    padding_idx = padding_idx, max_norm = max_norm, norm_type = norm_type, scale_grad_by_freq = by_freq,
    sparse = sparse, _weight = embeddings, _freeze = freeze,
  })
end

return Embedding
