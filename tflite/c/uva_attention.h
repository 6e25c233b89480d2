/*
 * Where people look in a stream of frames: a `.tflite` file of uva_tf, run by LiteRT's C API.
 *
 * The maps are those of `Predictor(persistence=0, brighten=0, gap=1)` in Python or, after
 * uva_persist, uva_brighten and uva_pair_apart, of that `persistence`, `brighten` and `gap`.
 * docs/model-file.md says what a file and a map are.
 *
 * Use one model from one thread at a time. Models do not share anything.
 */
#ifndef UVA_ATTENTION_H
#define UVA_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uva_attention uva_attention;

typedef enum {
  UVA_OK = 0,
  UVA_BAD_ARGUMENT = 1, /* a NULL, or memory for a map or a state that is too small */
  UVA_BAD_MODEL = 2,    /* the file can't be read, or is not a model of the kind expected */
  UVA_BAD_FRAME = 3,    /* a size, a stride or a number of bytes that do not fit together */
  UVA_BAD_STATE = 4,    /* a state of another model, with values that no model gives, or none yet */
  UVA_BAD_LIBRARY = 5,  /* libLiteRt.so is of a version with other functions */
  UVA_NO_MEMORY = 6,
  UVA_FAILED = 7 /* LiteRT could not run the model */
} uva_status;

/* A frame: RGB bytes, row by row. */
typedef struct {
  const uint8_t *rgb;
  size_t size;   /* bytes at `rgb`, at least stride * (height - 1) + 3 * width */
  int width;     /* pixels, 1 to 32767 */
  int height;    /* pixels, 1 to 32767 */
  size_t stride; /* bytes from one row to the next, at least 3 * width */
} uva_frame;

/*
 * Open a model file with the signature `step` or `pair`.
 *
 * The file is not compared with its manifest: check its SHA-256 first if it may be damaged.
 *
 * Only models that pair a frame with the one before are supported: `"pairing": "previous"` in the
 * manifest. The file does not say which pairing it has, so one with `next` is not refused. Its maps
 * are not those of the frames that they come with: a `step` gives the map of the frame before (and
 * for the last frame none), a `pair` gives the map of no frame.
 *
 * path: of the `.tflite` file, at most 64 MiB.
 * model: where the model is put; NULL if opening fails. Free it with uva_close.
 */
uva_status uva_open(const char *path, uva_attention **model);

/* Free a model. NULL is allowed. */
void uva_close(uva_attention *model);

/* The side of the model's frames and maps in pixels, R; 0 for NULL. */
int uva_side(const uva_attention *model);

/*
 * The map of the stream's next frame, which is paired with the frame before it, or after
 * uva_pair_apart with an earlier one; the first frame of a stream is paired with itself.
 *
 * frame: of any size; it is made small as in Python, to the last bit.
 * map: R * R bytes, row by row, 0 to 255 at the place that is looked at most; over the whole frame.
 * size: bytes at `map`, at least R * R.
 *
 * After a failure what is in `map` is of no use, and the stream can go on.
 */
uva_status uva_step(uva_attention *model, const uva_frame *frame, uint8_t *map, size_t size);

/*
 * Brighten dark frames, as `Predictor` does by the `brighten` of a manifest: from the next frame on,
 * in all streams of the model.
 *
 * level: the mean, of 255, to which darker frames are brightened, 0 to 128; 0, as after uva_open,
 * leaves frames as they are. UVA_BAD_ARGUMENT for any other.
 */
uva_status uva_brighten(uva_attention *model, int level);

/*
 * Join each map of a stream with those before it, as `Predictor` does by the `persistence` of a
 * manifest. The next frame begins a stream. Don't restore states saved before: they are refused only
 * where their size is another one.
 *
 * persistence: the map k frames ago weighs persistence to the power k, 0 to 0.95; 0, as after
 * uva_open, leaves maps as they are. UVA_BAD_ARGUMENT for any other. UVA_NO_MEMORY if there is none
 * for the maps; the model stays as it was.
 */
uva_status uva_persist(uva_attention *model, double persistence);

/*
 * Pair each frame with the one `gap` frames before it, as `Predictor` does by the `gap` of a
 * manifest; the first `gap` frames of a stream are paired with its first. The next frame begins a
 * stream. Don't restore states saved before: they are refused only where their size is another one.
 *
 * gap: 1 to 16 frames; 1, as after uva_open, is the frame before. UVA_BAD_ARGUMENT for any other.
 * UVA_NO_MEMORY if there is none for what is kept of the frames; the model stays as it was.
 */
uva_status uva_pair_apart(uva_attention *model, int gap);

/* Forget the frames and maps seen so far: the next frame begins a stream. NULL is allowed. */
void uva_reset(uva_attention *model);

/* Bytes of a stream's state, a number that uva_persist and uva_pair_apart change; 0 for NULL. */
size_t uva_state_size(const uva_attention *model);

/*
 * Copy a stream's state, so that one model can run several streams in turn.
 *
 * state: uva_state_size bytes. size: bytes at `state`.
 * UVA_BAD_STATE before the first frame of a stream, when there is no state yet.
 */
uva_status uva_save(const uva_attention *model, void *state, size_t size);

/*
 * Go on with a stream whose state was saved from this model file, with the same persistence and
 * gap.
 *
 * UVA_BAD_STATE for another number of bytes, or for floats that are not finite; the model's state
 * stays as it was.
 */
uva_status uva_restore(uva_attention *model, const void *state, size_t size);

/* One line about the last failure in this thread: what came, what was expected. Never NULL. */
const char *uva_message(void);

#ifdef __cplusplus
}
#endif

#endif
