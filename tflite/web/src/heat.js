// A map as colours that are clear where nobody looks.

// At equal distances from 0 to the peak: red, green, blue.
const STOPS = [
  [40, 60, 190],
  [20, 150, 220],
  [60, 200, 120],
  [245, 210, 60],
  [250, 110, 30],
  [190, 10, 20],
];

const COLOURS = Uint8ClampedArray.from({length: 4 * 256}, (_, i) => {
  const level = Math.floor(i / 4) / 255;
  if (i % 4 === 3) return 255 * Math.min(1, 1.6 * level); // opaque before the peak
  const place = level * (STOPS.length - 1);
  const stop = Math.min(Math.floor(place), STOPS.length - 2);
  const [one, other] = [STOPS[stop][i % 4], STOPS[stop + 1][i % 4]];
  return one + (place - stop) * (other - one);
});

// Draws a map of side * side bytes on a canvas, which takes that size; the page stretches it.
export function drawHeat(canvas, map, side) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  map.forEach((level, i) => image.data.set(COLOURS.subarray(4 * level, 4 * level + 4), 4 * i));
  canvas.getContext('2d').putImageData(image, 0, 0);
}
