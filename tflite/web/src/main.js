// The page: a camera or a video, its attention drawn over it, and what it costs.

import {Shrinker} from './frames.js';
import {drawHeat} from './heat.js';
import {AttentionModel} from './model.js';

const at = (id) => document.getElementById(id);
const video = at('video');
const WINDOW = 30; // frames that speed is the mean of

let model;
let shrinker;
let facing = 'environment';
let stream = 0; // a new source ends the loop of the one before
let work = Promise.resolve(); // the model does one thing at a time

function queue(next) {
  work = work.then(next, next);
  return work;
}

function tell(message) {
  at('message').textContent = message;
  at('message').hidden = !message;
}

async function useModel(bytes, manifest) {
  const loaded = await AttentionModel.load(bytes, manifest);
  const resized = new Shrinker(loaded.side);
  await queue(() => {
    model?.delete();
    [model, shrinker] = [loaded, resized];
  });
  at('model').textContent = `${manifest.variant}, ${manifest.recipe}, ${loaded.side} px`;
}

async function fetchModel() {
  const [file, manifest] = await Promise.all([fetch('model.tflite'), fetch('model.json')]);
  if (!file.ok || !manifest.ok) throw new Error('no model is served here: choose one');
  await useModel(new Uint8Array(await file.arrayBuffer()), await manifest.json());
}

async function chooseModel(files) {
  const named = (suffix) => [...files].find((file) => file.name.endsWith(suffix));
  const [file, manifest] = [named('.tflite'), named('.json')];
  if (!file || !manifest) throw new Error('choose two files: a .tflite and the .json beside it');
  await useModel(new Uint8Array(await file.arrayBuffer()), JSON.parse(await manifest.text()));
}

function stop() {
  stream += 1;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute('src');
  video.srcObject = null;
}

async function useCamera() {
  stop();
  video.srcObject = await navigator.mediaDevices.getUserMedia({
    video: {facingMode: facing, width: {ideal: 1280}},
    audio: false,
  });
  await play();
}

async function useFile(file) {
  stop();
  video.src = URL.createObjectURL(file);
  video.loop = true;
  await play();
}

async function play() {
  await video.play();
  at('stage').style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
  at('stage').classList.add('running');
  await queue(() => model?.reset());
  attempt(() => run(stream))();
}

async function run(own) {
  const ends = [];
  const spent = [];
  while (own === stream && model) {
    await nextFrame();
    if (own !== stream || document.hidden) continue;
    const start = performance.now();
    const map = await queue(() => model.next(shrinker.shrink(video)));
    spent.push(performance.now() - start);
    drawHeat(at('heat'), map, model.side);
    ends.push(performance.now());
    if (ends.length > WINDOW) [ends, spent].forEach((list) => list.shift());
    show(ends, spent);
  }
}

function nextFrame() {
  return new Promise((resolve) => {
    if (document.hidden || !video.requestVideoFrameCallback) requestAnimationFrame(resolve);
    else video.requestVideoFrameCallback(resolve);
  });
}

function show(ends, spent) {
  const rate = (1000 * (ends.length - 1)) / (ends.at(-1) - ends[0]);
  const ms = spent.reduce((sum, value) => sum + value, 0) / spent.length;
  at('rate').textContent = ends.length > 1 ? rate.toFixed(0) : '–';
  at('ms').textContent = ms.toFixed(1);
}

// What went wrong, in a line that says what to do.
function explain(error) {
  const known = {
    NotAllowedError: 'the camera is not allowed: allow it in the address bar, or choose a video',
    NotFoundError: 'there is no camera: choose a video',
    NotReadableError: 'another program has the camera: close it, or choose a video',
    NotSupportedError: 'this browser can not play the video: try an mp4 or a webm',
    SyntaxError: 'the .json is no manifest',
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
      tell(explain(error));
    }
  };
}

at('camera').onclick = attempt(useCamera);
at('turn').onclick = attempt(() => {
  facing = facing === 'user' ? 'environment' : 'user';
  return useCamera();
});
at('file').onchange = attempt(({target}) => target.files[0] && useFile(target.files[0]));
at('own').onchange = attempt(async ({target}) => {
  await chooseModel(target.files);
  if (video.videoWidth) await play();
});
at('opacity').oninput = ({target}) => (at('heat').style.opacity = target.value);

attempt(fetchModel)();
