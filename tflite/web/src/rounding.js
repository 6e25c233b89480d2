// Rounding as NumPy does it, which Math.round does not.

// The nearest whole number, of two the even one.
export function toEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor;
}
