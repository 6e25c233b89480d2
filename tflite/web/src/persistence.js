// Each map of a stream joined with those before it: docs/model-file.md, "Maps that persist".

import {toEven} from './rounding.js';

const WINDOW = 16; // maps that are joined
const CUT = 32; // mean change from frame to frame, in levels of 255, that only a cut brings about

export class Persistence {
  #weights; // of a map by its age in frames, the newest 256
  #maps = []; // the newest first
  #last = null; // the latest small frame

  // persistence: 0 to 0.95; 0 leaves maps as they are.
  constructor(persistence) {
    this.#weights = Array.from({length: WINDOW}, (_, age) => toEven(256 * persistence ** age));
  }

  // Forgets all maps: the next one begins a new stream.
  reset() {
    this.#maps = [];
    this.#last = null;
  }

  // The next map, joined with those before it.
  // map: Uint8Array, which is kept; small: the frame that it is of, not brightened.
  add(map, small) {
    if (!this.#weights[1]) return map;
    if (this.#last && isCut(this.#last, small)) this.#maps = [];
    this.#last = small.slice();
    this.#maps.unshift(map);
    if (this.#maps.length > WINDOW) this.#maps.pop();
    const sums = new Int32Array(map.length);
    for (const [age, one] of this.#maps.entries()) {
      const weight = this.#weights[age];
      for (let i = 0; i < one.length; i += 1) sums[i] += weight * one[i];
    }
    let most = 1; // a map may be black
    for (let i = 0; i < sums.length; i += 1) most = Math.max(most, sums[i]);
    const joined = new Uint8Array(map.length);
    // Quotient and product are rounded to float32, as in Python: halves depend on it.
    for (let i = 0; i < joined.length; i += 1) {
      joined[i] = toEven(Math.fround(255 * Math.fround(sums[i] / most)));
    }
    return joined;
  }
}

// Whether a video is cut between two small frames in a row.
function isCut(one, other) {
  let change = 0;
  for (let i = 0; i < one.length; i += 1) change += Math.abs(one[i] - other[i]);
  return change > CUT * one.length;
}
