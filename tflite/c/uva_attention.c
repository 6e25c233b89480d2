#include "uva_attention.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "litert.h"

enum {
  MOST_BYTES = 1 << 26,       /* of a model file */
  MOST_STATE_BYTES = 1 << 26, /* of a state */
  SAMPLED = 256,              /* frames are first sampled at this size */
  MOST_LEVEL = 128,           /* to which dark frames are brightened */
  MOST_GAIN = 8,
  MOST_GAP = 16,              /* frames from one to that which it is paired with */
  WINDOW = 16,                /* maps that are joined */
  NEWEST = 256,               /* the weight of the newest of them */
  CUT = 32,                   /* mean change between frames that only a cut brings about */
  MOST_PIXELS = 32767,        /* along a frame's side */
  ONE = 2048,                 /* a weight of 1 */
  FRAME = 0,                  /* the places of tensors in `inputs` and `outputs` */
  MEMORY = 1,                 /* the state, or in a pair the other frame */
  ATTENTION = 0,
  STATE = 1
};

static const double most_persistence = 0.95;

typedef struct {
  size_t index; /* in the signature */
  LiteRtRankedTensorType type;
  LiteRtQuantizationPerTensor quantization; /* scale 0: none */
  size_t bytes;
  LiteRtTensorBuffer buffer;
} uva_tensor;

struct uva_attention {
  uint8_t *file;
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtCompiledModel compiled;
  LiteRtTensorBuffer input_buffers[2], output_buffers[2]; /* in the signature's order */
  uva_tensor inputs[2], outputs[2];
  int side;
  int level; /* the mean to which dark frames are brightened; 0 for none */
  long weights[WINDOW]; /* of a map by its age in frames; if the second is 0, maps don't persist */
  int gap;    /* memories that are kept */
  int oldest; /* the place of the oldest of them, in a ring */
  bool steps; /* its signature is `step` */
  bool begun;
  uint8_t *small;  /* side * side * 3: the frame */
  uint8_t *seen;   /* the same, brightened: as the model sees it */
  uint8_t *memory; /* of `gap` frames the state, or in a pair the frame; then what persists */
  uint32_t *sums;  /* side * side: the weighted maps, if they persist */
  uint8_t sampled[SAMPLED * SAMPLED * 3];
};

static _Thread_local char last_message[256] = "no failure yet";

const char *uva_message(void) { return last_message; }

static uva_status fail(uva_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_message, sizeof last_message, format, arguments);
  va_end(arguments);
  return status;
}

/* ---- Making frames small: docs/model-file.md, "How a frame is made small". ---- */

/* Where output pixel `at` of SAMPLED lies among `length` pixels: floor, and the weight of the next. */
static int place(int at, int length, float *fraction) {
  double scale = 1.0 / ((double)SAMPLED / length);
  float exact = (float)((at + 0.5) * scale - 0.5);
  int first = (int)floorf(exact);
  *fraction = exact - (float)first;
  return first;
}

static int weight(float fraction) { return (int)lrintf(fraction * ONE); }

static int clipped(int index, int length) {
  return index < 0 ? 0 : index >= length ? length - 1 : index;
}

/* A frame's row at SAMPLED pixels, times 2048. */
static void sample_row(const uint8_t *row, const int *columns, int (*weights)[2], int width,
                       int *out) {
  for (int x = 0; x < SAMPLED; x++) {
    const uint8_t *left = row + 3 * (size_t)columns[x];
    const uint8_t *right = row + 3 * (size_t)clipped(columns[x] + 1, width);
    for (int c = 0; c < 3; c++) {
      out[3 * x + c] = left[c] * weights[x][0] + right[c] * weights[x][1];
    }
  }
}

/* Means of 2x2 pixels, halves rounded up. `out` may be `in` if `stride` is 3 * width. */
static void halve(const uint8_t *in, size_t stride, int width, int height, uint8_t *out) {
  for (int y = 0; y < height / 2; y++) {
    const uint8_t *row = in + 2 * (size_t)y * stride;
    for (int x = 0; x < width / 2; x++) {
      for (int c = 0; c < 3; c++) {
        const uint8_t *at = row + 6 * (size_t)x + c;
        *out++ = (uint8_t)((at[0] + at[3] + at[stride] + at[stride + 3] + 2) >> 2);
      }
    }
  }
}

