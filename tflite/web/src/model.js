// A .tflite file of the form `step` and the stream that it maps.

import {Tensor, loadAndCompile, loadLiteRt} from '@litertjs/core';

let runtime;

// The checksum of bytes as hexadecimal digits, like a manifest's `sha256`.
async function sha256(bytes) {
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class AttentionModel {
  // bytes: Uint8Array of the .tflite file; manifest: what its .json file holds.
  // Rejects with a message for the user if the two do not belong together.
  static async load(bytes, manifest) {
    if (manifest.form !== 'step' || manifest.pairing !== 'previous') {
      throw new Error('expected a model of the form step with previous pairing');
    }
    if ((await sha256(bytes)) !== manifest.sha256) {
      throw new Error("the model's sha256 differs from its manifest's");
    }
    runtime ??= loadLiteRt('wasm/');
    await runtime;
    return new AttentionModel(await loadAndCompile(bytes, {accelerator: 'wasm'}), manifest);
  }

  constructor(compiled, manifest) {
    this.manifest = manifest;
    this.side = manifest.resolution;
    this.step = compiled.signatures.step;
    this.compiled = compiled;
    const state = this.step.getInputDetails().find(({name}) => name === 'state');
    this.stateShape = [...state.shape];
    const size = this.stateShape.reduce((product, length) => product * length, 1);
    this.empty = state.dtype === 'float32' ? new Float32Array(size) : new Uint8Array(size);
    this.state = null;
  }

  // The map of the stream's next frame: side * side bytes, 255 at the peak.
  // rgb: Uint8Array of side * side * 3. The first frame pairs with itself.
  async next(rgb) {
    if (!this.state) {
      const empty = new Tensor(this.empty, this.stateShape);
      const {attention, state} = await this.run(rgb, empty);
      attention.delete();
      empty.delete();
      this.state = state;
    }
    const before = this.state;
    const {attention, state} = await this.run(rgb, before);
    this.state = state;
    before.delete();
    const map = toBytes(attention.toTypedArray());
    attention.delete();
    return map;
  }

  // Begins another stream.
  reset() {
    this.state?.delete();
    this.state = null;
  }

  delete() {
    this.reset();
    this.compiled.delete();
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

// A finished map as bytes: float 0..1 becomes 0..255, bytes are copied.
function toBytes(map) {
  return map instanceof Uint8Array ? map.slice() : Uint8Array.from(map, (v) => Math.round(255 * v));
}
