// A Step that LiteRT for Microcontrollers (TFLM) runs; see README.md for a whole program.
#ifndef UVA_TF_TFLM_STEP_H_
#define UVA_TF_TFLM_STEP_H_

#include <initializer_list>

#include "attention.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace uva {

// Which of the interpreter's tensors is which; a written NAME_model.h has the numbers.
struct Tensors {
  size_t frame, state;      // among the inputs
  size_t map, next_state;   // among the outputs
};

class TflmStep final : public Step {
 public:
  // The interpreter, whose tensors are allocated, must outlive this object. A tensor that is
  // missing, not uint8 or of the wrong size makes side() and state_size() 0, which
  // Attention::begin refuses.
  TflmStep(tflite::MicroInterpreter* interpreter, const Tensors& tensors)
      : interpreter_(interpreter) {
    if (interpreter == nullptr || interpreter->inputs_size() != 2 ||
        interpreter->outputs_size() != 2) {
      return;
    }
    frame_ = interpreter->input(tensors.frame);
    state_ = interpreter->input(tensors.state);
    map_ = interpreter->output(tensors.map);
    next_state_ = interpreter->output(tensors.next_state);
    for (const TfLiteTensor* one : {frame_, state_, map_, next_state_}) {
      if (one == nullptr || one->type != kTfLiteUInt8 || one->dims->size != 4) return;
    }
    const size_t side = static_cast<size_t>(map_->dims->data[1]);
    if (map_->bytes != side * side || frame_->bytes != 3 * side * side) return;
    if (state_->bytes != next_state_->bytes) return;
    side_ = static_cast<int32_t>(side);
  }

  int32_t side() const override { return side_; }
  size_t state_size() const override { return side_ == 0 ? 0 : state_->bytes; }
  uint8_t* frame() override { return frame_->data.uint8; }
  uint8_t* state() override { return state_->data.uint8; }
  bool run() override { return interpreter_->Invoke() == kTfLiteOk; }
  const uint8_t* map() const override { return map_->data.uint8; }
  const uint8_t* next_state() const override { return next_state_->data.uint8; }

 private:
  tflite::MicroInterpreter* interpreter_;
  TfLiteTensor* frame_ = nullptr;
  TfLiteTensor* state_ = nullptr;
  TfLiteTensor* map_ = nullptr;
  TfLiteTensor* next_state_ = nullptr;
  int32_t side_ = 0;
};

}  // namespace uva

#endif  // UVA_TF_TFLM_STEP_H_
