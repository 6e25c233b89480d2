// Makes dist/, a folder of static files: node build.js [MODEL.tflite [DIST]]

import {cp, mkdir, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import * as esbuild from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const shipped = join(here, '../../uva_tf/weights/uva-64-int8-step.tflite');
const wasm = join(here, 'node_modules/@litertjs/core/wasm');
// One for browsers with relaxed SIMD, one for the others; no threads, which need special headers.
const RUNTIMES = ['litert_wasm_internal', 'litert_wasm_compat_internal'];

export async function build(model = shipped, dist = join(here, 'dist')) {
  await rm(dist, {recursive: true, force: true});
  await mkdir(join(dist, 'wasm'), {recursive: true});
  await esbuild.build({
    entryPoints: ['main', 'model'].map((name) => join(here, 'src', `${name}.js`)),
    outdir: dist,
    bundle: true,
    splitting: true,
    format: 'esm',
    minify: true,
    legalComments: 'linked',
    logLevel: 'error',
  });
  for (const name of ['index.html', 'style.css']) await cp(join(here, 'src', name), join(dist, name));
  for (const name of RUNTIMES.flatMap((stem) => [`${stem}.js`, `${stem}.wasm`])) {
    await cp(join(wasm, name), join(dist, 'wasm', name));
  }
  await cp(model, join(dist, 'model.tflite'));
  await cp(model.replace(/\.tflite$/, '.json'), join(dist, 'model.json'));
  return dist;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(`wrote ${await build(...process.argv.slice(2))}`);
}