/* A frame at SAMPLED x SAMPLED pixels, bilinearly. */
static void sample(const uva_frame *frame, uint8_t *out) {
  int columns[SAMPLED], weights[SAMPLED][2];
  int lines[2][SAMPLED * 3], rows[2] = {-1, -1}; /* the source rows sampled last */
  if (frame->width == 2 * SAMPLED && frame->height == 2 * SAMPLED) {
    halve(frame->rgb, frame->stride, frame->width, frame->height, out);
    return;
  }
  for (int x = 0; x < SAMPLED; x++) {
    float fraction;
    int first = place(x, frame->width, &fraction);
    if (first < 0 || first >= frame->width - 1) fraction = 0;
    columns[x] = clipped(first, frame->width);
    weights[x][0] = weight(1 - fraction);
    weights[x][1] = weight(fraction);
  }
  for (int y = 0; y < SAMPLED; y++) {
    float fraction;
    int first = place(y, frame->height, &fraction);
    int upper = weight(1 - fraction), lower = weight(fraction);
    const int *line[2];
    for (int k = 0; k < 2; k++) { /* a row and the next are never kept in the same place */
      int row = clipped(first + k, frame->height);
      if (rows[row % 2] != row) {
        sample_row(frame->rgb + (size_t)row * frame->stride, columns, weights, frame->width,
                   lines[row % 2]);
        rows[row % 2] = row;
      }
      line[k] = lines[row % 2];
    }
    for (int i = 0; i < SAMPLED * 3; i++) {
      int above = ((line[0][i] >> 4) * upper) >> 16, below = ((line[1][i] >> 4) * lower) >> 16;
      *out++ = (uint8_t)((above + below + 2) >> 2);
    }
  }
}

/* The frame at the model's size, into `model->small`. */
static void shrink(uva_attention *model, const uva_frame *frame) {
  int side = model->side, length = SAMPLED;
  if (frame->width == frame->height && SAMPLED % frame->width == 0) { /* on the way already */
    length = frame->width;
    for (int y = 0; y < length; y++) {
      size_t row = 3 * (size_t)length;
      memcpy(model->sampled + (size_t)y * row, frame->rgb + (size_t)y * frame->stride, row);
    }
  } else {
    sample(frame, model->sampled);
  }
  for (; length > side; length /= 2) {
    halve(model->sampled, 3 * (size_t)length, length, length, model->sampled);
  }
  for (int y = 0; y < side; y++) { /* a smaller square is enlarged by repeating its pixels */
    for (int x = 0; x < side; x++) {
      size_t from = (size_t)(y * length / side) * (size_t)length + (size_t)(x * length / side);
      memcpy(model->small + 3 * ((size_t)y * (size_t)side + (size_t)x), model->sampled + 3 * from,
             3);
    }
  }
}

/* The frame into `model->seen`, brightened if it is dark: docs/model-file.md, "Dark frames". */
static void brighten(uva_attention *model) {
  size_t bytes = model->inputs[FRAME].bytes;
  uint64_t wanted = (uint64_t)model->level * bytes, total = 0;
  for (size_t i = 0; i < bytes; i++) total += model->small[i];
  if (total >= wanted) {
    memcpy(model->seen, model->small, bytes);
    return;
  }
  if (total < wanted / MOST_GAIN) total = wanted / MOST_GAIN;
  uint8_t brighter[256];
  for (unsigned value = 0; value < 256; value++) {
    uint64_t exact = (2 * value * wanted + total) / (2 * total);
    brighter[value] = exact < 255 ? (uint8_t)exact : 255;
  }
  for (size_t i = 0; i < bytes; i++) model->seen[i] = brighter[model->small[i]];
}

/* ---- Opening a file. ---- */

/* Functions of another version of LiteRT take the size for the bytes, and refuse a NULL before. */
static uva_status check_library(void) {
  static const uint8_t nothing[8];
  LiteRtModel model = NULL;
  LiteRtStatus status = LiteRtCreateModelFromBuffer(NULL, nothing, sizeof nothing, &model);
  if (status == LITERT_OK) LiteRtDestroyModel(model);
  if (status == LITERT_INVALID_ARGUMENT) {
    return fail(UVA_BAD_LIBRARY, "libLiteRt.so has other functions than expected: use LiteRT %s",
                LITERT_VERSION);
  }
  return UVA_OK;
}

