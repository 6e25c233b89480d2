// From a picture to the model's frame, to the pixel: docs/model-file.md, "How a frame is made small".
// The browser only copies the picture; it would scale otherwise than Python does.

import {toEven} from './rounding.js';

const SAMPLED = 256; // pictures are first sampled at this side, from where on it is halved
const SIDES = [8, 16, 32, 64, 128, 256];
const MOST_PIXELS = 8192; // along a picture's side
const ROWS_APART = 513; // from this height on no row is sampled twice
const ONE = 2048; // a weight of 1
const LINE = 3 * SAMPLED;

export class Shrinker {
  // side: of the model's frames.
  constructor(side) {
    if (!SIDES.includes(side)) {
      throw new RangeError(`frames of ${side} pixels: expected 8, 16, 32, 64, 128 or 256`);
    }
    this.side = side;
    this.canvas = new OffscreenCanvas(SAMPLED, SAMPLED);
    this.context = this.canvas.getContext('2d', {willReadFrequently: true});
    this.pixels = new Uint8Array(LINE * SAMPLED);
    this.lines = [new Int32Array(LINE), new Int32Array(LINE)];
  }

  // picture: a video or anything else that a canvas can draw.
  // Gives a new Uint8Array of side * side * 3, RGB.
  shrink(picture) {
    const [width, height] = sizeOf(picture);
    if (width !== this.canvas.width || height !== this.canvas.height || !this.columns) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.context.globalCompositeOperation = 'copy'; // nothing shines through from before
      this.columns = places(width, true);
      this.rows = places(height, false);
    }
    this.context.drawImage(picture, 0, 0, width, height);
    let side = SAMPLED;
    if (width === height && SAMPLED % width === 0) {
      side = width;
      withoutAlpha(this.#read(0, height), this.pixels);
    } else if (width === 2 * SAMPLED && height === 2 * SAMPLED) {
      halve(this.#read(0, height), 4, width, this.pixels);
    } else if (height < ROWS_APART) {
      this.#sample(this.#read(0, height));
    } else {
      this.#samplePairs();
    }
    for (; side > this.side; side /= 2) halve(this.pixels, 3, side, this.pixels);
    return side === this.side
      ? this.pixels.slice(0, 3 * side * side)
      : repeated(this.pixels, side, this.side);
  }

  // Rows of the picture as RGBA.
  #read(first, count) {
    const {data} = this.context.getImageData(0, first, this.canvas.width, count);
    return new Uint8Array(data.buffer);
  }

  // The picture at SAMPLED x SAMPLED pixels, bilinearly. rgba: all of it.
  #sample(rgba) {
    const {columns, rows, lines} = this;
    const kept = [-1, -1]; // the picture's rows that `lines` hold: a row and the next lie apart
    const line = (row) => {
      if (kept[row % 2] !== row) sampleRow(rgba, row * 4 * this.canvas.width, columns, lines[row % 2]);
      kept[row % 2] = row;
      return lines[row % 2];
    };
    for (let y = 0; y < SAMPLED; y += 1) {
      const upper = line(rows.first[y]);
      blend(upper, line(rows.second[y]), rows.a[y], rows.b[y], this.pixels, LINE * y);
    }
  }

  // The same for a high picture: two rows of it at a time, and none of those between.
  #samplePairs() {
    const {columns, rows, lines} = this;
    for (let y = 0; y < SAMPLED; y += 1) {
      const pair = this.#read(rows.first[y], 2);
      sampleRow(pair, 0, columns, lines[0]);
      sampleRow(pair, pair.length / 2, columns, lines[1]);
      blend(lines[0], lines[1], rows.a[y], rows.b[y], this.pixels, LINE * y);
    }
  }
}

// Of a video, an image, a VideoFrame, or a canvas or ImageBitmap: its own width and height.
function sizeOf(picture) {
  const {videoWidth, naturalWidth, displayWidth, width} = picture;
  const {videoHeight, naturalHeight, displayHeight, height} = picture;
  const size = [
    videoWidth ?? naturalWidth ?? displayWidth ?? width,
    videoHeight ?? naturalHeight ?? displayHeight ?? height,
  ];
  if (!size.every((length) => Number.isInteger(length) && length >= 1 && length <= MOST_PIXELS)) {
    const found = size.join(' x ');
    throw new RangeError(`a picture of ${found} pixels: expected 1 to ${MOST_PIXELS} along each side`);
  }
  return size;
}

// Of each of SAMPLED output pixels: its two neighbours among `length`, and their weights.
function places(length, ends) {
  const [first, second, a, b] = Array.from({length: 4}, () => new Int32Array(SAMPLED));
  const clipped = (at) => Math.min(Math.max(at, 0), length - 1);
  for (let i = 0; i < SAMPLED; i += 1) {
    const exact = Math.fround((i + 0.5) * (1 / (SAMPLED / length)) - 0.5);
    const floor = Math.floor(exact);
    const out = ends && (floor < 0 || floor >= length - 1);
    const part = out ? 0 : Math.fround(exact - floor);
    first[i] = clipped(floor);
    second[i] = clipped(floor + 1);
    a[i] = toEven(ONE * Math.fround(1 - part));
    b[i] = toEven(ONE * part);
  }
  return {first, second, a, b};
}

function withoutAlpha(rgba, rgb) {
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
}

// A row of a picture at SAMPLED pixels, times 128. start: where it begins.
function sampleRow(rgba, start, {first, second, a, b}, line) {
  for (let x = 0, to = 0; x < SAMPLED; x += 1, to += 3) {
    const left = start + 4 * first[x];
    const right = start + 4 * second[x];
    const p = a[x];
    const q = b[x];
    line[to] = (Math.imul(rgba[left], p) + Math.imul(rgba[right], q)) >> 4;
    line[to + 1] = (Math.imul(rgba[left + 1], p) + Math.imul(rgba[right + 1], q)) >> 4;
    line[to + 2] = (Math.imul(rgba[left + 2], p) + Math.imul(rgba[right + 2], q)) >> 4;
  }
}

// A row of the sampled picture out of two.
function blend(upper, lower, a, b, pixels, start) {
  for (let i = 0; i < LINE; i += 1) {
    const sum = (Math.imul(upper[i], a) >> 16) + (Math.imul(lower[i], b) >> 16);
    pixels[start + i] = (sum + 2) >> 2;
  }
}

// Means of 2x2 pixels as RGB. step: bytes of a pixel given; side: of the square. `small` may be
// `pixels` if step is 3.
function halve(pixels, step, side, small) {
  const row = step * side;
  for (let y = 0, to = 0; y < side; y += 2) {
    for (let at = y * row, end = at + row; at < end; at += 2 * step, to += 3) {
      const next = at + step;
      const low = at + row;
      const last = low + step;
      small[to] = (pixels[at] + pixels[next] + pixels[low] + pixels[last] + 2) >> 2;
      small[to + 1] = (pixels[at + 1] + pixels[next + 1] + pixels[low + 1] + pixels[last + 1] + 2) >> 2;
      small[to + 2] = (pixels[at + 2] + pixels[next + 2] + pixels[low + 2] + pixels[last + 2] + 2) >> 2;
    }
  }
}

// A smaller square whose pixels become blocks.
function repeated(pixels, side, larger) {
  const times = larger / side;
  const blocks = new Uint8Array(3 * larger * larger);
  for (let y = 0, to = 0; y < larger; y += 1) {
    for (let x = 0; x < larger; x += 1, to += 3) {
      const from = 3 * (Math.floor(y / times) * side + Math.floor(x / times));
      blocks.set(pixels.subarray(from, from + 3), to);
    }
  }
  return blocks;
}
