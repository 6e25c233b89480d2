// From a video's frame to the model's, as uva_tf/core/resize.py does it: sampled
// bilinearly at 256 pixels, from where on sides are halved. A square of 128, 64, ... pixels
// is on that way already, and is taken as it is.

const SAMPLED = 256;

export class Shrinker {
  // side: of the model's frames, 256 divided by a power of 2.
  constructor(side) {
    if (!Number.isInteger(Math.log2(SAMPLED / side))) {
      throw new Error(`frames of ${side} pixels, expected 256, 128, 64 or 32`);
    }
    this.side = side;
    const canvas = new OffscreenCanvas(SAMPLED, SAMPLED);
    this.context = canvas.getContext('2d', {willReadFrequently: true});
  }

  // picture: a video or anything else that a canvas can draw.
  // Gives Uint8Array of side * side * 3, RGB.
  shrink(picture) {
    const width = picture.videoWidth ?? picture.width;
    const kept = width === (picture.videoHeight ?? picture.height) && SAMPLED % width === 0;
    const first = kept ? Math.max(width, this.side) : SAMPLED;
    this.context.imageSmoothingEnabled = !kept; // pixels of a smaller square are repeated
    this.context.imageSmoothingQuality = 'low'; // bilinear
    this.context.drawImage(picture, 0, 0, first, first);
    const {data} = this.context.getImageData(0, 0, first, first);
    let pixels = withoutAlpha(data);
    for (let side = first; side > this.side; side /= 2) pixels = halve(pixels, side);
    return pixels;
  }
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

// Means of 2x2 pixels, rounded as OpenCV does. side: of the RGB pixels given.
export function halve(pixels, side) {
  const row = 3 * side;
  const small = new Uint8Array(pixels.length / 4);
  let to = 0;
  for (let y = 0; y < side; y += 2) {
    for (let x = 0; x < side; x += 2) {
      for (let at = y * row + 3 * x, c = 0; c < 3; c++, at++) {
        small[to++] = (pixels[at] + pixels[at + 3] + pixels[at + row] + pixels[at + row + 3] + 2) >> 2;
      }
    }
  }
  return small;
}