static uva_status read_file(const char *path, uint8_t **bytes, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return fail(UVA_BAD_MODEL, "%.150s: can't be read: %s", path, strerror(errno));
  uva_status status = UVA_OK;
  long length = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  if (length >= 0 && length < 8) {
    status = fail(UVA_BAD_MODEL, "%.150s: %s (%ld bytes), expected a .tflite file", path,
                  length ? "cut short" : "empty", length);
  } else if (length < 0 || length > MOST_BYTES || fseek(file, 0, SEEK_SET) != 0) {
    status = fail(UVA_BAD_MODEL, "%.150s: expected a .tflite file of at most %d bytes", path,
                  MOST_BYTES);
  } else if (!(*bytes = malloc((size_t)length))) {
    status = fail(UVA_NO_MEMORY, "%.150s: no memory for %ld bytes", path, length);
  } else if (fread(*bytes, 1, (size_t)length, file) != (size_t)length) {
    status = fail(UVA_BAD_MODEL, "%.150s: can't be read to its end", path);
  } else if (memcmp(*bytes + 4, "TFL3", 4) != 0) {
    status = fail(UVA_BAD_MODEL, "%.150s: not a .tflite file", path);
  }
  *size = (size_t)length;
  fclose(file);
  return status;
}

/* Fill in a tensor's type, quantisation and size; whether it is of a kind that models have. */
static bool describe(LiteRtTensor from, uva_tensor *to) {
  int kind;
  if (LiteRtGetTensorTypeId(from, &kind) || kind != LITERT_RANKED ||
      LiteRtGetRankedTensorType(from, &to->type) || to->type.layout.rank != 4) {
    return false;
  }
  if (to->type.element != LITERT_FLOAT32 && to->type.element != LITERT_UINT8) return false;
  to->bytes = to->type.element == LITERT_FLOAT32 ? sizeof(float) : 1;
  for (int i = 0; i < 4; i++) {
    int32_t length = to->type.layout.dimensions[i];
    if (length < 1 || (size_t)length > MOST_STATE_BYTES / to->bytes) return false;
    to->bytes *= (size_t)length;
  }
  if (LiteRtGetQuantizationTypeId(from, &kind)) return false;
  return kind != LITERT_PER_TENSOR || !LiteRtGetPerTensorQuantization(from, &to->quantization);
}

/* Describe a signature's two inputs or outputs, sorted as in `names`. */
static bool find(LiteRtSignature signature, bool output, const char *const names[2], size_t count,
                 uva_tensor found[2]) {
  size_t seen = 0;
  LiteRtStatus status = output ? LiteRtGetNumSignatureOutputs(signature, &seen)
                               : LiteRtGetNumSignatureInputs(signature, &seen);
  if (status || seen != count) return false;
  for (size_t place = 0; place < count; place++) {
    size_t index = 0;
    for (; index < count; index++) {
      const char *name = NULL;
      status = output ? LiteRtGetSignatureOutputName(signature, index, &name)
                      : LiteRtGetSignatureInputName(signature, index, &name);
      if (!status && name && strcmp(name, names[place]) == 0) break;
    }
    LiteRtTensor at = NULL;
    if (index == count) return false;
    status = output ? LiteRtGetSignatureOutputTensorByIndex(signature, index, &at)
                    : LiteRtGetSignatureInputTensorByIndex(signature, index, &at);
    if (status || !at || !describe(at, &found[place])) return false;
    found[place].index = index;
  }
  return true;
}

static bool has_shape(const uva_tensor *tensor, int side, int channels) {
  const int32_t *shape = tensor->type.layout.dimensions;
  return shape[0] == 1 && shape[1] == side && shape[2] == side && shape[3] == channels;
}

static bool are_alike(const uva_tensor *one, const uva_tensor *other) {
  return one->type.element == other->type.element &&
         memcmp(one->type.layout.dimensions, other->type.layout.dimensions,
                4 * sizeof(int32_t)) == 0 &&
         one->quantization.scale == other->quantization.scale &&
         one->quantization.zero_point == other->quantization.zero_point;
}

