// SPDX-License-Identifier: Apache-2.0
// Channel groups: which output channels of which layers can only be removed together, and their removal.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// Output channel of a convolution or fully connected layer.
struct LayerChannel {
  std::size_t op = 0, channel = 0;
};

/// Channels that go together, because an addition, a depthwise convolution or a joint reader ties them. When the
/// weights of all members are zero, what any other layer reads of them is zero: taking them out changes no output.
struct ChannelGroup {
  std::vector<LayerChannel> members;
  std::size_t set = 0;  ///< groups of one set share layers
};

/// As in Fang et al., DepGraph: Towards Any Structural Pruning (arXiv 2301.12900), but found by following each channel
/// through the graph instead of by patterns.
struct ChannelGroups {
  static constexpr std::size_t kFixed = static_cast<std::size_t>(-1);
  /// Where a tensor's channels lie: group (or kFixed) of each index of `axis`; axis -1: nothing of it can go.
  struct Placement {
    int axis = -1;
    std::vector<std::size_t> group;
  };
  std::vector<ChannelGroup> groups;  ///< the removable ones
  std::size_t set_count = 0;
  std::vector<Placement> tensors;  ///< one for each tensor of the graph
};

/// Follows channels through every operator. Not removable: what reaches an output of the graph, is not zero when its
/// weights are (it passed a logistic on its way to a layer), is mixed along its axis (softmax, mean), or is reshaped so
/// that no axis holds it alone.
[[nodiscard]] ChannelGroups find_channel_groups(const ir::Graph& graph);

/// Sets the weights and biases of the chosen groups to zero; `removed` has one entry for each group.
void mask_channels(ir::Graph& graph, const ChannelGroups& groups, const std::vector<bool>& removed);

/// The graph without the chosen groups: computes what the masked one computes. Each layer must keep a channel.
/// Errors: invalid_argument (a layer without channels).
[[nodiscard]] base::Result<ir::Graph> remove_channels(const ir::Graph& graph, const ChannelGroups& groups,
                                                      const std::vector<bool>& removed);

/// Which channels are left of tensors that lost some of their last axis, by the tensor's name: what a hidden tensor of
/// the smaller network is to be compared with.
using KeptChannels = std::map<std::string, std::vector<std::size_t>>;
[[nodiscard]] KeptChannels kept_channels(const ir::Graph& graph, const ChannelGroups& groups,
                                         const std::vector<bool>& removed);
/// Of two removals, one after the other, in terms of the first graph.
[[nodiscard]] KeptChannels joined(KeptChannels first, const KeptChannels& second);

}  // namespace wayside::optimizer
