// Intrusive reference counting for objects that several threads share.
//
// A std::shared_ptr costs a second allocation or a control block for each request; an exchange is created for
// every request, crosses two threads and is looked up by raw handle, so it carries its own count.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace nwsgi::exchange {

// Base of objects held by Ref<T>. Any thread may retain or release. The object starts with a count of one, owned
// by the Ref that adopts it. Derived destructors run on whichever thread drops the last reference: they must not
// touch anything that belongs to a particular thread (no httpd pool, no JS value).
template <typename Derived>
class RefCounted {
 public:
  void retain() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete static_cast<const Derived*>(this);
  }

 protected:
  RefCounted() = default;
  ~RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 private:
  mutable std::atomic<uint32_t> count_{1};
};

// Owning pointer to a RefCounted object.
template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  // Takes over the reference that the caller holds (a new object starts with one).
  static Ref adopt(T* object) { return Ref(object, kAdopt); }
  // Adds a reference of its own.
  static Ref share(T* object) {
    if (object != nullptr) object->retain();
    return Ref(object, kAdopt);
  }
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Hands the reference to the caller, who has to release it.
  T* leak() { return std::exchange(object_, nullptr); }

 private:
  enum Adopt { kAdopt };
  Ref(T* object, Adopt) : object_(object) {}
  T* object_ = nullptr;
};

}  // namespace nwsgi::exchange
