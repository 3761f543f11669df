-- Cases of ONNX's backend test data that are not expected to pass, each group with its reason. A case that passes although
-- it stands here fails the test, so the list stays true. A group with `until_there` counts only as long as the library
-- lacks that name; one with `either` may pass or not.
return {
  { reason = "random numbers that no two implementations share", cases = [[
      test_bernoulli test_bernoulli_expanded test_bernoulli_double test_bernoulli_double_expanded test_bernoulli_seed
      test_bernoulli_seed_expanded test_training_dropout test_training_dropout_default test_training_dropout_default_mask
      test_training_dropout_mask ]] },
  { reason = "aligned corners of a fractional output length; PyTorch and ONNX's definition take the whole length", cases = [[
      test_resize_downsample_scales_linear_align_corners test_resize_downsample_scales_cubic_align_corners ]] },
  { reason = "derivatives as nodes of a graph (Gradient)", cases = [[
      test_gradient_of_add test_gradient_of_add_and_mul ]] },
  { reason = "picture formats that vision.io does not read", cases = [[
      test_image_decoder_decode_jpeg2k_rgb ]] },
  { reason = "JPEG decoders differ by 1 here and there", either = true, cases = [[
      test_image_decoder_decode_jpeg_bgr test_image_decoder_decode_jpeg_grayscale test_image_decoder_decode_jpeg_rgb ]] },
  { reason = "results that would be 0 but for the rounding of one float32 FFT (PyTorch's own fails here too)", either = true,
    cases = [[ test_dft_inverse test_dft_inverse_opset19 ]] },
  { reason = "needs torch.fft", until_there = "fft.fft", cases = [[
      test_dft test_dft_axis test_dft_axis_opset19 test_dft_irfft test_dft_irfft_opset19
      test_dft_opset19 test_dft_rfft test_dft_rfft_opset19 test_stft test_stft_with_window ]] },
  { reason = "needs torch.hann_window and its kin", until_there = "hann_window", cases = [[
      test_blackmanwindow test_blackmanwindow_symmetric test_hammingwindow test_hammingwindow_symmetric test_hannwindow
      test_hannwindow_symmetric ]] },
  { reason = "needs affine_grid", until_there = "nn.functional.affine_grid", cases = [[
      test_affine_grid_2d test_affine_grid_2d_align_corners test_affine_grid_3d test_affine_grid_3d_align_corners ]] },
  { reason = "needs grid_sample", until_there = "nn.functional.grid_sample", cases = [[
      test_gridsample test_gridsample_aligncorners_true test_gridsample_bicubic
      test_gridsample_bicubic_align_corners_0_additional_1 test_gridsample_bicubic_align_corners_1_additional_1
      test_gridsample_bilinear test_gridsample_bilinear_align_corners_0_additional_1
      test_gridsample_bilinear_align_corners_1_additional_1 test_gridsample_border_padding test_gridsample_nearest
      test_gridsample_nearest_align_corners_0_additional_1 test_gridsample_nearest_align_corners_1_additional_1
      test_gridsample_reflection_padding test_gridsample_volumetric_bilinear_align_corners_0
      test_gridsample_volumetric_bilinear_align_corners_1 test_gridsample_volumetric_nearest_align_corners_0
      test_gridsample_volumetric_nearest_align_corners_1 test_gridsample_zeros_padding ]] },
  { reason = "needs max_unpool2d", until_there = "nn.functional.max_unpool2d", cases = [[
      test_maxunpool_export_with_output_shape test_maxunpool_export_without_output_shape ]] },
}
