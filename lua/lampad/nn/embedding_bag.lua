-- nn.EmbeddingBag: sums, means or maxima of rows of a table.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"
local F = require "lampad.nn.functional"

local torch = core.torch
local EmbeddingBag = Module:extend "EmbeddingBag"
local spec = args [[EmbeddingBag(int num_embeddings, int embedding_dim, float max_norm=nil, float norm_type=2.0,
  bool scale_grad_by_freq=false, str mode='mean', bool sparse=false, Tensor _weight=nil,
  bool include_last_offset=false, int padding_idx=nil, device device=nil, dtype dtype=nil)]]

--- weight: (num_embeddings, embedding_dim), from N(0, 1); the row padding_idx is zero and counts in no bag.
--- Input: integers (bags, n), or (n) with offsets, where each bag begins; output (bags, embedding_dim).
function EmbeddingBag:init(...)
  local o = spec:collect(...)
  local count, dim, padding_idx = o.num_embeddings, o.embedding_dim, o.padding_idx
  if o.sparse then
    args.fail("EmbeddingBag", "sparse gradients are not part of Lampad; leave sparse = false")
  end
  if padding_idx then
    if padding_idx >= count or padding_idx < -count then
      args.fail("EmbeddingBag", "padding_idx must be within num_embeddings (%d), got %d", count, padding_idx)
    end
    if padding_idx < 0 then padding_idx = padding_idx + count end
  end
  self:_set {
    num_embeddings = count, embedding_dim = dim, max_norm = o.max_norm, norm_type = o.norm_type,
    scale_grad_by_freq = o.scale_grad_by_freq, mode = o.mode, sparse = false,
    include_last_offset = o.include_last_offset, padding_idx = padding_idx,
  }
  if o._weight then
    if o._weight.ndim ~= 2 or o._weight:size(0) ~= count or o._weight:size(1) ~= dim then
      args.fail("EmbeddingBag", "the shape of weight, %s, does not match num_embeddings and embedding_dim",
        tostring(o._weight.shape))
    end
    self.weight = Parameter(o._weight)
  else
    self.weight = Parameter(torch.empty({ count, dim }, args.making(o.device, o.dtype)))
    self:reset_parameters()
  end
end

function EmbeddingBag:reset_parameters()
  init.normal_(self.weight)
  if self.padding_idx then
    torch.no_grad(function() self.weight[self.padding_idx]:fill_(0) end)
  end
end

EmbeddingBag.forward = args.forward("EmbeddingBag", { "input", "offsets", "per_sample_weights" },
  function(self, input, offsets, per_sample_weights)
    return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
      false, per_sample_weights, self.include_last_offset, self.padding_idx)
  end)

function EmbeddingBag:extra_repr()
  local parts = { ("%d, %d"):format(self.num_embeddings, self.embedding_dim) }
  if self.max_norm then parts[#parts + 1] = "max_norm=" .. text.repr(self.max_norm) end
  if self.norm_type ~= 2 then parts[#parts + 1] = "norm_type=" .. text.repr(self.norm_type) end
  if self.scale_grad_by_freq then parts[#parts + 1] = "scale_grad_by_freq=True" end
  parts[#parts + 1] = "mode=" .. text.repr(self.mode)
  if self.padding_idx then parts[#parts + 1] = "padding_idx=" .. self.padding_idx end
  return table.concat(parts, ", ")
end

local from_spec = args [[EmbeddingBag.from_pretrained(Tensor embeddings, bool freeze=true, float max_norm=nil,
  float norm_type=2.0, bool scale_grad_by_freq=false, str mode='mean', bool sparse=false,
  bool include_last_offset=false, int padding_idx=nil)]]

--- nn.EmbeddingBag.from_pretrained(tensor): a bag over existing rows; frozen unless freeze = false.
function EmbeddingBag.from_pretrained(...)
  local o = from_spec:collect(...)
  local embeddings = o.embeddings
  if embeddings.ndim ~= 2 then
    args.fail("EmbeddingBag.from_pretrained", "Embeddings parameter is expected to be 2-dimensional, got shape %s",
      tostring(embeddings.shape))
  end
  local bag = EmbeddingBag(embeddings:size(0), embeddings:size(1), {
    max_norm = o.max_norm, norm_type = o.norm_type, scale_grad_by_freq = o.scale_grad_by_freq, mode = o.mode,
    sparse = o.sparse, _weight = embeddings, include_last_offset = o.include_last_offset, padding_idx = o.padding_idx,
  })
  bag.weight.requires_grad = not o.freeze
  return bag
end

return EmbeddingBag
