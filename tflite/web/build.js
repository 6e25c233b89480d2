// Makes dist/, a folder of static files: node build.js [MODEL.tflite [NEW_FOLDER]]

import {chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {gzipSync} from 'node:zlib';
import {MOST_BYTES, MOST_MANIFEST_BYTES, checkBytes, parseManifest} from './src/manifest.js';

const here = dirname(fileURLToPath(import.meta.url));
const shipped = join(here, '../../uva_tf/weights/uva-64-int8-step.tflite');
const wasm = join(here, 'node_modules/@litertjs/core/wasm');
// One for browsers with relaxed SIMD, one for the others; no threads, which need special headers.
const RUNTIMES = ['litert_wasm_internal', 'litert_wasm_compat_internal'];
// The page, and the module for pages that are written without a bundler.
const ENTRIES = ['page/main', 'src/attention'];

// Throws an Error in one line if the page could not run a model.
export async function checkModel(model = shipped) {
  if (!model.endsWith('.tflite')) throw new Error(`${model}: expected a .tflite file`);
  const json = model.replace(/\.tflite$/, '.json');
  const bytes = await read(model, MOST_BYTES, `${model}: there is no such file`);
  const missing = `${model}: its manifest ${basename(json)} is missing, expected it beside it`;
  const text = await read(json, MOST_MANIFEST_BYTES, missing);
  await checkBytes(bytes, parseManifest(text.toString(), json), model);
  return {bytes, text};
}

async function read(path, most, missing) {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw new Error(missing);
  if (found.size > most) throw new Error(`${path}: ${found.size} bytes, expected at most ${most}`);
  return readFile(path);
}

// dist: a folder that does not exist; by default dist/, which is replaced.
export async function build(model, dist) {
  const {bytes, text} = await checkModel(model);
  const {build: bundle} = await import('esbuild').catch(() => {
    throw new Error('esbuild is missing: run npm ci in tflite/web first');
  });
  if (dist && (await stat(dist).catch(() => undefined))) {
    throw new Error(`${dist} exists: name a new folder`);
  }
  const target = resolve(dist ?? join(here, 'dist'));
  const made = await mkdir(dirname(target), {recursive: true})
    .then(() => mkdtemp(`${target}.`))
    .catch(({code}) => {
      throw new Error(`${dist ?? target}: the folder can't be made (${code}): name another one`);
    });
  try {
    await bundle({
      entryPoints: ENTRIES.map((name) => join(here, `${name}.js`)),
      entryNames: '[name]',
      outdir: made,
      bundle: true,
      splitting: true,
      format: 'esm',
      minify: true,
      legalComments: 'linked',
      logLevel: 'error',
    });
    for (const name of ['index.html', 'style.css']) {
      await cp(join(here, 'page', name), join(made, name));
    }
    for (const name of RUNTIMES.flatMap((stem) => [`${stem}.js`, `${stem}.wasm`])) {
      await cp(join(wasm, name), join(made, 'wasm', name));
    }
    await writeFile(join(made, 'model.tflite'), bytes);
    await writeFile(join(made, 'model.json'), text);
    await chmod(made, 0o755);
    if (!dist) await rm(target, {recursive: true, force: true});
    await rename(made, target);
  } finally {
    await rm(made, {recursive: true, force: true});
  }
  return target;
}

// What a page downloads, as rows of a table: kB of 1000 bytes, as they are and with gzip.
export async function sizes(dist) {
  const scripts = (await readdir(dist)).filter((name) => name.endsWith('.js') && name !== 'main.js');
  const parts = {
    'the module, minified': scripts,
    'the page on top of it': ['main.js', 'index.html', 'style.css'],
    "LiteRT's runtime": RUNTIMES.slice(0, 1).flatMap((stem) => [`wasm/${stem}.js`, `wasm/${stem}.wasm`]),
    'the model with its manifest': ['model.tflite', 'model.json'],
  };
  const kb = (files) => (files.reduce((sum, {length}) => sum + length, 0) / 1000).toFixed(1);
  return Promise.all(
    Object.entries(parts).map(async ([part, names]) => {
      const files = await Promise.all(names.map((name) => readFile(join(dist, name))));
      return `| ${part} | ${kb(files)} | ${kb(files.map((file) => gzipSync(file)))} |`;
    }),
  );
}

// Runs a command; its mistakes end in one line and exit code 2.
export async function command(work) {
  try {
    await work();
  } catch (error) {
    console.error(`error: ${String(error.message ?? error).split('\n')[0]}`);
    process.exit(2);
  }
}

const USAGE = `usage: node build.js [MODEL.tflite [NEW_FOLDER]]

Builds the page and its module for a model with its manifest beside it, and prints their sizes.
  MODEL.tflite  file of the form step (default: the int8 student that comes with the package)
  NEW_FOLDER    folder to make (default: dist/, which is replaced)`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await command(async () => {
    const options = {help: {type: 'boolean', short: 'h'}};
    const {values, positionals} = parseArgs({options, allowPositionals: true});
    if (values.help) return console.log(USAGE);
    if (positionals.length > 2) {
      throw new Error(`${positionals.length} arguments, expected MODEL.tflite and NEW_FOLDER at most`);
    }
    const dist = await build(...positionals);
    console.log([`wrote ${dist}`, ...(await sizes(dist))].join('\n'));
  });
}
