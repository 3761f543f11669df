-- Sampling at the positions of a grid; kernels in nn/cpu/simd/grid_body.h, derivatives in nn/composite/grid.c.
local F = "nn.functional"
op{ "affine_grid(Tensor theta, int[] size, bool? align_corners=nil) -> Tensor", variants = "function", module = F,
    kind = "composite",
    cases = { "(2,2,3),[2,1,3,4]", "(2,2,3),[2,3,4,2],true", "(1,3,4),[1,2,2,3,4],align_corners=false",
              "(1,2,3),[1,1,1,3],true" },
    doc = "The positions, in [-1, 1], that the affine maps theta (N, 2, 3) give the pixels of images of the size "
      .. "(N, C, H, W): a grid (N, H, W, 2) of x, y for grid_sample; theta (N, 3, 4) and (N, C, D, H, W) in 3-d.",
    example = "F.affine_grid(torch.tensor{{{1., 0., 0.}, {0., 1., 0.}}}, {1, 1, 2, 2}, true)" }

op{ "grid_sample(Tensor input, Tensor grid, str mode='bilinear', str padding_mode='zeros', bool? align_corners=nil) "
      .. "-> Tensor", autocast = "fp32", variants = "function", module = F, kind = "composite",
    cases = { "(2,3,4,5),(2,3,2,2)", "(1,2,3,4),(1,2,2,2),align_corners=true",
              "(1,2,4,5),(1,3,3,2),'nearest','border'", "(1,2,4,5),(1,3,3,2),'bicubic','zeros',false",
              "(1,2,4,5),(1,3,3,2),'bicubic','reflection',true", "(1,2,4,5),(1,3,3,2)t,'bilinear','reflection'",
              "(1,2,4,5),(1,3,3,2),'bilinear','border',true", "(1,2,3,4,2),(1,2,2,2,3)",
              "(1,2,3,4,2),(1,2,2,2,3),'nearest','reflection',true", "(1,2,3,4,2),(1,2,2,2,3),'bilinear','border'",
              "(1,1,3,4,2),(1,1,2,1,3),'bicubic','reflection'", "(2,0,3,4),(2,2,2,2)" },
    doc = "input (N, C, H, W) at the positions of grid (N, H', W', 2), whose x and y run from -1 to 1 over the image "
      .. "(3-d: (N, C, D, H, W) and x, y, z). mode: bilinear, nearest, bicubic; padding_mode, for positions outside: "
      .. "zeros, border, reflection; align_corners: -1 and 1 are the centres, not the edges, of the outer pixels.",
    example = "F.grid_sample(torch.arange(4.):reshape(1, 1, 2, 2), torch.zeros(1, 1, 1, 2))" }

local how = "str mode, str padding_mode, bool align_corners"
local passed = "mode, padding_mode, align_corners"
op{ "grid_sample_nd(Tensor input, Tensor grid, " .. how .. ") -> Tensor", variants = "internal",
    grad = { ["input, grid"] = "grid_sample_backward(grad, input, grid, " .. passed .. ", grad_mask)" } }
op{ "grid_sample_backward(Tensor grad_output, Tensor input, Tensor grid, " .. how .. ", mask grad_mask) "
      .. "-> (Tensor input_grad, Tensor grid_grad)", variants = "internal", kind = "composite" }
-- The loops of the above, below autograd.
op{ "grid_sample_gradients(Tensor grad_output, Tensor input, Tensor grid, " .. how .. ", mask grad_mask) "
      .. "-> (Tensor input_grad, Tensor grid_grad)", variants = "internal", grad = "none" }

-- (N, positions, taps) of the weights, differentiated orders[d] times by coordinate d, and of the flat indices.
local options = ", int[] size, " .. how
op{ "grid_weights(Tensor grid" .. options .. ", int[] orders) -> Tensor", variants = "internal",
    grad = { grid = "grid_weights_adjoint(grad, grid, size, " .. passed .. ", orders)" } }
op{ "grid_weights_adjoint(Tensor grad_output, Tensor grid" .. options .. ", int[] orders) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "grid_indices(Tensor grid" .. options .. ") -> Tensor", variants = "internal", grad = "none" }
