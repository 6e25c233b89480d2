// Video attention on a microcontroller: a camera's buffers in, attention maps out.
//
// C++17 without heap, exceptions, RTTI or floating point. Nothing here depends on an inference
// library: a `Step` runs the model. `tflm_step.h` has one for LiteRT for Microcontrollers. The
// model pairs a frame with the one before it (`"pairing": "previous"` in its manifest).
//
//   uva::TflmStep step(&interpreter, {kFrameInput, kStateInput, kMapOutput, kStateOutput});
//   uva::Attention attention;
//   static uint8_t state[kStateSize], map[kSide * kSide];
//   attention.begin(&step, state, sizeof state);
//   attention.next(image, map, sizeof map);  // for each frame
#ifndef UVA_TF_ATTENTION_H_
#define UVA_TF_ATTENTION_H_

#include <cstddef>
#include <cstdint>

namespace uva {

enum class Error : uint8_t {
  kNone = 0,
  kNull,        // a pointer is null
  kSide,        // the model's side is not 8, 16, 32, 64, 128 or 256
  kSize,        // width or height is below the side or above kMostPixels, or a YUV width is odd
  kFormat,      // the format or the range is none of those below
  kStride,      // the stride is shorter than a row
  kBuffer,      // the image's buffer is shorter than its rows
  kState,       // the state's buffer is not as long as the model's state
  kMap,         // the map's buffer is not side * side bytes
  kNotBegun,    // `begin` was not called, or it failed
  kStep,        // the model could not be run
};

// A short English name of an error, such as "stride", in constant memory.
const char* name(Error error);

enum class Format : uint8_t {
  kRgb565Little,  // 2 bytes a pixel, 5 bits of red uppermost; the low byte first
  kRgb565Big,     // the same with the high byte first, as cameras on an ESP32 send it
  kYuyv,          // 4 bytes for 2 pixels: Y, U, Y, V
  kUyvy,          // 4 bytes for 2 pixels: U, Y, V, Y
  kGrey,          // 1 byte a pixel, 0 to 255
};

// What the levels of a YUV format mean; the matrix is that of ITU-R BT.601 in both.
enum class Range : uint8_t {
  kLimited,  // luma from 16 to 235, chroma from 16 to 240
  kFull,     // 0 to 255, as in JPEG
};

constexpr int32_t kMostPixels = 8192;  // of a side of an image
constexpr int32_t kSampled = 256;      // the side at which frames are sampled; see `shrink`

// A camera's buffer. Rows go from top to bottom. For a part of a picture, `data` points at its
// first pixel; in YUV formats that is one with an even column.
struct Image {
  const uint8_t* data;
  size_t size;     // bytes from `data` to the end of the buffer
  int32_t width;   // pixels
  int32_t height;  // pixels
  int32_t stride;  // bytes from a row to the next
  Format format;
  Range range = Range::kLimited;  // read for YUV formats only
};

// Working memory of `shrink`. Its content has no meaning between calls.
struct Scratch {
  uint16_t rows[2][3 * kSampled];   // rows of the image, sampled along x, in 128ths of a level
  uint8_t line[3 * kSampled];       // a sampled row, then its averages
  uint8_t waiting[2 * 3 * kSampled];  // the upper row of each pair, one for each halving
};

// Make an image small as the training did, aspect not kept.
//
// Each pixel becomes R, G, B. The image is sampled bilinearly at 256 x 256, then halved by
// averages of 2 x 2 pixels until its side is `side`. A square image whose side is 8, 16, 32, 64,
// 128 or 256 is not sampled, only halved. All of it is integer arithmetic, with the roundings of
// OpenCV's INTER_LINEAR and INTER_AREA: the result equals `shrink` of uva_tf/core/resize.py on
// the same pixels in R, G, B, bit for bit on x86-64 with OpenCV 5.0, which is what was compared.
//
// R, G and B, each rounded to the nearest level and cut off at 0 and 255:
//   RGB565: 5 bits x become 8 x + x / 4, 6 bits x become 4 x + x / 16 (divisions round down)
//   full:    Y + 1.402 V', Y - 0.344136 U' - 0.714136 V', Y + 1.772 U'; U' = U - 128, V' = V - 128
//   limited: the same of (Y - 16) 255/219, U' 255/224 and V' 255/224
//   grey: Y, Y, Y
// YUV factors are rounded to 1/65536. Both pixels of a pair have the same chroma.
//
// side: 8, 16, 32, 64, 128 or 256, at most the image's width and height.
// rgb: [side, side, 3], written; left as it was if an error is returned.
// Errors: kNull, kSide, kSize, kFormat, kStride, kBuffer.
Error shrink(const Image& image, int32_t side, Scratch& scratch, uint8_t* rgb);

// A model of the form `step`, as an inference library runs it. All tensors are uint8.
// The library may overlay inputs and outputs: `run` may destroy what the inputs held, and writing
// an input may destroy the outputs.
class Step {
 public:
  virtual int32_t side() const = 0;
  virtual size_t state_size() const = 0;  // bytes
  virtual uint8_t* frame() = 0;           // input, [side, side, 3], R, G, B
  virtual uint8_t* state() = 0;           // input, [state_size]
  virtual bool run() = 0;                 // false if it failed
  virtual const uint8_t* map() const = 0;         // output, [side, side]
  virtual const uint8_t* next_state() const = 0;  // output, [state_size]

 protected:
  ~Step() = default;  // never deleted through this class
};

// A stream of frames. It keeps the state between frames and runs the first frame twice.
class Attention {
 public:
  // Take a model and memory for its state; both must outlive this object. Begins a stream.
  // Errors: kNull, kSide, kState. After an error `next` returns kNotBegun.
  Error begin(Step* step, uint8_t* state, size_t state_size);

  // Begin another stream: the next frame has none before it.
  void reset() { first_ = true; }

  // The attention map of the stream's next frame.
  // map: [side, side], 0 to 255, 255 at the place that is looked at most; written unless an error
  //   is returned.
  // Errors: kNotBegun, kNull, kMap, kStep, and those of `shrink`. After an error the stream can
  // continue: the frame counts as not seen.
  Error next(const Image& image, uint8_t* map, size_t map_size);

 private:
  Error run(const Image& image);

  Step* step_ = nullptr;
  uint8_t* state_ = nullptr;
  bool first_ = true;
  Scratch scratch_{};
};

}  // namespace uva

#endif  // UVA_TF_ATTENTION_H_
