// The page: a camera or a video, its attention drawn over it, and what it costs.

import {createAttention} from '../src/attention.js';
import {MOST_BYTES, MOST_MANIFEST_BYTES, parseManifest} from '../src/manifest.js';

const at = (id) => document.getElementById(id);
const video = at('video');
const WINDOW = 30; // frames that speed is the mean of

let chosen = {model: 'model.tflite'};
let attention; // a promise; none while stopped
let facing = 'environment';
let source = 0; // another number: the user wants something else by now
let ends = [];
let spent = [];

function tell(message) {
  at('message').textContent = message;
  at('message').hidden = !message;
}

async function open(model) {
  const options = {canvas: at('heat'), onMap: measure, onError: (error) => tell(explain(error))};
  const opened = await createAttention(video, {...model, ...options});
  const {variant, recipe, resolution} = opened.manifest;
  at('model').textContent = `${variant}, ${recipe}, ${resolution} px`;
  return opened;
}

// The model in use, loaded anew after a stop.
function load() {
  attention ??= open(chosen).catch((error) => {
    attention = undefined;
    at('model').textContent = 'none';
    throw error;
  });
  return attention;
}

async function chooseModel(files) {
  const named = (suffix) => [...files].find((file) => file.name.endsWith(suffix));
  const [file, json] = [named('.tflite'), named('.json')];
  if (!file || !json) throw new Error('choose two files: a .tflite and the .json beside it');
  if (file.size > MOST_BYTES || json.size > MOST_MANIFEST_BYTES) {
    throw new Error(`${file.name} and ${json.name} are too large for a model and its manifest`);
  }
  const manifest = parseManifest(await json.text(), json.name);
  const model = {model: new Uint8Array(await file.arrayBuffer()), manifest};
  const opened = await open(model);
  await dispose();
  chosen = model;
  attention = Promise.resolve(opened);
  if (at('stage').classList.contains('running')) begin(opened);
}

async function dispose() {
  const old = await attention?.catch(() => undefined);
  attention = undefined;
  await old?.dispose();
}

// Closes the camera or the video.
function close() {
  source += 1;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute('src');
  video.srcObject = null;
  at('stage').classList.remove('running');
  at('stop').disabled = true;
  return source;
}

async function stop() {
  close();
  show('–', '–');
  await dispose();
}

async function useCamera() {
  const own = close();
  if (!navigator.mediaDevices) {
    throw new Error('browsers give the camera to pages from https or from this machine only');
  }
  const media = await navigator.mediaDevices.getUserMedia({
    video: {facingMode: facing, width: {ideal: 1280}},
    audio: false,
  });
  if (own !== source) return media.getTracks().forEach((track) => track.stop());
  video.srcObject = media;
  await play(own);
}

async function useFile(file) {
  const own = close();
  video.src = URL.createObjectURL(file);
  video.loop = true;
  await play(own);
}

async function play(own) {
  at('stop').disabled = false;
  await video.play();
  const loaded = await load();
  if (own !== source) return;
  at('stage').style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
  at('stage').classList.add('running');
  begin(loaded);
}

function begin(loaded) {
  [ends, spent] = [[], []];
  loaded.start();
}

function measure(map, side, ms) {
  ends.push(performance.now());
  spent.push(ms);
  if (ends.length > WINDOW) [ends, spent].forEach((list) => list.shift());
  const rate = (1000 * (ends.length - 1)) / (ends.at(-1) - ends[0]);
  const mean = spent.reduce((sum, value) => sum + value, 0) / spent.length;
  show(ends.length > 1 ? rate.toFixed(0) : '–', mean.toFixed(1));
}

function show(rate, ms) {
  at('rate').textContent = rate;
  at('ms').textContent = ms;
}

// What went wrong, in a line that says what to do.
function explain(error) {
  const known = {
    NotAllowedError: 'the camera is not allowed: allow it in the address bar, or choose a video',
    NotFoundError: 'there is no camera: choose a video',
    NotReadableError: 'another program has the camera: close it, or choose a video',
    NotSupportedError: 'this browser can not play the video: try an mp4 or a webm',
  };
  return known[error.name] ?? error.message;
}

// A handler that ends in a message if it fails.
function attempt(work) {
  return async (event) => {
    tell('');
    try {
      await work(event);
    } catch (error) {
      if (error.name !== 'AbortError') tell(explain(error)); // a video was closed before it began
    }
  };
}

at('camera').onclick = attempt(useCamera);
at('turn').onclick = attempt(() => {
  facing = facing === 'user' ? 'environment' : 'user';
  return useCamera();
});
at('stop').onclick = attempt(stop);
at('file').onchange = attempt(({target}) => target.files[0] && useFile(target.files[0]));
at('own').onchange = attempt(({target}) => chooseModel(target.files));
at('opacity').oninput = ({target}) => (at('heat').style.opacity = target.value);

attempt(load)();
