// The C++ for microcontrollers on this machine, for test_micro.py.
//
// As a shared library: shrink_image and the stream_ functions, whose model is a function of Python.
// As a program (MICRO_PROGRAM): random images, most of them invalid, in buffers of their exact
// size, so that sanitizers see every byte that is read or written beyond.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "attention.h"

namespace {

using Run = bool (*)(const uint8_t* frame, const uint8_t* state, uint8_t* map, uint8_t* next);

// As an interpreter with one arena may: outputs lie where the inputs were.
class HostStep final : public uva::Step {
 public:
  HostStep(int32_t side, size_t state_size, Run run)
      : side_(side), state_size_(state_size), pixels_(static_cast<size_t>(side) * side), run_(run) {
    arena_ = static_cast<uint8_t*>(std::calloc(1, 4 * pixels_ + 2 * state_size_));
    spare_ = static_cast<uint8_t*>(std::calloc(1, 4 * pixels_ + 2 * state_size_));
  }
  ~HostStep() {
    std::free(arena_);
    std::free(spare_);
  }
  int32_t side() const override { return side_; }
  size_t state_size() const override { return state_size_; }
  uint8_t* frame() override { return arena_; }
  uint8_t* state() override { return arena_ + 3 * pixels_; }
  const uint8_t* map() const override { return arena_; }
  const uint8_t* next_state() const override { return arena_ + pixels_; }
  bool run() override {
    const bool done = run_(frame(), state(), spare_, spare_ + pixels_);
    std::memset(arena_, 0xAA, 4 * pixels_ + 2 * state_size_);
    std::memcpy(arena_, spare_, pixels_ + state_size_);
    return done;
  }

 private:
  int32_t side_;
  size_t state_size_, pixels_;
  Run run_;
  uint8_t* arena_;
  uint8_t* spare_;
};

struct Stream {
  HostStep step;
  uva::Attention attention;
  uint8_t* state;
};

uva::Image image_of(const uint8_t* data, size_t size, int32_t width, int32_t height,
                    int32_t stride, int32_t format, int32_t range) {
  return {data, size, width, height, stride, static_cast<uva::Format>(format),
          static_cast<uva::Range>(range)};
}

}  // namespace

extern "C" {

int32_t shrink_image(const uint8_t* data, size_t size, int32_t width, int32_t height,
                     int32_t stride, int32_t format, int32_t range, int32_t side, uint8_t* rgb) {
  static uva::Scratch scratch;
  const uva::Image image = image_of(data, size, width, height, stride, format, range);
  return static_cast<int32_t>(uva::shrink(image, side, scratch, rgb));
}

const char* error_name(int32_t error) { return uva::name(static_cast<uva::Error>(error)); }

size_t attention_bytes() { return sizeof(uva::Attention); }

Stream* stream_new(int32_t side, size_t state_size, Run run) {
  return new Stream{HostStep(side, state_size, run), uva::Attention(),
                    static_cast<uint8_t*>(std::calloc(1, state_size + 1))};
}

int32_t stream_begin(Stream* stream, size_t state_size, bool with_step, bool with_state) {
  return static_cast<int32_t>(stream->attention.begin(
      with_step ? &stream->step : nullptr, with_state ? stream->state : nullptr, state_size));
}

void stream_reset(Stream* stream) { stream->attention.reset(); }

int32_t stream_next(Stream* stream, const uint8_t* data, size_t size, int32_t width,
                    int32_t height, int32_t stride, int32_t format, int32_t range, uint8_t* map,
                    size_t map_size) {
  const uva::Image image = image_of(data, size, width, height, stride, format, range);
  return static_cast<int32_t>(stream->attention.next(image, map, map_size));
}

void stream_free(Stream* stream) {
  std::free(stream->state);
  delete stream;
}

}  // extern "C"

#ifdef MICRO_PROGRAM
namespace {

uint32_t seed = 1;

int32_t any(int32_t most) {  // 0 to most; Lehmer's generator
  seed = static_cast<uint32_t>(static_cast<uint64_t>(seed) * 48271 % 2147483647);
  return static_cast<int32_t>(seed % static_cast<uint32_t>(most + 1));
}

bool copy(const uint8_t* frame, const uint8_t* state, uint8_t* map, uint8_t* next) {
  std::memcpy(map, frame, 32 * 32);
  for (int32_t i = 0; i < 48; ++i) next[i] = static_cast<uint8_t>(state[i] + frame[i]);
  return any(9) > 0;
}

}  // namespace

int main() {
  Stream* stream = stream_new(32, 48, copy);
  uint8_t* map = static_cast<uint8_t*>(std::malloc(32 * 32));
  int32_t good = 0, bad = 0;
  for (int32_t i = 0; i < 1000; ++i) {
    if (i % 50 == 0) stream_begin(stream, any(3) ? 48 : 47, any(9) > 0, any(9) > 0);
    const int32_t format = any(9) ? any(4) : any(255);
    const int32_t odd[] = {-1, 0, 1, 31, 8193, INT32_MAX, INT32_MIN};
    const int32_t width = any(9) ? 32 + 2 * any(60) : odd[any(6)];
    const int32_t height = any(9) ? 32 + any(100) : odd[any(6)];
    const int32_t row = width > 0 && width < 9000 ? width * (format == 4 ? 1 : 2) : 64;
    const int32_t stride = any(9) ? row + any(8) : odd[any(6)];
    const size_t rows = height > 0 && height < 200 ? static_cast<size_t>(height) : 1;
    size_t size = (rows - 1) * static_cast<size_t>(stride > 0 && stride < 9999 ? stride : row) +
                  static_cast<size_t>(row);
    if (!any(9)) --size;
    uint8_t* data = static_cast<uint8_t*>(std::malloc(size));
    for (size_t at = 0; at < size; ++at) data[at] = static_cast<uint8_t>(any(255));
    const int32_t error = stream_next(stream, any(30) ? data : nullptr, size, width, height, stride,
                                      format, any(1), map, any(30) ? 32 * 32 : 32 * 32 - 1);
    ++(error == 0 ? good : bad);
    std::free(data);
  }
  std::printf("%d maps, %d errors\n", static_cast<int>(good), static_cast<int>(bad));
  std::free(map);
  stream_free(stream);
  return good > 0 && bad > 0 ? 0 : 1;
}
#endif
