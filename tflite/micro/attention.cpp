// See attention.h.
#include "attention.h"

#include <cstring>

namespace uva {
namespace {

constexpr int32_t kFractions = 2 * kSampled;  // steps from a pixel to the next when sampling

// Factors of U' and V' in R, G and B and of luma, in 65536ths.
struct Matrix {
  int32_t black, luma, red_v, green_u, green_v, blue_u;
};
constexpr Matrix kFull{0, 65536, 91881, 22553, 46802, 116130};
constexpr Matrix kLimited{16, 76309, 104597, 25675, 53279, 132201};

bool is_yuv(Format format) { return format == Format::kYuyv || format == Format::kUyvy; }

// A level given in 65536ths, rounded and cut off.
uint8_t level(int32_t parts) {
  const int32_t rounded = parts < 0 ? 0 : (parts + 32768) / 65536;
  return static_cast<uint8_t>(rounded > 255 ? 255 : rounded);
}

void yuv_to_rgb(const Matrix& m, int32_t y, int32_t u, int32_t v, uint8_t* rgb) {
  const int32_t luma = m.luma * (y - m.black);
  u -= 128;
  v -= 128;
  rgb[0] = level(luma + m.red_v * v);
  rgb[1] = level(luma - m.green_u * u - m.green_v * v);
  rgb[2] = level(luma + m.blue_u * u);
}

// The pixel in column x of a row, as R, G, B.
void read_pixel(const Image& image, const uint8_t* row, int32_t x, uint8_t* rgb) {
  const uint8_t* two = row + 2 * x;
  const uint8_t* pair = row + 4 * (x / 2);
  const Matrix& matrix = image.range == Range::kFull ? kFull : kLimited;
  switch (image.format) {
    case Format::kRgb565Little:
    case Format::kRgb565Big: {
      const bool big = image.format == Format::kRgb565Big;
      const uint32_t high = two[big ? 0 : 1], low = two[big ? 1 : 0];
      const uint32_t r = high >> 3, g = (high & 7) << 3 | low >> 5, b = low & 31;
      rgb[0] = static_cast<uint8_t>(r << 3 | r >> 2);
      rgb[1] = static_cast<uint8_t>(g << 2 | g >> 4);
      rgb[2] = static_cast<uint8_t>(b << 3 | b >> 2);
      return;
    }
    case Format::kYuyv:
      return yuv_to_rgb(matrix, two[0], pair[1], pair[3], rgb);
    case Format::kUyvy:
      return yuv_to_rgb(matrix, two[1], pair[0], pair[2], rgb);
    case Format::kGrey:
      rgb[0] = rgb[1] = rgb[2] = row[x];
      return;
  }
}

int32_t clip(int32_t value, int32_t most) { return value < 0 ? 0 : value > most ? most : value; }

// Where sample `i` of `samples` lies among `pixels`: after which pixel, and how far to the next.
struct Place {
  int32_t pixel;     // -1 left of the first one's centre
  int32_t fraction;  // 0 to kFractions - 1
};

Place place(int32_t i, int32_t samples, int32_t pixels) {
  // (i + 1/2) pixels / samples - 1/2, in kFractions-ths. Where there are fewer samples than
  // kSampled there are as many pixels, and the fraction is 0. One pixel is added, so that the
  // division rounds down.
  const int32_t steps = (2 * i + 1) * pixels * (kSampled / samples) - kSampled + kFractions;
  return {steps / kFractions - 1, steps % kFractions};
}

// Sample a row of the image along x, in 128ths of a level.
void sample_row(const Image& image, int32_t y, int32_t samples, uint16_t* out) {
  const uint8_t* row = image.data + static_cast<size_t>(y) * static_cast<size_t>(image.stride);
  for (int32_t i = 0; i < samples; ++i) {
    const Place at = place(i, samples, image.width);
    uint8_t left[3], right[3];
    read_pixel(image, row, clip(at.pixel, image.width - 1), left);
    read_pixel(image, row, clip(at.pixel + 1, image.width - 1), right);
    for (int32_t c = 0; c < 3; ++c) {
      const int32_t sum = (kFractions - at.fraction) * left[c] + at.fraction * right[c];
      *out++ = static_cast<uint16_t>(sum / 4);
    }
  }
}

// Average pairs of pixels of two rows; `out` may be `lower`.
void halve(const uint8_t* upper, const uint8_t* lower, int32_t pixels, uint8_t* out) {
  for (int32_t x = 0; x < pixels / 2; ++x) {
    for (int32_t c = 0; c < 3; ++c) {
      const int32_t at = 6 * x + c;
      const int32_t sum = upper[at] + upper[at + 3] + lower[at] + lower[at + 3];
      out[3 * x + c] = static_cast<uint8_t>((sum + 2) / 4);
    }
  }
}

bool is_power_of_two(int32_t side) {
  return side >= 8 && side <= kSampled && (side & (side - 1)) == 0;
}

Error check(const Image& image, int32_t side) {
  if (image.data == nullptr) return Error::kNull;
  if (!is_power_of_two(side)) return Error::kSide;
  if (image.format > Format::kGrey || image.range > Range::kFull) return Error::kFormat;
  if (image.width < side || image.height < side) return Error::kSize;
  if (image.width > kMostPixels || image.height > kMostPixels) return Error::kSize;
  if (is_yuv(image.format) && image.width % 2 != 0) return Error::kSize;
  const int32_t row = image.format == Format::kGrey ? image.width : 2 * image.width;
  if (image.stride < row) return Error::kStride;
  const uint64_t above = static_cast<uint64_t>(image.height - 1);
  const uint64_t needed = above * static_cast<uint64_t>(image.stride) + static_cast<uint64_t>(row);
  return image.size < needed ? Error::kBuffer : Error::kNone;
}

}  // namespace

const char* name(Error error) {
  switch (error) {
    case Error::kNone: return "none";
    case Error::kNull: return "null pointer";
    case Error::kSide: return "side";
    case Error::kSize: return "image size";
    case Error::kFormat: return "format";
    case Error::kStride: return "stride";
    case Error::kBuffer: return "image buffer";
    case Error::kState: return "state buffer";
    case Error::kMap: return "map buffer";
    case Error::kNotBegun: return "not begun";
    case Error::kStep: return "model";
  }
  return "unknown";
}

Error shrink(const Image& image, int32_t side, Scratch& scratch, uint8_t* rgb) {
  if (rgb == nullptr) return Error::kNull;
  const Error error = check(image, side);
  if (error != Error::kNone) return error;
  const bool kept = image.width == image.height && is_power_of_two(image.width);
  const int32_t samples = kept ? image.width : kSampled;
  int32_t held[2] = {-1, -1};  // which rows of the image scratch.rows hold
  for (int32_t y = 0; y < samples; ++y) {
    const Place at = place(y, samples, image.height);
    const uint16_t* near[2];
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t row = clip(at.pixel + i, image.height - 1), slot = row % 2;
      if (held[slot] != row) sample_row(image, row, samples, scratch.rows[slot]);
      held[slot] = row;
      near[i] = scratch.rows[slot];
    }
    for (int32_t x = 0; x < 3 * samples; ++x) {
      // Each product is cut to quarters of a level first, as OpenCV does.
      const int32_t above = (kFractions - at.fraction) * near[0][x] / 16384;
      const int32_t below = at.fraction * near[1][x] / 16384;
      scratch.line[x] = static_cast<uint8_t>((above + below + 2) / 4);
    }
    // An upper row waits for its lower one; their average is a row of the picture of half the side.
    int32_t width = samples, number = y;
    uint8_t* waiting = scratch.waiting;
    for (; width > side && number % 2 == 1; number /= 2) {
      halve(waiting, scratch.line, width, scratch.line);
      waiting += 3 * width;
      width /= 2;
    }
    uint8_t* out = width == side ? rgb + 3 * side * number : waiting;
    std::memcpy(out, scratch.line, static_cast<size_t>(3 * width));
  }
  return Error::kNone;
}

