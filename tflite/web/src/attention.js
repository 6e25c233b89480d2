// Where people look in a playing video: createAttention(video, options) and its parts.

import {Shrinker} from './frames.js';
import {drawHeat} from './heat.js';
import {MOST_BYTES, MOST_MANIFEST_BYTES, parseManifest} from './manifest.js';
import {AttentionModel, bytesOf} from './model.js';

export {AttentionModel, Shrinker, drawHeat};

// Loads a model for a video element, and gives an object with `start`, `stop` and `dispose`.
// attention.d.ts describes the options. Rejects with a message for the user.
export async function createAttention(video, options) {
  if (!(video instanceof HTMLVideoElement)) throw new TypeError('expected a <video> element');
  const {model, manifest, wasm} = options ?? {};
  const bytes = isAddress(model) ? await fetched(model, 'model', MOST_BYTES) : bytesOf(model);
  if (!bytes) {
    throw new TypeError(`the model is ${kind(model)}: expected its address, an ArrayBuffer or a typed array`);
  }
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

// Whether it can be fetched; what is missing counts, so that the message says which.
function isAddress(value) {
  return typeof value === 'string' || value instanceof URL || value === undefined || value === null;
}

// What a value is, for messages.
function kind(value) {
  const name = typeof value === 'object' && (value.constructor?.name ?? 'Object');
  return name ? `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}` : String(value);
}

async function manifestOf(model, manifest) {
  if (!isAddress(manifest)) {
    if (typeof manifest === 'object') return manifest;
    throw new TypeError(`the manifest is ${kind(manifest)}: expected it or its address`);
  }
  if (!manifest && !(isAddress(model) && /\.tflite$/.test(model))) {
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
