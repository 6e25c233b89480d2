// Dark frames made as bright as a manifest asks: docs/model-file.md, "Dark frames".

const MOST_GAIN = 8; // beyond, frames hold little but noise

// A frame whose mean is below `level`, multiplied to it; any other frame as it is.
// small: Uint8Array, made small; level: 0 to 128, 0 changes nothing.
export function brightened(small, level) {
  const wanted = level * small.length;
  let total = 0;
  for (let i = 0; i < small.length; i += 1) total += small[i];
  if (total >= wanted) return small;
  total = Math.max(total, Math.floor(wanted / MOST_GAIN));
  // Halves are rounded up, in whole numbers. The array cuts off what is above 255.
  const brighter = Uint8ClampedArray.from({length: 256}, (_, value) =>
    Math.floor((2 * value * wanted + total) / (2 * total)));
  return small.map((value) => brighter[value]);
}
