#include "router/endpoints/journal.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

TEST(Journal, WritesWhatEachChoiceWasGiven) {
  const auto budget = std::make_shared<JournalBudget>(1 << 20);
  Journal journal(budget, 3, 10);
  EXPECT_TRUE(journal.empty());
  journal.append(0, std::vector<uint32_t>{1, 2});
  journal.append(2, std::vector<uint32_t>{7});
  journal.append(0, std::vector<uint32_t>{3});
  journal.end(1, v1::END_STOP);
  EXPECT_FALSE(journal.empty());
  EXPECT_FALSE(journal.complete());
  EXPECT_EQ(journal.next(0), 3u);
  EXPECT_EQ(journal.tokens(), 4);
  v1::Resume resume;
  journal.write(resume);
  journal.write(resume);  // anew, not behind the first
  ASSERT_EQ(resume.choices_size(), 3);
  EXPECT_EQ(std::vector<uint32_t>(resume.choices(0).ids().begin(), resume.choices(0).ids().end()),
            (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(resume.choices(0).end(), v1::END_UNSPECIFIED);
  EXPECT_EQ(resume.choices(1).ids_size(), 0);
  EXPECT_EQ(resume.choices(1).end(), v1::END_STOP);
  EXPECT_EQ(resume.choices(2).ids(0), 7u);
}

TEST(Journal, EndedChoicesTakeNothingMore) {
  const auto budget = std::make_shared<JournalBudget>(1 << 20);
  Journal journal(budget, 1, 1);
  journal.append(0, std::vector<uint32_t>{1});
  journal.end(0, v1::END_LENGTH);
  journal.append(0, std::vector<uint32_t>{2});
  EXPECT_EQ(journal.next(0), 1u);
  EXPECT_TRUE(journal.complete());
  journal.clear();
  EXPECT_TRUE(journal.empty());
}

TEST(Journal, AnEndWithoutTokensIsSomething) {
  const auto budget = std::make_shared<JournalBudget>(1 << 20);
  Journal journal(budget, 1, 1);
  journal.end(0, v1::END_STOP);
  EXPECT_FALSE(journal.empty());
}

TEST(Journal, TheBudgetIsAHardBound) {
  const auto budget = std::make_shared<JournalBudget>(4000);
  {
    Journal small(budget, 1, 10), large(budget, 1, 10);
    for (int i = 0; i < 50; i++) small.append(0, std::vector<uint32_t>{1});
    for (int i = 0; i < 2000; i++) large.append(0, std::vector<uint32_t>{1});
    EXPECT_TRUE(small.kept());
    EXPECT_FALSE(large.kept());
    EXPECT_EQ(large.next(0), 2000u);  // J1
    EXPECT_GE(budget->left(), 4000 - 10 * 4 - 64 * 4);
    Journal none(budget, 1, 2000);
    EXPECT_FALSE(none.kept());
  }
  EXPECT_EQ(budget->left(), 4000);
  const auto nothing = std::make_shared<JournalBudget>(0);
  EXPECT_FALSE(Journal(nothing, 1, 1).kept());
}

TEST(Journal, KeepsItsBudgetAlive) {
  auto budget = std::make_shared<JournalBudget>(1000);
  const std::weak_ptr<JournalBudget> watched = budget;
  std::optional<Journal> journal(std::in_place, std::move(budget), 1, 10);
  EXPECT_FALSE(watched.expired());
  journal.reset();
  EXPECT_TRUE(watched.expired());
}

// Whatever is appended and ended: next() counts it, write() repeats it, the budget gets all back.
TEST(Journal, BySeed) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    Random random(seed);
    const auto bytes = static_cast<int64_t>(random.below(40'000));
    const auto budget = std::make_shared<JournalBudget>(bytes);
    {
      const size_t n = 1 + random.below(4);
      Journal journal(budget, n, random.below(100));
      std::vector<std::vector<uint32_t>> expected(n);
      std::vector<bool> ended(n, false);
      for (int i = 0; i < 300; i++) {
        const size_t choice = random.below(n);
        if (random.chance(0.002)) {
          journal.end(choice, v1::END_STOP);
          ended[choice] = true;
        }
        std::vector<uint32_t> row(1 + random.below(20));
        for (auto& id : row) id = static_cast<uint32_t>(random.next());
        journal.append(choice, row);
        if (!ended[choice]) expected[choice].insert(expected[choice].end(), row.begin(), row.end());
        ASSERT_GE(budget->left(), 0);
      }
      v1::Resume resume;
      if (journal.kept()) journal.write(resume);
      for (size_t choice = 0; choice < n; choice++) {
        ASSERT_EQ(journal.next(choice), expected[choice].size()) << "seed " << seed;
        if (!journal.kept()) continue;
        const auto& one = resume.choices(static_cast<int>(choice));
        ASSERT_EQ(std::vector<uint32_t>(one.ids().begin(), one.ids().end()), expected[choice]);
        ASSERT_EQ(one.end() != v1::END_UNSPECIFIED, ended[choice]);
      }
    }
    ASSERT_EQ(budget->left(), bytes) << "seed " << seed;
  }
}

}  // namespace
}  // namespace bessemer