Error Attention::begin(Step* step, uint8_t* state, size_t state_size) {
  step_ = nullptr;
  if (step == nullptr || state == nullptr) return Error::kNull;
  if (!is_power_of_two(step->side())) return Error::kSide;
  if (state_size == 0 || state_size != step->state_size()) return Error::kState;
  step_ = step;
  state_ = state;
  reset();
  return Error::kNone;
}

Error Attention::next(const Image& image, uint8_t* map, size_t map_size) {
  if (step_ == nullptr) return Error::kNotBegun;
  if (map == nullptr) return Error::kNull;
  const size_t side = static_cast<size_t>(step_->side());
  if (map_size != side * side) return Error::kMap;
  if (first_) {  // the first frame is paired with itself: its features come from a run of its own
    std::memset(state_, 0, step_->state_size());
    const Error error = run(image);
    if (error != Error::kNone) return error;
    std::memcpy(state_, step_->next_state(), step_->state_size());
  }
  const Error error = run(image);
  if (error != Error::kNone) return error;
  first_ = false;
  std::memcpy(map, step_->map(), map_size);
  std::memcpy(state_, step_->next_state(), step_->state_size());
  return Error::kNone;
}

Error Attention::run(const Image& image) {
  const Error error = shrink(image, step_->side(), scratch_, step_->frame());
  if (error != Error::kNone) return error;
  std::memcpy(step_->state(), state_, step_->state_size());
  return step_->run() ? Error::kNone : Error::kStep;
}

}  // namespace uva
