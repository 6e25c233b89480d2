/*
 * Misuse of uva_attention.h, for tests/test_c.py: check MODEL.tflite [DAMAGED.tflite ...]
 *
 * Prints a line for every answer that is not the one expected; exit code 0 if there is none.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uva_attention.h"

static int wrong = 0;

static void expect(uva_status expected, uva_status status, const char *what) {
  if (status == expected) return;
  printf("%s: status %d, expected %d (%s)\n", what, status, expected, uva_message());
  wrong++;
}

static void expect_size(uva_attention *model, size_t expected) {
  if (uva_state_size(model) == expected) return;
  printf("a state of %zu bytes, expected %zu\n", uva_state_size(model), expected);
  wrong++;
}

static void check_frames(uva_attention *model) {
  uint8_t rgb[3 * 5 * 4] = {0}, map[256 * 256] = {0};
  size_t pixels = (size_t)uva_side(model) * (size_t)uva_side(model);
  const uva_frame good = {rgb, sizeof rgb, 5, 4, 15};
  uva_frame bad = good;
  expect(UVA_BAD_STATE, uva_save(model, map, sizeof map), "a state before the first frame");
  expect(UVA_OK, uva_step(model, &good, map, pixels), "a good frame");
  expect(UVA_BAD_ARGUMENT, uva_step(model, &good, map, pixels - 1), "little memory for a map");
  expect(UVA_BAD_ARGUMENT, uva_step(model, &good, NULL, pixels), "no memory for a map");
  expect(UVA_BAD_ARGUMENT, uva_step(NULL, &good, map, pixels), "no model");
  expect(UVA_BAD_FRAME, uva_step(model, NULL, map, pixels), "no frame");
  bad.rgb = NULL;
  expect(UVA_BAD_FRAME, uva_step(model, &bad, map, pixels), "no bytes");
  const int sizes[] = {0, -1, 32768, 2147483647, -2147483647};
  for (int i = 0; i < 5; i++) {
    bad = good;
    bad.width = sizes[i];
    expect(UVA_BAD_FRAME, uva_step(model, &bad, map, pixels), "a wrong width");
    bad = good;
    bad.height = sizes[i];
    expect(UVA_BAD_FRAME, uva_step(model, &bad, map, pixels), "a wrong height");
  }
  const size_t strides[] = {0, 14, 16, SIZE_MAX, SIZE_MAX / 3};
  for (int i = 0; i < 5; i++) {
    bad = good;
    bad.stride = strides[i];
    expect(UVA_BAD_FRAME, uva_step(model, &bad, map, pixels), "a wrong stride");
  }
  bad = good;
  bad.size = sizeof rgb - 1;
  expect(UVA_BAD_FRAME, uva_step(model, &bad, map, pixels), "a frame cut short");
}

/* Whether one model runs two streams in turn as two models would. A NaN comes in at a byte. */
static void check_state(uva_attention *model, size_t at) {
  size_t size = uva_state_size(model), pixels = (size_t)uva_side(model) * (size_t)uva_side(model);
  uint8_t *state = calloc(1, size + 4), *map = malloc(2 * pixels), rgb[2][3 * 9 * 7];
  if (!state || !map) exit(1);
  for (size_t i = 0; i < sizeof rgb[0]; i++) {
    rgb[0][i] = (uint8_t)(i * 7 % 256);
    rgb[1][i] = rgb[0][i] ^ 24; /* another frame, but no cut */
  }
  const uva_frame frames[2] = {{rgb[0], sizeof rgb[0], 9, 7, 27}, {rgb[1], sizeof rgb[1], 9, 7, 27}};
  uva_reset(model);
  expect(UVA_OK, uva_step(model, &frames[0], map, pixels), "a first frame");
  expect(UVA_OK, uva_save(model, state, size), "saving a state");
  expect(UVA_OK, uva_step(model, &frames[1], map, pixels), "a second frame");
  uva_reset(model);
  expect(UVA_OK, uva_step(model, &frames[1], map + pixels, pixels), "another stream");
  if (memcmp(map, map + pixels, pixels) == 0) {
    printf("a map does not depend on the frame before\n");
    wrong++;
  }
  expect(UVA_OK, uva_restore(model, state, size), "restoring a state");
  expect(UVA_BAD_STATE, uva_restore(model, state, size - 1), "a state that is too short");
  expect(UVA_BAD_STATE, uva_restore(model, state, size + 1), "a state that is too long");
  expect(UVA_BAD_STATE, uva_restore(model, state, 0), "an empty state");
  expect(UVA_BAD_ARGUMENT, uva_restore(model, NULL, size), "no state");
  expect(UVA_BAD_ARGUMENT, uva_save(model, state, size - 1), "little memory for a state");
  expect(UVA_OK, uva_step(model, &frames[1], map + pixels, pixels), "the first stream again");
  if (memcmp(map, map + pixels, pixels) != 0) {
    printf("a restored stream draws another map\n");
    wrong++;
  }
  const float value = NAN;
  memcpy(state + at, &value, sizeof value);
  uva_status status = uva_restore(model, state, size);
  if (status != UVA_OK && status != UVA_BAD_STATE) expect(UVA_BAD_STATE, status, "a NaN");
  printf("a state with a NaN: %s\n", status ? "refused" : "bytes");
  free(state);
  free(map);
}

