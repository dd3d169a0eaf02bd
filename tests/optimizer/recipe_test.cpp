// SPDX-License-Identifier: Apache-2.0
// Recipes: the shipped one is read; misspelt keys and impossible values are refused with the line.
#include "optimizer/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/optimizer/own_path.h"

namespace wayside::optimizer {
namespace {

base::Result<Recipe> read(const std::string& text) {
  const auto path = own_path("recipe_test.yaml");
  std::ofstream(path) << text;
  auto recipe = load_recipe(path, "data");
  std::filesystem::remove(path);
  return recipe;
}

TEST(LoadRecipe, TheShippedOne) {
  const auto recipe = load_recipe(WAYSIDE_SOURCE_DIR "/models/street/street.train.yaml", "somewhere");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->name, "street");
  EXPECT_EQ(recipe->network.class_count, 4);
  ASSERT_FALSE(recipe->training.empty());
  EXPECT_TRUE(recipe->training[0].folder.string().starts_with("somewhere/"));
  EXPECT_TRUE(make_network(recipe->network));
}

TEST(LoadRecipe, BadOnesNameTheLine) {
  const std::string head = "name: a\nversion: \"1\"\nlabels: [x]\n";
  ASSERT_TRUE(read(head));
  for (const char* tail : {"trian: {steps: 3}\n", "train: {stepz: 3}\n", "train: {steps: many}\n", "train: [1]\n",
                           "train: {batch_size: 3, workers: 2}\n", "network: {stages: [[1, 2]]}\n"}) {
    const auto recipe = read(head + tail);
    ASSERT_FALSE(recipe) << tail;
    EXPECT_NE(recipe.error().message.find(".yaml:4"), std::string::npos) << recipe.error().message;
  }
  EXPECT_FALSE(read("version: \"1\"\nlabels: [x]\n"));
  EXPECT_FALSE(load_recipe("does/not/exist.yaml", "data"));
}

}  // namespace
}  // namespace wayside::optimizer