/* Read the signature, and refuse whatever is not a model of uva_tf. */
static uva_status read_signature(uva_attention *model, const char *path) {
  static const char *const steps[2][2] = {{"frame", "state"}, {"attention", "state"}};
  static const char *const pairs[2][2] = {{"frame", "other"}, {"attention", NULL}};
  size_t count = 0;
  LiteRtSignature signature = NULL;
  const char *key = NULL;
  if (LiteRtGetNumModelSignatures(model->model, &count) || count != 1 ||
      LiteRtGetModelSignature(model->model, 0, &signature) ||
      LiteRtGetSignatureKey(signature, &key) || !key ||
      (strcmp(key, "step") != 0 && strcmp(key, "pair") != 0)) {
    return fail(UVA_BAD_MODEL, "%.150s: expected one signature, step or pair", path);
  }
  model->steps = strcmp(key, "step") == 0;
  const char *const(*names)[2] = model->steps ? steps : pairs;
  const uva_tensor *inputs = model->inputs, *outputs = model->outputs;
  if (!find(signature, false, names[0], 2, model->inputs) ||
      !find(signature, true, names[1], model->steps ? 2 : 1, model->outputs)) {
    return fail(UVA_BAD_MODEL, "%.150s: its inputs and outputs are not those of a %s", path, key);
  }
  int side = inputs[FRAME].type.layout.dimensions[1];
  if (side < 8 || side > SAMPLED || SAMPLED % side != 0) {
    return fail(UVA_BAD_MODEL, "%.150s: frames of %d pixels, expected 8, 16, 32, 64, 128 or 256",
                path, side);
  }
  if (inputs[FRAME].type.element != LITERT_UINT8 || !has_shape(&inputs[FRAME], side, 3) ||
      !has_shape(&outputs[ATTENTION], side, 1)) {
    return fail(UVA_BAD_MODEL, "%.150s: its frame or its map has another shape or type", path);
  }
  if (!are_alike(&inputs[MEMORY], model->steps ? &outputs[STATE] : &inputs[FRAME])) {
    return fail(UVA_BAD_MODEL, "%.150s: its state goes in and out in different forms", path);
  }
  model->side = side;
  return UVA_OK;
}

static bool make_buffer(uva_attention *model, uva_tensor *tensor, bool output) {
  LiteRtTensorBufferRequirements needs = NULL;
  size_t size = 0;
  return !(output ? LiteRtGetCompiledModelOutputBufferRequirements(model->compiled, 0,
                                                                   tensor->index, &needs)
                  : LiteRtGetCompiledModelInputBufferRequirements(model->compiled, 0,
                                                                  tensor->index, &needs)) &&
         !LiteRtCreateManagedTensorBufferFromRequirements(model->environment, &tensor->type, needs,
                                                          &tensor->buffer) &&
         !LiteRtGetTensorBufferPackedSize(tensor->buffer, &size) && size == tensor->bytes;
}

static uva_status compile(uva_attention *model, const char *path) {
  LiteRtOptions options = NULL;
  LiteRtStatus status = LiteRtCreateOptions(&options);
  if (!status) status = LiteRtSetOptionsHardwareAccelerators(options, LITERT_CPU);
  if (!status) {
    status = LiteRtCreateCompiledModel(model->environment, model->model, options, &model->compiled);
  }
  if (options) LiteRtDestroyOptions(options);
  if (status) return fail(UVA_BAD_MODEL, "%.150s: LiteRT refuses it (status %d)", path, status);
  for (int i = 0; i < 2; i++) {
    if (!make_buffer(model, &model->inputs[i], false)) break;
    model->input_buffers[model->inputs[i].index] = model->inputs[i].buffer;
    if (i == STATE && !model->steps) return UVA_OK;
    if (!make_buffer(model, &model->outputs[i], true)) break;
    model->output_buffers[model->outputs[i].index] = model->outputs[i].buffer;
    if (i == 1) return UVA_OK;
  }
  return fail(UVA_FAILED, "%.150s: LiteRT gives no memory for its inputs and outputs", path);
}

