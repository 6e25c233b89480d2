// Times models in headless Chromium, for compare.py: node time.js CHROMIUM MODEL.tflite...
//
// Each line `N COUNT` on stdin is answered by the milliseconds of one of COUNT frames, from its
// bytes to the finished map, by the Nth model: the mean of the middle half.

import {copyFile, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {chromium} from 'playwright-core';
import {build, command} from './build.js';
import {serve} from './serve.js';

const [executablePath, ...models] = process.argv.slice(2);

await command(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'time-'));
  const dist = await build(models[0], join(folder, 'dist'));
  for (const [number, model] of models.entries()) {
    await copyFile(model, join(dist, `${number}.tflite`));
    await copyFile(model.replace(/\.tflite$/, '.json'), join(dist, `${number}.json`));
  }
  const server = await serve(dist);
  const browser = await chromium.launch({executablePath, args: ['--no-sandbox']});
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${server.address().port}/`);
    await page.evaluate(load, models.length);
    console.log('ready');
    for await (const line of createInterface({input: process.stdin})) {
      console.log(await page.evaluate(time, line.split(' ').map(Number)));
    }
  } finally {
    await browser.close();
    server.close();
    await rm(folder, {recursive: true});
  }
});

// In the page: loads the models.
async function load(count) {
  const {AttentionModel} = await import('./attention.js');
  window.models = [];
  for (let number = 0; number < count; number += 1) {
    const [model, manifest] = await Promise.all([fetch(`${number}.tflite`), fetch(`${number}.json`)]);
    const bytes = new Uint8Array(await model.arrayBuffer());
    window.models.push(await AttentionModel.load(bytes, await manifest.json()));
  }
}

// In the page: the time of a frame. A browser's clock is coarse, so a median would be too.
async function time([number, count]) {
  const model = window.models[number];
  const rgb = Uint8Array.from({length: 3 * model.side ** 2}, (_, i) => (37 * i) % 256);
  const taken = [];
  for (let frame = 0; frame < count; frame += 1) {
    const start = performance.now();
    await model.next(rgb);
    taken.push(performance.now() - start);
  }
  const middle = taken.sort((a, b) => a - b).slice(count >> 2, count - (count >> 2));
  return middle.reduce((sum, ms) => sum + ms, 0) / middle.length;
}
