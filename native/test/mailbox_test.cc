#include "exchange/mailbox.h"

#include <doctest/doctest.h>

using namespace nwsgi::exchange;

namespace {
std::vector<Envelope> take(Mailbox& mailbox, size_t most = 64) {
  std::vector<Envelope> batch;
  mailbox.take_on_loop(&batch, most);
  return batch;
}
}  // namespace

TEST_CASE("W-84: a handle names its request only while that lives") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Exchange> first = Exchange::create("1", false);
  REQUIRE(mailbox->submit(first));
  const uint64_t handle = take(*mailbox)[0].handle;
  CHECK(mailbox->find_on_loop(handle).get() == first.get());
  mailbox->release_on_loop(handle);
  CHECK_FALSE(mailbox->find_on_loop(handle));
  const Ref<Exchange> second = Exchange::create("2", false);
  REQUIRE(mailbox->submit(second));
  const uint64_t reused = take(*mailbox)[0].handle;
  CHECK((reused & (Mailbox::kMostSlots - 1)) == (handle & (Mailbox::kMostSlots - 1)));
  CHECK(reused != handle);
  CHECK_FALSE(mailbox->find_on_loop(handle));
  CHECK(reused < (uint64_t{1} << 53));
  mailbox->drop_all();
}

TEST_CASE("events of one exchange are coalesced until the loop takes them") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Exchange> exchange = Exchange::create("r", true);
  REQUIRE(mailbox->submit(exchange));
  exchange->abort_on_server(AbortReason::kClientGone);
  const auto batch = take(*mailbox);
  REQUIRE(batch.size() == 1);
  CHECK(batch[0].events == (kRequest | kHasBody | kAborted));
  CHECK(take(*mailbox).empty());
  mailbox->drop_all();
}

TEST_CASE("upgraded requests are counted apart while they live") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  REQUIRE(mailbox->submit(Exchange::create("1", false)));
  REQUIRE(mailbox->submit(Exchange::create("2", false)));
  const auto batch = take(*mailbox);
  mailbox->upgraded_on_loop(batch[0].handle);
  mailbox->upgraded_on_loop(batch[0].handle);
  CHECK(mailbox->live() == 2);
  CHECK(mailbox->lasting() == 1);
  mailbox->release_on_loop(batch[0].handle);
  CHECK(mailbox->live() == 1);
  CHECK(mailbox->lasting() == 0);
  mailbox->upgraded_on_loop(batch[0].handle);
  CHECK(mailbox->lasting() == 0);
  mailbox->drop_all();
}

TEST_CASE("a batch is bounded and the rest stays for the next") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  for (int i = 0; i < 10; ++i) REQUIRE(mailbox->submit(Exchange::create(std::to_string(i), false)));
  std::vector<Envelope> batch;
  CHECK(mailbox->take_on_loop(&batch, 4));
  CHECK(batch.size() == 4);
  CHECK(mailbox->stay_awake_on_loop());
  CHECK(mailbox->take_on_loop(&batch, 4));
  CHECK(mailbox->take_on_loop(&batch, 4));
  CHECK_FALSE(mailbox->take_on_loop(&batch, 4));
  CHECK(batch.size() == 10);
  for (int i = 0; i < 10; ++i) CHECK(batch[static_cast<size_t>(i)].exchange->record() == std::to_string(i));
  mailbox->drop_all();
}

TEST_CASE("closing fails what was begun, returns what was not, and refuses the rest") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Exchange> begun = Exchange::create("begun", false);
  REQUIRE(mailbox->submit(begun));
  REQUIRE(take(*mailbox).size() == 1);
  const Ref<Exchange> queued = Exchange::create("queued", false);
  REQUIRE(mailbox->submit(queued));
  const auto unserved = mailbox->close({503, "NWSGI0000", "closed"});
  REQUIRE(unserved.size() == 1);
  CHECK(unserved[0].get() == queued.get());
  CHECK(begun->over());
  CHECK_FALSE(queued->over());
  CHECK_FALSE(mailbox->submit(Exchange::create("late", false)));

  const Ref<Mailbox> successor = Mailbox::create();
  REQUIRE(successor->submit(queued));
  const auto batch = take(*successor);
  REQUIRE(batch.size() == 1);
  CHECK((batch[0].events & kRequest) != 0);
  CHECK(take(*mailbox).empty());
  mailbox->drop_all();
  successor->drop_all();
}

TEST_CASE("a wake-up is sent when the loop may sleep, and one that was missed is made up for") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  int wakes = 0;
  REQUIRE(mailbox->submit(Exchange::create("early", false)));
  mailbox->set_waker_on_loop([](void* data) { ++*static_cast<int*>(data); }, &wakes);
  CHECK(wakes == 1);
  REQUIRE(mailbox->submit(Exchange::create("b", false)));
  CHECK(wakes == 1);
  take(*mailbox);
  REQUIRE(mailbox->submit(Exchange::create("c", false)));
  CHECK(wakes == 1);  // the loop is busy and looks again
  take(*mailbox);
  CHECK(take(*mailbox).empty());
  CHECK_FALSE(mailbox->stay_awake_on_loop());
  REQUIRE(mailbox->submit(Exchange::create("d", false)));
  CHECK(wakes == 2);
  CHECK(mailbox->oldest_wait() >= Clock::duration::zero());
  mailbox->set_waker_on_loop(nullptr, nullptr);
  mailbox->drop_all();
}

TEST_CASE("a stop request is delivered once") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  mailbox->request_stop({"replaced", 100});
  StopRequest stop;
  REQUIRE(mailbox->take_stop_on_loop(&stop));
  CHECK(stop.reason == "replaced");
  CHECK_FALSE(mailbox->take_stop_on_loop(&stop));
}