uva_status uva_open(const char *path, uva_attention **result) {
  static const LiteRtEnvOption options[2] = {
      {LITERT_ACCELERATORS, {LITERT_INTEGER, {LITERT_CPU}}},
      {LITERT_LEAST_SEVERITY, {LITERT_INTEGER, {LITERT_SILENT}}}};
  if (!path || !result) return fail(UVA_BAD_ARGUMENT, "uva_open: a NULL in place of an argument");
  *result = NULL;
  uva_status status = check_library();
  if (status) return status;
  uva_attention *model = calloc(1, sizeof *model);
  if (!model) return fail(UVA_NO_MEMORY, "no memory for a model");
  model->gap = 1;
  size_t size = 0;
  status = read_file(path, &model->file, &size);
  if (!status && LiteRtCreateEnvironment(2, options, &model->environment)) {
    status = fail(UVA_FAILED, "LiteRT does not start");
  }
  if (!status && LiteRtCreateModelFromBuffer(model->environment, model->file, size,
                                             &model->model)) {
    status = fail(UVA_BAD_MODEL, "%.150s: LiteRT refuses it: damaged or cut short", path);
  }
  if (!status) status = read_signature(model, path);
  if (!status) status = compile(model, path);
  if (!status) {
    model->small = malloc(model->inputs[FRAME].bytes);
    model->seen = malloc(model->inputs[FRAME].bytes);
    model->memory = malloc(model->inputs[MEMORY].bytes);
    if (!model->small || !model->seen || !model->memory) {
      status = fail(UVA_NO_MEMORY, "no memory for a frame");
    }
  }
  if (status) {
    uva_close(model);
    return status;
  }
  *result = model;
  return UVA_OK;
}

void uva_close(uva_attention *model) {
  if (!model) return;
  for (int i = 0; i < 2; i++) {
    if (model->inputs[i].buffer) LiteRtDestroyTensorBuffer(model->inputs[i].buffer);
    if (model->outputs[i].buffer) LiteRtDestroyTensorBuffer(model->outputs[i].buffer);
  }
  if (model->compiled) LiteRtDestroyCompiledModel(model->compiled);
  if (model->model) LiteRtDestroyModel(model->model);
  if (model->environment) LiteRtDestroyEnvironment(model->environment);
  free(model->small);
  free(model->seen);
  free(model->memory);
  free(model->sums);
  free(model->file);
  free(model);
}

int uva_side(const uva_attention *model) { return model ? model->side : 0; }

/* ---- Running it. ---- */

static bool put(uva_tensor *tensor, const void *from) {
  void *memory = NULL;
  if (LiteRtLockTensorBuffer(tensor->buffer, &memory, LITERT_WRITE) || !memory) return false;
  memcpy(memory, from, tensor->bytes);
  return !LiteRtUnlockTensorBuffer(tensor->buffer);
}

static bool take(uva_tensor *tensor, void *to) {
  void *memory = NULL;
  if (LiteRtLockTensorBuffer(tensor->buffer, &memory, LITERT_READ) || !memory) return false;
  memcpy(to, memory, tensor->bytes);
  return !LiteRtUnlockTensorBuffer(tensor->buffer);
}

static bool run(uva_attention *model, const uint8_t *memory) {
  return put(&model->inputs[FRAME], model->seen) && put(&model->inputs[MEMORY], memory) &&
         !LiteRtRunCompiledModel(model->compiled, 0, 2, model->input_buffers,
                                 model->steps ? 2 : 1, model->output_buffers);
}

/* The map as bytes: floats from 0 to 1 become 0 to 255, rounded to the nearest. */
static bool take_map(uva_attention *model, uint8_t *map) {
  uva_tensor *attention = &model->outputs[ATTENTION];
  if (attention->type.element == LITERT_UINT8) return take(attention, map);
  void *memory = NULL;
  if (LiteRtLockTensorBuffer(attention->buffer, &memory, LITERT_READ) || !memory) return false;
  const float *values = memory;
  for (int i = 0; i < model->side * model->side; i++) {
    float value = values[i] > 0 ? (values[i] < 1 ? values[i] : 1) : 0; /* NaN: 0 */
    map[i] = (uint8_t)lrintf(255 * value);
  }
  return !LiteRtUnlockTensorBuffer(attention->buffer);
}

/* ---- What is kept of a stream. ---- */

static size_t pixels_of(const uva_attention *model) {
  return (size_t)model->side * (size_t)model->side;
}

/* Bytes of so many memories. */
static size_t memory_bytes(const uva_attention *model, int count) {
  return (size_t)count * model->inputs[MEMORY].bytes;
}

/* Bytes behind the memories: the latest frame, and WINDOW maps, the newest first. */
static size_t persistent_bytes(const uva_attention *model, bool persists) {
  return persists ? model->inputs[FRAME].bytes + WINDOW * pixels_of(model) : 0;
}

static bool make_room(uva_attention *model, int gap, bool persists) {
  size_t bytes = memory_bytes(model, gap) + persistent_bytes(model, persists);
  uint8_t *memory = realloc(model->memory, bytes);
  if (memory) model->memory = memory;
  return memory != NULL;
}

