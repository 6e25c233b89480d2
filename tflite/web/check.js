// Opens the page in headless Chromium: node check.js JOB.json prints what it saw, as JSON.
//
// A job names `chromium`, `model`, `dist` (a new folder), `clip` (a .mjpeg for the fake camera),
// `shots` (pictures to take, by device), `frames` (a file of RGB frames, one after the other),
// `models` (further ones to map them with, by name), `pictures` (a stream of .png), `chosen` (files for the button Model, by
// name), and `second` (a page of its own, and `video`, which it shows).

import {copyFile, readFile, rename, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {chromium} from 'playwright-core';
import {build} from './build.js';
import {serve} from './serve.js';

const DEVICES = {phone: {width: 390, height: 844}, desktop: {width: 1280, height: 860}};
const FRAMES_SHOWN = 16; // as many as the states of a stream, or more

const job = JSON.parse(await readFile(process.argv[2]));
const dist = await build(job.model, job.dist);
const server = await serve(dist);
const origin = `http://localhost:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    '--no-sandbox',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
    `--use-file-for-fake-video-capture=${job.clip}`,
  ],
});
const seen = {errors: [], foreign: [], shown: {}, maps: {}, small: [], pictured: [], messages: {}};

// LiteRT writes its notes where errors go: `INFO: ...`, and warnings that there is no NPU.
// Chromium asks every server for an icon.
function isError(message) {
  const icon = message.location().url.endsWith('/favicon.ico');
  return message.type() === 'error' && !icon && !/^(INFO|WARNING): /.test(message.text());
}

async function open(size, address = '') {
  const page = await browser.newPage({viewport: size, deviceScaleFactor: 1});
  page.on('console', (message) => isError(message) && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) seen.foreign.push(url);
  });
  await page.goto(`${origin}/${address}`);
  return page;
}

async function openPage(size) {
  const page = await open(size);
  await page.waitForFunction(() => document.getElementById('model').textContent !== 'loading');
  return page;
}

const opaque = (page) => page.waitForFunction(() => {
  const canvas = document.getElementById('heat');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 200).length;
}, undefined, {polling: 100});

try {
  for (const [device, size] of Object.entries(DEVICES)) {
    const page = await openPage(size);
    await page.evaluate(watch);
    await page.click('#camera');
    await page.waitForFunction((count) => window.maps > count, FRAMES_SHOWN, {polling: 100});
    seen.shown[device] = await (await opaque(page)).jsonValue();
    if (job.shots?.[device]) await page.screenshot({path: job.shots[device], fullPage: true});
    if (device === 'desktop') {
      seen.running = await page.evaluate(held);
      await page.click('#stop');
      await page.waitForFunction(() => document.getElementById('rate').textContent === '–');
      await page.waitForFunction(() => window.models.every(({compiled}) => compiled.deleted));
      seen.stopped = await page.evaluate(held);
      await page.evaluate(() => { window.maps = 0; });
      await page.click('#camera');
      await page.waitForFunction((count) => window.maps > count, FRAMES_SHOWN, {polling: 100});
      await page.waitForFunction(() => Number(document.getElementById('rate').textContent) > 0);
      seen.again = await page.evaluate(held);
      for (const [name, files] of Object.entries(job.chosen)) {
        await page.setInputFiles('#own', files);
        const shown = await page.waitForFunction(() => document.getElementById('message').textContent);
        seen.messages[name] = await shown.jsonValue();
      }
      await page.setInputFiles('#own', job.ownModel);
      await page.waitForFunction(() => !document.getElementById('message').textContent);
      await page.waitForFunction(() => /32 px/.test(document.getElementById('model').textContent));
      await page.waitForFunction(() => document.getElementById('heat').width === 32);
      for (const [name, model] of Object.entries(job.models)) {
        await copyFile(model, join(dist, `${name}.tflite`));
        await copyFile(model.replace(/\.tflite$/, '.json'), join(dist, `${name}.json`));
        await copyFile(job.frames, join(dist, 'frames.rgb'));
        seen.maps[name] = await page.evaluate(mapFrames, name);
      }
      const pictures = job.pictures.map((path) => basename(path));
      for (const [i, name] of pictures.entries()) await copyFile(job.pictures[i], join(dist, name));
      Object.assign(seen, await page.evaluate(mapPictures, pictures));
    }
    await page.close();
  }
  await copyFile(job.video, join(dist, 'clip.webm'));
  await writeFile(join(dist, 'second.html'), job.second);
  const second = await open(DEVICES.desktop, 'second.html');
  seen.shown.second = await (await opaque(second)).jsonValue();
  await second.close();
  for (const name of ['model.json', 'model.tflite']) {
    await rename(join(dist, name), join(dist, 'away'));
    const page = await browser.newPage();
    await page.goto(origin);
    const shown = await page.waitForFunction(() => document.getElementById('message').textContent);
    seen.messages[name] = await shown.jsonValue();
    await page.close();
    await rename(join(dist, 'away'), join(dist, name));
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(seen));

// In the page: keeps what it opens from now on, and counts its maps.
async function watch() {
  const {AttentionModel} = await import('./attention.js');
  const load = AttentionModel.load;
  const next = AttentionModel.prototype.next;
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  Object.assign(window, {models: [], states: [], tracks: [], maps: 0});
  AttentionModel.load = async (...args) => {
    const model = await load.apply(AttentionModel, args);
    window.models.push(model);
    return model;
  };
  AttentionModel.prototype.next = async function (rgb) {
    if (!window.models.includes(this)) window.models.push(this);
    const map = await next.call(this, rgb);
    window.states.push(...this.states);
    window.maps += 1;
    return map;
  };
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const media = await open(wanted);
    window.tracks.push(...media.getTracks());
    return media;
  };
}

// In the page: how many tracks, models and states of those seen are still alive.
function held() {
  return {
    tracks: window.tracks.filter(({readyState}) => readyState === 'live').length,
    models: window.models.filter(({compiled}) => !compiled.deleted).length,
    states: new Set(window.states.filter((state) => state && !state.deleted)).size,
  };
}

// In the page: the maps of fixed frames, as one list of bytes, in two streams.
async function mapFrames(name) {
  const {AttentionModel} = await import('./attention.js');
  const files = ['frames.rgb', `${name}.tflite`, `${name}.json`].map((file) => fetch(file));
  const [frames, model, manifest] = await Promise.all(files);
  const bytes = new Uint8Array(await model.arrayBuffer());
  const loaded = await AttentionModel.load(bytes, await manifest.json());
  const rgb = new Uint8Array(await frames.arrayBuffer());
  const size = 3 * loaded.side ** 2;
  const maps = [];
  for (let stream = 0; stream < 2; stream += 1) {
    for (let from = 0; from < rgb.length; from += size) {
      maps.push(...(await loaded.next(rgb.slice(from, from + size))));
    }
    loaded.reset();
  }
  loaded.delete();
  return maps;
}

// In the page: pictures made small and their maps, by the page's own model.
async function mapPictures(names) {
  const {AttentionModel, Shrinker} = await import('./attention.js');
  const [model, manifest] = await Promise.all(['model.tflite', 'model.json'].map((file) => fetch(file)));
  const loaded = await AttentionModel.load(await model.arrayBuffer(), await manifest.json());
  const shrinker = new Shrinker(loaded.side);
  const [small, pictured] = [[], []];
  for (const name of names) {
    const image = new Image(10, 10); // its size on a page does not count
    image.src = name;
    await image.decode();
    const rgb = shrinker.shrink(image);
    small.push([...rgb]);
    pictured.push(...(await loaded.next(rgb)));
  }
  loaded.delete();
  return {small, pictured};
}
