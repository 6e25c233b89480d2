// Where people look in a playing video: createAttention(video, options) and its parts.

import {Shrinker} from './frames.js';
import {drawHeat} from './heat.js';
import {MOST_BYTES, MOST_MANIFEST_BYTES, parseManifest} from './manifest.js';
import {AttentionModel} from './model.js';

export {AttentionModel, Shrinker, drawHeat};

// Loads a model for a video element, and gives an object with `start`, `stop` and `dispose`.
// attention.d.ts describes the options. Rejects with a message for the user.
export async function createAttention(video, options) {
  if (!(video instanceof HTMLVideoElement)) throw new TypeError('expected a <video> element');
  const {model, manifest, wasm} = options ?? {};
  const bytes = model instanceof Uint8Array ? model : await fetched(model, 'model', MOST_BYTES);
  const stated = await manifestOf(model, manifest);
  return new Attention(video, await AttentionModel.load(bytes, stated, wasm), options);
}

export default createAttention;

class Attention {
  #video;
  #model;
  #options;
  #shrinker;
  #disposed = false;
  #stream = 0; // another number ends the loop of the stream before
  #work = Promise.resolve(); // the model does one thing at a time

  constructor(video, model, options) {
    this.#video = video;
    this.#model = model;
    this.#options = options;
    this.#shrinker = new Shrinker(model.side);
  }

  get manifest() {
    return this.#model.manifest;
  }

  start() {
    if (this.#disposed) throw new Error('disposed: create another');
    this.stop();
    this.#run(this.#stream);
  }

  stop() {
    this.#stream += 1;
    return this.#queue(() => this.#model.reset());
  }

  dispose() {
    this.#disposed = true;
    this.#stream += 1;
    return this.#queue(() => this.#model.delete());
  }

  #queue(next) {
    this.#work = this.#work.then(next, next);
    return this.#work;
  }

  async #run(own) {
    const {canvas, onMap, onError = console.error} = this.#options;
    const {side} = this.#model;
    try {
      while (own === this.#stream) {
        await nextFrame(this.#video);
        if (own !== this.#stream || document.hidden || !this.#video.videoWidth) continue;
        const start = performance.now();
        const rgb = this.#shrinker.shrink(this.#video);
        const map = await this.#queue(() => own === this.#stream && this.#model.next(rgb));
        if (own !== this.#stream) return;
        const ms = performance.now() - start;
        if (canvas) drawHeat(canvas, map, side);
        onMap?.(map, side, ms);
      }
    } catch (error) {
      if (own !== this.#stream) return;
      this.stop();
      onError(error);
    }
  }
}

async function manifestOf(model, manifest) {
  if (manifest && !(manifest instanceof URL) && typeof manifest === 'object') return manifest;
  if (!manifest && !/\.tflite$/.test(model)) {
    throw new Error('no manifest: set the option manifest to it or to its address');
  }
  const address = manifest ?? String(model).replace(/\.tflite$/, '.json');
  const bytes = await fetched(address, 'manifest', MOST_MANIFEST_BYTES);
  return parseManifest(new TextDecoder().decode(bytes), String(address));
}

// The bytes at an address. what: they should be, for messages; most: of them.
async function fetched(address, what, most) {
  if (!address) throw new Error(`no ${what}: set the option ${what} to an address`);
  const answer = await fetch(address).catch((error) => {
    throw new Error(`${address}: the ${what} can't be fetched: ${error.message}`);
  });
  if (!answer.ok) {
    throw new Error(`${address}: the server answers ${answer.status}, expected the ${what} there`);
  }
  if (Number(answer.headers.get('Content-Length')) > most) {
    throw new Error(`${address} is too large: expected a ${what} of at most ${most} bytes`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

function nextFrame(video) {
  return new Promise((resolve) => {
    if (document.hidden || !video.requestVideoFrameCallback) requestAnimationFrame(resolve);
    else video.requestVideoFrameCallback(resolve);
  });
}
