-- Other layouts of sequences and channels.
op{ "conv_tbc(Tensor input, Tensor weight, Tensor bias, int pad=0) -> Tensor", autocast = "lower_precision_fp", variants = "function",
    module = "nn.functional torch", kind = "composite", cases = { "(5,2,3),(3,3,4),(4,)", "(5,2,3),(2,3,4),(4,),1" },
    doc = "conv1d of an input (time, batch, channels) with a weight (kernel, in_channels, out_channels).",
    example = "F.conv_tbc(torch.ones(3, 1, 2), torch.ones(2, 2, 1), torch.zeros(1))" }
op{ "native_channel_shuffle(Tensor self, int groups) -> Tensor", variants = "function", module = "nn.functional torch",
    composite = "channel_shuffle(self, groups)", cases = { "(2,6,3),3" }, doc = "channel_shuffle.",
    example = "F.native_channel_shuffle(torch.arange(4.):reshape(1, 4, 1), 2)" }
