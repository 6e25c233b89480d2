// Opens the page in headless Chromium: node check.js JOB.json prints what it saw, as JSON.
//
// A job names `chromium`, `model`, `dist`, `clip` (a .mjpeg for the fake camera), `frames`
// (a file of RGB frames, one after the other) and `shots` (pictures to take, by device).

import {readFile} from 'node:fs/promises';
import {chromium} from 'playwright-core';
import {build} from './build.js';
import {serve} from './serve.js';

const DEVICES = {phone: {width: 390, height: 844}, desktop: {width: 1280, height: 860}};
const FRAMES_SHOWN = 12;

const job = JSON.parse(await readFile(process.argv[2]));
const server = await serve(await build(job.model, job.dist));
const origin = `http://localhost:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    '--no-sandbox',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    `--use-file-for-fake-video-capture=${job.clip}`,
  ],
});
const seen = {errors: [], foreign: [], maps: [], ms: 0, shown: 0};

// LiteRT writes its notes where errors go: `INFO: ...`, and warnings that there is no NPU.
function isError(message) {
  return message.type() === 'error' && !/^(INFO|WARNING): /.test(message.text());
}

async function open(size) {
  const page = await browser.newPage({viewport: size, deviceScaleFactor: 1});
  page.on('console', (message) => isError(message) && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) seen.foreign.push(url);
  });
  await page.goto(origin);
  await page.waitForFunction(() => document.getElementById('model').textContent !== 'loading');
  return page;
}

try {
  for (const [device, size] of Object.entries(DEVICES)) {
    const page = await open(size);
    await page.click('#camera');
    await page.waitForFunction(
      (count) => (window.shown = (window.shown ?? 0) + 1) > count &&
        Number(document.getElementById('rate').textContent) > 0,
      FRAMES_SHOWN,
      {polling: 100},
    );
    seen.shown = await page.evaluate(() => {
      const canvas = document.getElementById('heat');
      const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value > 200).length;
    });
    if (job.shots?.[device]) await page.screenshot({path: job.shots[device], fullPage: true});
    await page.close();
  }
  if (job.frames) {
    const page = await open(DEVICES.desktop);
    const frames = [...(await readFile(job.frames))];
    Object.assign(seen, await page.evaluate(mapFrames, frames));
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(seen));

// In the page: the maps of fixed frames as one list of bytes, and the median ms of a step.
async function mapFrames(frames) {
  const {AttentionModel} = await import('./model.js');
  const [file, manifest] = await Promise.all([fetch('model.tflite'), fetch('model.json')]);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const model = await AttentionModel.load(bytes, await manifest.json());
  const size = 3 * model.side ** 2;
  const maps = [];
  const spent = [];
  for (let from = 0; from < frames.length; from += size) {
    const rgb = Uint8Array.from(frames.slice(from, from + size));
    const start = performance.now();
    maps.push(...(await model.next(rgb)));
    spent.push(performance.now() - start);
  }
  model.delete();
  return {maps, ms: spent.sort((a, b) => a - b)[Math.floor(spent.length / 2)]};
}