/* ---- Joining maps: docs/model-file.md, "Maps that persist". ---- */

static bool is_cut(const uint8_t *one, const uint8_t *other, size_t bytes) {
  uint64_t change = 0;
  for (size_t i = 0; i < bytes; i++) change += (uint64_t)abs(one[i] - other[i]);
  return change > (uint64_t)CUT * bytes;
}

/* Join the map of `model->small` with those before it. A map that is forgotten is black. */
static void join(uva_attention *model, uint8_t *map) {
  size_t bytes = model->inputs[FRAME].bytes, pixels = pixels_of(model);
  uint8_t *last = model->memory + memory_bytes(model, model->gap), *maps = last + bytes;
  if (!model->begun || is_cut(last, model->small, bytes)) memset(maps, 0, WINDOW * pixels);
  memcpy(last, model->small, bytes);
  memmove(maps + pixels, maps, (WINDOW - 1) * pixels);
  memcpy(maps, map, pixels);
  memset(model->sums, 0, pixels * sizeof *model->sums);
  for (size_t age = 0; age < WINDOW; age++) {
    uint32_t weight = (uint32_t)model->weights[age];
    for (size_t i = 0; i < pixels; i++) model->sums[i] += weight * maps[age * pixels + i];
  }
  uint32_t most = 1; /* a map may be black */
  for (size_t i = 0; i < pixels; i++) most = model->sums[i] > most ? model->sums[i] : most;
  for (size_t i = 0; i < pixels; i++) { /* in floats, as in Python: halves depend on it */
    map[i] = (uint8_t)lrintf(255 * ((float)model->sums[i] / (float)most));
  }
}

/* ---- A step. ---- */

static uva_status check_frame(const uva_frame *frame) {
  if (!frame || !frame->rgb) return fail(UVA_BAD_FRAME, "expected a frame, received NULL");
  if (frame->width < 1 || frame->width > MOST_PIXELS || frame->height < 1 ||
      frame->height > MOST_PIXELS) {
    return fail(UVA_BAD_FRAME, "a frame of %d x %d pixels: expected 1 to %d", frame->width,
                frame->height, MOST_PIXELS);
  }
  size_t row = 3 * (size_t)frame->width, rows = (size_t)frame->height - 1;
  if (frame->stride < row || (rows && frame->stride > (SIZE_MAX - row) / rows)) {
    return fail(UVA_BAD_FRAME, "a stride of %zu bytes: expected at least %zu", frame->stride, row);
  }
  if (frame->size < frame->stride * rows + row) {
    return fail(UVA_BAD_FRAME, "a frame of %zu bytes: expected %zu", frame->size,
                frame->stride * rows + row);
  }
  return UVA_OK;
}

/* Fill all memories with that of `model->seen`, a stream's first frame. */
static bool begin(uva_attention *model) {
  size_t bytes = model->inputs[MEMORY].bytes;
  model->oldest = 0;
  if (!model->steps) {
    memcpy(model->memory, model->seen, bytes);
  } else { /* the first frame runs twice; its features do not depend on a state */
    uint8_t zero = (uint8_t)model->inputs[MEMORY].quantization.zero_point;
    memset(model->memory, zero, bytes); /* in floats, this is 0.0 */
    if (!run(model, model->memory) || !take(&model->outputs[STATE], model->memory)) return false;
  }
  for (int i = 1; i < model->gap; i++) {
    memcpy(model->memory + memory_bytes(model, i), model->memory, bytes);
  }
  return true;
}

uva_status uva_step(uva_attention *model, const uva_frame *frame, uint8_t *map, size_t size) {
  if (!model || !map) return fail(UVA_BAD_ARGUMENT, "uva_step: a NULL in place of an argument");
  if (size < pixels_of(model)) {
    return fail(UVA_BAD_ARGUMENT, "%zu bytes for a map: expected %zu", size, pixels_of(model));
  }
  uva_status status = check_frame(frame);
  if (status) return status;
  shrink(model, frame);
  brighten(model);
  if (!model->begun && !begin(model)) return fail(UVA_FAILED, "LiteRT could not run the model");
  uint8_t *oldest = model->memory + memory_bytes(model, model->oldest);
  if (!run(model, oldest) || !take_map(model, map)) {
    return fail(UVA_FAILED, "LiteRT could not run the model");
  }
  if (!model->steps) { /* the newest memory takes the place of the oldest */
    memcpy(oldest, model->seen, model->inputs[FRAME].bytes);
  } else if (!take(&model->outputs[STATE], oldest)) {
    return fail(UVA_FAILED, "LiteRT does not hand the state back");
  }
  model->oldest = (model->oldest + 1) % model->gap;
  if (model->weights[1]) join(model, map);
  model->begun = true;
  return UVA_OK;
}

