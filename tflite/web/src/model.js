// A .tflite file of the form `step` and the stream that it maps.

import {Tensor, loadAndCompile, loadLiteRt} from '@litertjs/core';
import {brightened} from './brighten.js';
import {checkBytes, checkManifest} from './manifest.js';
import {Persistence} from './persistence.js';
import {toEven} from './rounding.js';

let runtime; // one for all models of a page

export class AttentionModel {
  // model: ArrayBuffer or typed array of the .tflite file; manifest: what its .json file holds; wasm: the address
  // of the folder with LiteRT's runtime. Rejects with a message for the user.
  static async load(model, manifest, wasm = 'wasm/') {
    const bytes = bytesOf(model);
    if (!bytes) throw new TypeError("expected the model's bytes, in an ArrayBuffer or a typed array");
    checkManifest(manifest, 'the manifest');
    await checkBytes(bytes, manifest, 'the model');
    try {
      runtime ??= loadLiteRt(wasm);
      await runtime;
    } catch (error) {
      runtime = undefined;
      throw new Error(`${wasm}: LiteRT's runtime does not load: ${error.message ?? error}`);
    }
    let compiled;
    try {
      compiled = await loadAndCompile(bytes, {accelerator: 'wasm'});
    } catch (error) {
      throw new Error(`LiteRT refuses the model: ${error.message ?? error}`);
    }
    try {
      return new AttentionModel(compiled, manifest);
    } catch (error) {
      compiled.delete();
      throw error;
    }
  }

  constructor(compiled, manifest) {
    const side = manifest.resolution;
    const step = compiled.signatures.step;
    const shape = (list, name) => list?.find((one) => one.name === name)?.shape;
    const [inputs, outputs] = [step?.getInputDetails(), step?.getOutputDetails()];
    const state = inputs?.find(({name}) => name === 'state');
    if (
      `${shape(inputs, 'frame')}` !== `1,${side},${side},3` ||
      `${shape(outputs, 'attention')}` !== `1,${side},${side},1` ||
      !state ||
      `${shape(outputs, 'state')}` !== `${state.shape}`
    ) {
      throw new Error("the model's inputs and outputs are not those that its manifest states");
    }
    this.manifest = manifest;
    this.side = side;
    this.step = step;
    this.compiled = compiled;
    this.stateShape = [...state.shape];
    const size = this.stateShape.reduce((product, length) => product * length, 1);
    this.empty = state.dtype === 'float32' ? new Float32Array(size) : new Uint8Array(size);
    this.states = []; // the oldest first
    const {persistence = 0, brighten = 0, gap = 1} = manifest; // older ones have none of these
    this.joined = new Persistence(persistence);
    this.brighten = brighten;
    this.gap = gap;
  }

  // The map of the stream's next frame: side * side bytes, 255 at the peak.
  // rgb: Uint8Array of side * side * 3. It is paired with the frame `gap` frames before, or else the first.
  // One call at a time: wait for it before the next.
  async next(rgb) {
    const seen = brightened(rgb, this.brighten);
    if (!this.states.length) this.states.push(await this.begin(seen));
    const {attention, state} = await this.run(seen, this.states[0]);
    this.states.push(state);
    if (this.states.length > this.gap) this.states.shift().delete();
    const map = toBytes(attention.toTypedArray());
    attention.delete();
    return this.joined.add(map, rgb); // not `seen`: brightened noise looks like cuts
  }

  // The state after a first frame.
  async begin(rgb) {
    const empty = new Tensor(this.empty, this.stateShape);
    try {
      const {attention, state} = await this.run(rgb, empty);
      attention.delete();
      return state;
    } finally {
      empty.delete();
    }
  }

  // Begins another stream.
  reset() {
    for (const state of this.states.splice(0)) state.delete();
    this.joined.reset();
  }

  delete() {
    this.reset();
    if (!this.compiled.deleted) this.compiled.delete();
  }

  async run(rgb, state) {
    const frame = new Tensor(rgb, [1, this.side, this.side, 3]);
    try {
      return await this.step.run({frame, state});
    } finally {
      frame.delete();
    }
  }
}

// The bytes that an ArrayBuffer or a typed array holds; undefined for anything else.
export function bytesOf(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (!ArrayBuffer.isView(value)) return undefined;
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

// A finished map as bytes: float 0..1 becomes 0..255, bytes are copied.
function toBytes(map) {
  if (map instanceof Uint8Array) return map.slice();
  const bytes = new Uint8ClampedArray(map.length);
  for (let i = 0; i < map.length; i += 1) bytes[i] = toEven(Math.fround(255 * map[i]));
  return new Uint8Array(bytes.buffer);
}
