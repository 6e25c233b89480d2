/** What FILE.json beside FILE.tflite holds. */
export interface Manifest {
  form: string;
  recipe: string;
  variant: string;
  /** Side of the map in pixels. */
  resolution: number;
  pairing: string;
  sha256: string;
  /** How much of the maps before is joined with each map, 0 to 0.95; by default 0. */
  persistence?: number;
  /** The mean level to which darker frames are brightened, 0 to 128; by default 0. */
  brighten?: number;
  /** How many frames before each the one lies that it is paired with, 1 to 16; by default 1. */
  gap?: number;
  [name: string]: unknown;
}

export interface Options {
  /** The .tflite file's address or bytes. Its form is `step` and its pairing `previous`. */
  model: string | URL | ArrayBuffer | ArrayBufferView;
  /** Its manifest, or the address of it. By default the model's address, ending in `.json`. */
  manifest?: string | URL | Manifest;
  /** Address of a folder with LiteRT's runtime, by default `wasm/`. The first one counts. */
  wasm?: string;
  /** Each map is drawn on it as a heat map of `side` * `side` pixels; CSS stretches it. */
  canvas?: HTMLCanvasElement;
  /**
   * Receives each map: `side` * `side` bytes, row by row, over the whole frame; 255 is the place
   * that is looked at most. `ms` is what the map took, with shrinking.
   */
  onMap?: (map: Uint8Array, side: number, ms: number) => void;
  /** Receives what ended a stream, also an error of `onMap`. By default `console.error`. */
  onError?: (error: Error) => void;
}

export interface Attention {
  readonly manifest: Manifest;
  /** Begins a stream: maps of the frames that the video shows from now on. */
  start(): void;
  /** Ends the stream and frees its tensors. The video plays on. */
  stop(): Promise<void>;
  /** Ends the stream and frees the model. Nothing can be started afterwards. */
  dispose(): Promise<void>;
}

/** Loads a model for a video. Rejects with an Error whose message is for the user. */
export function createAttention(video: HTMLVideoElement, options: Options): Promise<Attention>;
export default createAttention;

/** A model on frames that are small already. Wait for each call before the next. */
export class AttentionModel {
  static load(model: ArrayBuffer | ArrayBufferView, manifest: Manifest, wasm?: string): Promise<AttentionModel>;
  readonly manifest: Manifest;
  readonly side: number;
  /**
   * The map of the stream's next frame, paired with one before it and joined with the maps before it
   * as the manifest says; `rgb` has `side` * `side` * 3 bytes, which must stay as they are until the
   * map is there.
   */
  next(rgb: Uint8Array): Promise<Uint8Array>;
  /** Begins another stream: forgets the frames and the maps seen so far. */
  reset(): void;
  /** Frees the model. */
  delete(): void;
}

/**
 * Makes pictures small for a model of `side` pixels, as Python does to the pixel. `side` is a power of
 * 2 from 8 to 256; others throw a RangeError.
 */
export class Shrinker {
  constructor(side: number);
  /**
   * RGB, `side` * `side` * 3 bytes. The picture's own size counts: 1 to 8192 pixels along each side,
   * else a RangeError.
   */
  shrink(picture: CanvasImageSource): Uint8Array;
}

/** Draws a map on a canvas, which takes its size. */
export function drawHeat(canvas: HTMLCanvasElement, map: Uint8Array, side: number): void;