/* Whether frames are paired with those 3 before, and a stream goes on wherever it was left. */
static void check_gap(uva_attention *model) {
  enum { FRAMES = 9 };
  size_t size = uva_state_size(model), pixels = (size_t)uva_side(model) * (size_t)uva_side(model);
  uint8_t *state = malloc(size), *maps = malloc((FRAMES + 1) * pixels), rgb[FRAMES][3 * 9 * 7];
  if (!state || !maps) exit(1);
  uint8_t *map = maps + FRAMES * pixels;
  uva_frame frames[FRAMES];
  for (size_t n = 0; n < FRAMES; n++) {
    for (size_t i = 0; i < sizeof rgb[n]; i++) rgb[n][i] = (uint8_t)(i * (7 + n) % 256);
    frames[n] = (uva_frame){rgb[n], sizeof rgb[n], 9, 7, 27};
  }
  uva_reset(model);
  for (size_t n = 0; n < FRAMES; n++) {
    expect(UVA_OK, uva_step(model, &frames[n], maps + n * pixels, pixels), "a stream");
  }
  uva_reset(model);
  for (size_t n = 0; n < FRAMES; n++) {
    expect(UVA_OK, uva_step(model, &frames[n], map, pixels), "the stream again");
    if (memcmp(map, maps + n * pixels, pixels) != 0) {
      printf("frame %zu: a restored stream with a gap draws another map\n", n);
      wrong++;
    }
    expect(UVA_OK, uva_save(model, state, size), "saving a state");
    uva_reset(model);
    for (size_t k = 0; k <= n; k++) {
      expect(UVA_OK, uva_step(model, &frames[FRAMES - 1 - k], map, pixels), "another stream");
    }
    expect(UVA_OK, uva_restore(model, state, size), "restoring a state");
  }
  expect(UVA_OK, uva_pair_apart(model, 1), "no gap");
  expect(UVA_BAD_STATE, uva_save(model, state, size), "a state before the first frame");
  for (size_t n = 0; n < 3; n++) { /* the first frame is before the second with and without a gap */
    expect(UVA_OK, uva_step(model, &frames[n], map, pixels), "a stream without a gap");
    int differs = memcmp(map, maps + n * pixels, pixels) != 0;
    if (differs != (n == 2)) {
      printf("frame %zu: %s map without a gap\n", n, differs ? "another" : "the same");
      wrong++;
    }
  }
  expect(UVA_OK, uva_pair_apart(model, 3), "a gap again");
  free(state);
  free(maps);
}

int main(int count, char **arguments) {
  uva_attention *model = NULL;
  if (count < 2) return 2;
  expect(UVA_BAD_ARGUMENT, uva_open(NULL, &model), "no path");
  expect(UVA_BAD_ARGUMENT, uva_open(arguments[1], NULL), "no place for a model");
  expect(UVA_OK, uva_open(arguments[1], &model), arguments[1]);
  if (model) {
    expect(UVA_BAD_ARGUMENT, uva_brighten(model, -1), "a level below 0");
    expect(UVA_BAD_ARGUMENT, uva_brighten(model, 129), "a level that is too high");
    expect(UVA_OK, uva_brighten(model, 0), "level 0");
    expect(UVA_BAD_ARGUMENT, uva_persist(model, -0.1), "a persistence below 0");
    expect(UVA_BAD_ARGUMENT, uva_persist(model, 0.96), "a persistence that is too high");
    expect(UVA_BAD_ARGUMENT, uva_persist(model, NAN), "a persistence that is not a number");
    const int gaps[] = {0, -1, 17, 2147483647, -2147483647};
    for (int i = 0; i < 5; i++) {
      expect(UVA_BAD_ARGUMENT, uva_pair_apart(model, gaps[i]), "a wrong gap");
    }
    size_t one = uva_state_size(model);
    check_frames(model);
    check_state(model, 0);
    expect(UVA_OK, uva_persist(model, 0.7), "a persistence");
    size_t more = uva_state_size(model);
    check_state(model, 0);
    expect(UVA_OK, uva_pair_apart(model, 3), "a gap, and a persistence");
    expect_size(model, more + 2 * one);
    check_state(model, 2 * one);
    check_gap(model);
    expect(UVA_OK, uva_persist(model, 0), "no persistence");
    expect_size(model, 3 * one);
    check_state(model, 2 * one);
    check_gap(model);
    expect(UVA_OK, uva_pair_apart(model, 16), "the widest gap");
    check_state(model, 15 * one);
    expect(UVA_OK, uva_persist(model, 0.7), "a persistence, and the widest gap");
    expect_size(model, more + 15 * one);
    check_state(model, 15 * one);
    expect(UVA_OK, uva_persist(model, 0), "no persistence");
    expect(UVA_OK, uva_pair_apart(model, 1), "no gap");
    expect_size(model, one);
    check_state(model, 0);
  }
  uva_close(model);
  uva_close(NULL);
  uva_reset(NULL);
  expect(UVA_BAD_ARGUMENT, uva_brighten(NULL, 0), "no model to brighten for");
  expect(UVA_BAD_ARGUMENT, uva_persist(NULL, 0), "no model whose maps persist");
  expect(UVA_BAD_ARGUMENT, uva_pair_apart(NULL, 1), "no model whose frames are paired");
  if (uva_side(NULL) != 0 || uva_state_size(NULL) != 0) wrong++;
  for (int i = 2; i < count; i++) {
    expect(UVA_BAD_MODEL, uva_open(arguments[i], &model), arguments[i]);
    uva_close(model);
  }
  return wrong ? 1 : 0;
}
