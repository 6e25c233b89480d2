/* Raw RGB frames in, attention maps out: see `usage`, and README.md. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uva_attention.h"

static const char usage[] =
    "usage: attention MODEL.tflite WIDTH HEIGHT [FRAMES [MAPS [LEVEL [PERSISTENCE [GAP]]]]]\n"
    "\n"
    "Maps where people look in a stream of frames.\n"
    "\n"
    "  MODEL.tflite  written by uva-tf convert, of the form step or pair, and of the pairing\n"
    "                previous: with next, maps come with the wrong frames; the manifest says which\n"
    "  WIDTH HEIGHT  of a frame in pixels\n"
    "  FRAMES        RGB bytes, frame after frame without anything between (-: stdin, the default)\n"
    "  MAPS          R * R bytes for each frame, R: the model's side (-: stdout, the default);\n"
    "                a file must not exist yet\n"
    "  LEVEL         brighten darker frames to this mean, 0 to 128 (0: none, the default); the\n"
    "                manifest (brighten) says what suits a model\n"
    "  PERSISTENCE   join each map with those before it, 0 to 0.95 (0: do not, the default); the\n"
    "                manifest (persistence) says what suits a model\n"
    "  GAP           pair each frame with the one so many frames before it, 1 to 16 (1, the\n"
    "                default); the manifest (gap) says what suits a model\n"
    "\n"
    "Exit code: 0, 2 after a mistake in the arguments or inputs, 1 after any other failure.\n";

/* The number that a text is; -1 for anything but a whole number from `low` to `high`. */
static int whole(const char *text, int low, int high) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  return *end || end == text || errno || value < low || value > high ? -1 : (int)value;
}

/* The persistence that a text is; -1 for anything but a number from 0 to 0.95. */
static double share(const char *text) {
  char *end;
  double value = strtod(text, &end);
  return *end || end == text || !(value >= 0 && value <= 0.95) ? -1 : value;
}

static int refuse(const char *what, const char *why, int code) {
  fprintf(stderr, "error: %s%s\n", what, why);
  return code;
}

/* Map every frame; returns the exit code. */
static int map_stream(uva_attention *model, int width, int height, FILE *in, FILE *out) {
  size_t size = 3 * (size_t)width * (size_t)height;
  size_t pixels = (size_t)uva_side(model) * (size_t)uva_side(model);
  uint8_t *bytes = malloc(size + pixels);
  if (!bytes) return refuse("no memory for a frame", "", 1);
  uva_frame frame = {bytes, size, width, height, 3 * (size_t)width};
  uint8_t *map = bytes + size;
  int code = 0;
  for (long number = 1; !code; number++) {
    size_t read = fread(bytes, 1, size, in);
    if (ferror(in)) {
      int is_folder = errno == EISDIR;
      code = refuse("frames can't be read: ", strerror(errno), is_folder ? 2 : 1);
    } else if (read == 0) {
      if (number == 1) code = refuse("no frames came", "", 2);
      break;
    } else if (read < size) {
      fprintf(stderr, "error: frame %ld ends after %zu of %zu bytes: check WIDTH and HEIGHT\n",
              number, read, size);
      code = 2;
    } else if (uva_step(model, &frame, map, pixels)) {
      code = refuse(uva_message(), "", 1);
    } else if (fwrite(map, 1, pixels, out) != pixels) {
      code = refuse("maps can't be written: ", strerror(errno), 1);
    }
  }
  free(bytes);
  return code;
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "--help") == 0) {
    fputs(usage, stdout);
    return 0;
  }
  if (count < 4 || count > 9) return refuse("expected 3 to 8 arguments: see --help", "", 2);
  int width = whole(arguments[2], 1, 32767), height = whole(arguments[3], 1, 32767);
  if (width < 0 || height < 0) {
    return refuse("WIDTH HEIGHT: expected whole numbers from 1 to 32767", "", 2);
  }
  int level = count > 6 ? whole(arguments[6], 0, 128) : 0;
  if (level < 0) return refuse("LEVEL: expected a whole number from 0 to 128", "", 2);
  double persistence = count > 7 ? share(arguments[7]) : 0;
  if (persistence < 0) return refuse("PERSISTENCE: expected a number from 0 to 0.95", "", 2);
  int gap = count > 8 ? whole(arguments[8], 1, 16) : 1;
  if (gap < 0) return refuse("GAP: expected a whole number from 1 to 16", "", 2);
  const char *from = count > 4 ? arguments[4] : "-", *to = count > 5 ? arguments[5] : "-";
  FILE *in = strcmp(from, "-") == 0 ? stdin : fopen(from, "rb");
  if (!in) {
    fprintf(stderr, "error: %s: can't be read: %s\n", from, strerror(errno));
    return 2;
  }
  uva_attention *model;
  uva_status status = uva_open(arguments[1], &model);
  FILE *out = NULL;
  int code = 0;
  if (status) {
    code = refuse(uva_message(), "", status == UVA_BAD_MODEL ? 2 : 1);
  } else if (!(out = strcmp(to, "-") == 0 ? stdout : fopen(to, "wbx"))) {
    fprintf(stderr, "error: %s: can't be made: %s\n", to, strerror(errno));
    code = 2;
  } else if (uva_brighten(model, level) || uva_persist(model, persistence) ||
             uva_pair_apart(model, gap)) {
    code = refuse(uva_message(), "", 1);
  } else {
    code = map_stream(model, width, height, in, out);
    if (fflush(out) != 0 && !code) code = refuse("maps can't be written: ", strerror(errno), 1);
  }
  if (out && out != stdout) {
    if (fclose(out) != 0 && !code) code = refuse("maps can't be written: ", strerror(errno), 1);
    if (code) remove(to);
  }
  if (in != stdin) fclose(in);
  uva_close(model);
  return code;
}