uva_status uva_brighten(uva_attention *model, int level) {
  if (!model) return fail(UVA_BAD_ARGUMENT, "uva_brighten: a NULL in place of an argument");
  if (level < 0 || level > MOST_LEVEL) {
    return fail(UVA_BAD_ARGUMENT, "level %d: expected 0 to %d", level, MOST_LEVEL);
  }
  model->level = level;
  return UVA_OK;
}

uva_status uva_persist(uva_attention *model, double persistence) {
  if (!model) return fail(UVA_BAD_ARGUMENT, "uva_persist: a NULL in place of an argument");
  if (!(persistence >= 0 && persistence <= most_persistence)) {
    return fail(UVA_BAD_ARGUMENT, "persistence %g: expected 0 to %g", persistence,
                most_persistence);
  }
  long weights[WINDOW];
  for (int age = 0; age < WINDOW; age++) weights[age] = lrint(NEWEST * pow(persistence, age));
  if (weights[1]) {
    uint32_t *sums = realloc(model->sums, pixels_of(model) * sizeof *sums);
    if (sums) model->sums = sums;
    if (!sums || !make_room(model, model->gap, true)) {
      return fail(UVA_NO_MEMORY, "no memory for %d maps", WINDOW);
    }
  }
  memcpy(model->weights, weights, sizeof weights);
  uva_reset(model);
  return UVA_OK;
}

uva_status uva_pair_apart(uva_attention *model, int gap) {
  if (!model) return fail(UVA_BAD_ARGUMENT, "uva_pair_apart: a NULL in place of an argument");
  if (gap < 1 || gap > MOST_GAP) {
    return fail(UVA_BAD_ARGUMENT, "gap %d: expected 1 to %d", gap, MOST_GAP);
  }
  if (!make_room(model, gap, model->weights[1] != 0)) {
    return fail(UVA_NO_MEMORY, "no memory for a gap of %d frames", gap);
  }
  model->gap = gap;
  uva_reset(model);
  return UVA_OK;
}

void uva_reset(uva_attention *model) {
  if (model) model->begun = false;
}

/* ---- The state. ---- */

size_t uva_state_size(const uva_attention *model) {
  if (!model) return 0;
  return memory_bytes(model, model->gap) + persistent_bytes(model, model->weights[1] != 0);
}

uva_status uva_save(const uva_attention *model, void *state, size_t size) {
  if (!model || !state) return fail(UVA_BAD_ARGUMENT, "uva_save: a NULL in place of an argument");
  if (size < uva_state_size(model)) {
    return fail(UVA_BAD_ARGUMENT, "%zu bytes for a state: expected %zu", size,
                uva_state_size(model));
  }
  if (!model->begun) return fail(UVA_BAD_STATE, "no state yet: the stream has no frame");
  size_t all = memory_bytes(model, model->gap), before = memory_bytes(model, model->oldest);
  uint8_t *to = state; /* the oldest memory first */
  memcpy(to, model->memory + before, all - before);
  memcpy(to + all - before, model->memory, before);
  memcpy(to + all, model->memory + all, uva_state_size(model) - all);
  return UVA_OK;
}

uva_status uva_restore(uva_attention *model, const void *state, size_t size) {
  if (!model || !state) return fail(UVA_BAD_ARGUMENT, "uva_restore: a NULL in place of an argument");
  if (size != uva_state_size(model)) {
    return fail(UVA_BAD_STATE,
                "a state of %zu bytes: expected %zu, of the same model, persistence and gap",
                size, uva_state_size(model));
  }
  if (model->inputs[MEMORY].type.element == LITERT_FLOAT32) {
    for (size_t i = 0; i < memory_bytes(model, model->gap); i += sizeof(float)) {
      float value;
      memcpy(&value, (const uint8_t *)state + i, sizeof value);
      if (!isfinite(value)) return fail(UVA_BAD_STATE, "a state with values that are not finite");
    }
  }
  memcpy(model->memory, state, size);
  model->oldest = 0;
  model->begun = true;
  return UVA_OK;
}
